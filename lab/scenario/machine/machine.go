// Package machine runs scenarios on this machine: pods as processes, with real
// proxies beside them when the manifests ask for any.
package machine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/parts"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/scenario/check"
)

// Options say how fleets run.
type Options struct {
	// Local is for the fleet of slot 0; the others have the networks, the node
	// addresses and the state directories after its own.
	Local local.Options
	// IngressPort is where the ingress gateway is reached at the node's
	// address; mesh.IngressPort when 0.
	IngressPort int
	// Parts brings the mesh's programs; it is asked when a mesh is needed.
	Parts func(context.Context) (parts.Parts, error)
}

// Starter starts fleets, one at a time in each slot.
func Starter(o Options) check.Start {
	if o.IngressPort == 0 {
		o.IngressPort = mesh.IngressPort
	}
	bring := bringer{options: o}
	return func(ctx context.Context, slot int, objects *manifest.Objects) (check.Target, error) {
		o := o
		var err error
		if o.Local, err = At(o.Local, slot); err != nil {
			return nil, err
		}
		if o.Local.Bin, err = bring.programs(ctx); err != nil {
			return nil, err
		}
		t := &target{options: o}
		if check.NeedsMesh(objects) {
			var found parts.Parts
			if found, err = bring.mesh(ctx); err != nil {
				return nil, err
			}
			if t.mesh, err = mesh.Start(ctx, objects, mesh.Options{Local: o.Local, Parts: found, IngressPort: o.IngressPort}); err != nil {
				return nil, explain(err)
			}
			t.fleet = t.mesh.Fleet()
		} else if t.fleet, err = local.Start(ctx, objects, o.Local); err != nil {
			return nil, explain(err)
		}
		if err := t.awaitVehicles(ctx); err != nil {
			t.Stop()
			return nil, err
		}
		return t, nil
	}
}

// bringer has the programs of fleets brought once, for all of them.
type bringer struct {
	options Options
	mu      sync.Mutex
	bin     string
	parts   *parts.Parts
}

func (b *bringer) programs(ctx context.Context) (bin string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bin == "" && b.options.Local.Bin == "" {
		b.bin, err = local.Build(ctx, b.options.Local)
	}
	return cmp.Or(b.options.Local.Bin, b.bin), err
}

func (b *bringer) mesh(ctx context.Context) (parts.Parts, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parts == nil {
		found, err := b.options.Parts(ctx)
		if err != nil {
			return found, err
		}
		b.parts = &found
	}
	return *b.parts, nil
}

// At is where the fleet of a slot runs: a network further for each, and one
// more for the proxies' own side of a mesh, a node address further, and a state
// directory beside the first.
func At(o local.Options, slot int) (local.Options, error) {
	if slot == 0 {
		return o, nil
	}
	network, node := o.Network, o.NodeAddress
	if !network.IsValid() {
		network = local.DefaultNetwork
	}
	if !node.IsValid() {
		node = local.DefaultNodeAddress
	}
	if !network.Addr().Is4() || !node.Is4() {
		return o, fmt.Errorf("fleets at once: IPv4 addresses are expected, not %v and %v", network, node)
	}
	further := func(address netip.Addr, by int) netip.Addr {
		bytes := address.As4()
		binary.BigEndian.PutUint32(bytes[:], binary.BigEndian.Uint32(bytes[:])+uint32(by))
		return netip.AddrFrom4(bytes)
	}
	first := further(network.Masked().Addr(), slot*2<<(32-network.Bits()))
	o.Network, o.NodeAddress = netip.PrefixFrom(first, network.Bits()), further(node, slot)
	if first.IsLoopback() != network.Addr().IsLoopback() || o.NodeAddress.IsLoopback() != node.IsLoopback() {
		return o, fmt.Errorf("fleets at once: %v and %v leave no addresses for fleet %d", network, node, slot+1)
	}
	o.State = fmt.Sprintf("%s-%d", filepath.Clean(o.State), slot+1)
	return o, nil
}

// explain adds the last lines of the log of a pod that did not get ready.
func explain(err error) error {
	var late *local.NotReadyError
	if errors.As(err, &late) && len(late.Last) > 0 {
		return fmt.Errorf("%w; its last line: %s", err, late.Last[len(late.Last)-1])
	}
	return err
}

type target struct {
	options Options
	fleet   *local.Fleet
	mesh    *mesh.Mesh // nil without
	faults  faults.Client
}

func (t *target) Stop() {
	if t.mesh != nil {
		t.mesh.Stop()
		return
	}
	t.fleet.Stop()
}

func (t *target) Err() error {
	if t.mesh == nil {
		return nil
	}
	return t.mesh.Err()
}

// id is the name by which the fleet knows a pod.
func id(pod local.Pod) string {
	if pod.Namespace == "" || pod.Namespace == manifest.DefaultNamespace {
		return pod.Name
	}
	return pod.Namespace + "/" + pod.Name
}

func (t *target) pods(deployment string) []local.Pod {
	var pods []local.Pod
	for _, pod := range t.fleet.Pods() {
		if pod.Deployment == deployment {
			pods = append(pods, pod)
		}
	}
	return pods
}

func (t *target) SetFaults(ctx context.Context, deployment, rules string) error {
	pods := t.pods(deployment)
	if len(pods) == 0 {
		return fmt.Errorf("no pod of Deployment %s", deployment)
	}
	for _, pod := range pods {
		var err error
		if rules == "none" {
			_, err = t.faults.Clear(ctx, pod)
		} else {
			_, err = t.faults.Set(ctx, pod, rules)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *target) Seeds(ctx context.Context) map[string]uint64 {
	seeds := map[string]uint64{}
	for _, pod := range t.fleet.Pods() {
		if state, err := t.faults.Get(ctx, pod); err == nil {
			seeds[id(pod)] = state.Seed
		}
	}
	return seeds
}

// Route implements check.Target.
func (t *target) Route(from scenario.Origin, to string) (check.Route, error) {
	node := t.options.Local.NodeAddress
	if !node.IsValid() {
		node = local.DefaultNodeAddress
	}
	switch {
	case from.Ingress:
		return atNode(node, t.options.IngressPort), nil
	case from.NodePort != 0:
		return atNode(node, from.NodePort), nil
	}
	pods := t.pods(from.Workload)
	if len(pods) == 0 {
		return check.Route{}, fmt.Errorf("no pod of Deployment %s to send from", from.Workload)
	}
	names := t.fleet.HostsFile()
	if t.mesh != nil {
		names, _ = t.mesh.HostsFile(id(pods[0]))
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return check.Route{}, fmt.Errorf("%s: %w", to, err)
	}
	return check.Route{Host: to, Dial: func(ctx context.Context, _ int) (net.Conn, error) {
		address, err := lookUp(names, host)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address, port))
	}}, nil
}

// atNode reaches a port of the node. Each source is a loopback address of its
// own, as users have addresses of their own.
func atNode(node netip.Addr, port int) check.Route {
	address := net.JoinHostPort(node.String(), strconv.Itoa(port))
	return check.Route{Host: address, Dial: func(ctx context.Context, source int) (net.Conn, error) {
		var dialer net.Dialer
		if source > 0 {
			dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 250, byte(source))}
		}
		return dialer.DialContext(ctx, "tcp", address)
	}}
}

// lookUp picks one of a name's addresses in a hosts file, as the services do.
func lookUp(path, name string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("looking up %s: %w", name, err)
	}
	var addresses []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 && slices.Contains(fields[1:], name) {
			addresses = append(addresses, fields[0])
		}
	}
	if len(addresses) == 0 {
		return "", fmt.Errorf("looking up %s: %s does not have it", name, path)
	}
	return addresses[rand.IntN(len(addresses))], nil
}

// How long the vehicles may take to be known, and how long their number has to
// stand still.
const (
	vehiclesLimit = 10 * time.Second
	vehiclesQuiet = 500 * time.Millisecond
)

// awaitVehicles waits until reports have come through the fleet. A fleet
// without a tracker, or one that is meant not to work, does not get there, and
// is left as it is after a while.
func (t *target) awaitVehicles(ctx context.Context) error {
	const sender, tracker = "api-gateway", "fleetman-position-tracker:8080"
	if len(t.pods(sender)) == 0 {
		return nil
	}
	route, err := t.Route(scenario.Origin{Workload: sender}, tracker)
	if err != nil {
		return nil
	}
	limit := time.Now().Add(vehiclesLimit)
	known, since := 0, time.Now()
	for time.Now().Before(limit) {
		n := vehicles(ctx, route)
		if n != known {
			known, since = n, time.Now()
		}
		if known > 0 && time.Since(since) >= vehiclesQuiet {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
