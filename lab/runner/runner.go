// Package runner runs scenarios on this machine, where pods are processes with real proxies beside them when
// the manifests ask for any, and on a cluster.
package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/process"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/scenario/check"
)

// Options configure the fleets.
type Options struct {
	Local local.Options
	// IngressPort is where the ingress gateway is reached at the node's
	// address; 0 is a free port, as every NodePort gets one.
	IngressPort int
	// Binaries returns the programs of the mesh. It is called when a mesh is needed.
	Binaries func(context.Context) (binaries.Set, error)
}

// Starter returns a function that starts fleets, one at a time in each place.
func Starter(o Options) check.Start {
	o.Local.FreeNodePorts = true
	return func(ctx context.Context, place int, objects *manifest.Objects) (check.Target, error) {
		o := o.at(place)
		t := &target{options: o}
		var err error
		if objects.NeedsMesh() {
			var found binaries.Set
			if found, err = o.Binaries(ctx); err != nil {
				return nil, err
			}
			// A port that was free may be another fleet's by the time that istiod opens it.
			for tries := range 3 {
				t.mesh, err = mesh.Start(ctx, objects, mesh.Options{Local: o.Local, Binaries: found, IngressPort: o.IngressPort})
				if err == nil || tries == 2 || !strings.Contains(err.Error(), "address already in use") {
					break
				}
			}
			if err != nil {
				return nil, err
			}
			t.fleet = t.mesh.Fleet()
		} else if t.fleet, err = local.Start(ctx, objects, o.Local); err != nil {
			return nil, err
		}
		if err := t.awaitVehicles(ctx); err != nil {
			t.Stop()
			return nil, err
		}
		return t, nil
	}
}

// at returns the options of one place: its own directory, node address and
// network. Networks are two apart, because a mesh uses the next one too.
func (o Options) at(place int) Options {
	if place == 0 {
		return o
	}
	o.Local = o.Local.WithDefaults()
	network, node := o.Local.Network.Addr().As4(), o.Local.NodeAddress.As4()
	network[2] += byte(2 * place)
	node[3] += byte(place)
	o.Local.Network = netip.PrefixFrom(netip.AddrFrom4(network), o.Local.Network.Bits())
	o.Local.NodeAddress = netip.AddrFrom4(node)
	o.Local.State = filepath.Join(o.Local.State, strconv.Itoa(place))
	o.Local.Locked = false // the caller locked that of place 0
	return o
}

// CheckFree returns an error if another fleet uses the network of one of the first
// places.
func (o Options) CheckFree(places int) error {
	for place := range places {
		if err := local.CheckFree(o.at(place).Local); err != nil {
			return err
		}
	}
	return nil
}

type target struct {
	options Options
	fleet   *local.Fleet
	mesh    *mesh.Mesh // nil without
	faults  faults.Client
}

// Running returns a running fleet as a target, which Stop does not stop. meshed is nil without a mesh.
func Running(fleet *local.Fleet, meshed *mesh.Mesh) check.Target {
	return running{&target{fleet: fleet, mesh: meshed}}
}

type running struct{ *target }

// Stop implements check.Target.
func (running) Stop() {}

func (t *target) Stop() {
	if t.mesh != nil {
		t.mesh.Stop()
		return
	}
	t.fleet.Stop()
}

// Err implements check.Target.
func (t *target) Err(ctx context.Context) error {
	if t.mesh == nil {
		return nil
	}
	return t.mesh.Check(ctx)
}

func (t *target) pods(deployment string) []local.Pod { return podsOf(t.fleet.Pods(), deployment) }

// podsOf returns the pods of a Deployment.
func podsOf(pods []local.Pod, deployment string) (found []local.Pod) {
	for _, pod := range pods {
		if pod.Deployment == deployment {
			found = append(found, pod)
		}
	}
	return found
}

// SetFaults implements check.Target.
func (t *target) SetFaults(ctx context.Context, deployment, rules string) error {
	return setFaults(ctx, &t.faults, t.pods(deployment), deployment, rules)
}

// Kill implements check.Target.
func (t *target) Kill(_ context.Context, deployment string) error {
	return each(t.pods(deployment), deployment, func(pod local.Pod) error {
		_, err := t.fleet.Kill(pod.Name, syscall.SIGTERM)
		return err
	})
}

// each calls do with each of the pods of a Deployment, until an error.
func each(pods []local.Pod, deployment string, do func(local.Pod) error) error {
	if len(pods) == 0 {
		return fmt.Errorf("no pod of Deployment %s", deployment)
	}
	for _, pod := range pods {
		if err := do(pod); err != nil {
			return err
		}
	}
	return nil
}

// setFaults sets the rules of the pods of a Deployment; "none" clears them.
func setFaults(ctx context.Context, client *faults.Client, pods []local.Pod, deployment, rules string) error {
	return each(pods, deployment, func(pod local.Pod) (err error) {
		if rules == "none" {
			_, err = client.Clear(ctx, pod)
		} else {
			_, err = client.Set(ctx, pod, rules)
		}
		return err
	})
}

// Route implements check.Target.
func (t *target) Route(_ context.Context, r *scenario.Requests) (check.Route, error) {
	from, to := r.From, r.To
	switch {
	case from.Ingress:
		return nodeRoute(t.fleet.NodePorts(), func(p local.NodePort) bool { return p.Service == "istio-ingressgateway" && p.Name == "http" }, dialNode), nil
	case from.NodePort != 0:
		return nodeRoute(t.fleet.NodePorts(), func(p local.NodePort) bool { return p.Declared == from.NodePort }, dialNode), nil
	}
	pods := t.pods(from.Workload)
	if len(pods) == 0 {
		return check.Route{}, fmt.Errorf("no pod of Deployment %s to send from", from.Workload)
	}
	names := t.fleet.HostsFile()
	if t.mesh != nil {
		names, _ = t.mesh.HostsFile(pods[0].Name)
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return check.Route{}, fmt.Errorf("%s: %w", to, err)
	}
	return check.Route{Host: to, Dial: func(ctx context.Context, _ int) (net.Conn, error) {
		addresses, err := local.LookUp(names, host)
		if err != nil {
			return nil, err
		}
		address := addresses[rand.IntN(len(addresses))]
		return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address, port))
	}}, nil
}

// nodeRoute returns the route to the node port that meant selects, to which dial connects. Without such a port, as
// for the ingress of a fleet without a Gateway, connections are refused.
func nodeRoute(ports []local.NodePort, meant func(local.NodePort) bool, dial func(ctx context.Context, address string, source int) (net.Conn, error)) check.Route {
	i := slices.IndexFunc(ports, meant)
	if i < 0 {
		return check.Route{Host: "node", Dial: func(context.Context, int) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}}
	}
	address := ports[i].Address.String()
	return check.Route{Host: address, Dial: func(ctx context.Context, source int) (net.Conn, error) { return dial(ctx, address, source) }}
}

// dialNode connects to a port of the node. Each source has its own loopback address, as users have their own
// addresses.
func dialNode(ctx context.Context, address string, source int) (net.Conn, error) {
	var dialer net.Dialer
	if source > 0 {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 250, byte(source))}
	}
	return dialer.DialContext(ctx, "tcp", address)
}

// vehiclesLimit is the longest wait for vehicles, and vehiclesQuiet the time for
// which their number must not change.
const (
	vehiclesLimit = 10 * time.Second
	vehiclesQuiet = 500 * time.Millisecond
)

// awaitVehicles waits until the tracker has vehicles, at most vehiclesLimit: a
// fleet without a tracker, or one that is meant to fail, has none.
func (t *target) awaitVehicles(ctx context.Context) error {
	const sender, tracker = "api-gateway", "fleetman-position-tracker:8080"
	if len(t.pods(sender)) == 0 {
		return nil
	}
	route, err := t.Route(ctx, &scenario.Requests{From: scenario.Origin{Workload: sender}, To: tracker})
	if err != nil {
		return nil
	}
	return settle(ctx, route)
}

// settle waits until the tracker at the end of a route has vehicles, and their number does not change, at
// most vehiclesLimit.
func settle(ctx context.Context, route check.Route) error {
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
		if err := process.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
