package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
)

// target is where the load goes.
type target struct {
	host  string // of the requests, with its port
	entry string // the Deployment that they reach first
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
}

// target finds where the load goes. A Service is reached as kube-proxy leads
// there: each connection goes to one of its ready pods.
func (r *running) target() (target, error) {
	name, service := cmp.Or(r.arm.Target, r.e.Load.Target), ""
	switch name {
	case experiment.TargetIngress:
		return r.ingress()
	case experiment.TargetPage:
		service = "webapp"
	default:
		service = name
	}
	pods, err := faults.Find(r.fleet.Pods(), service)
	if err != nil {
		return target{}, fmt.Errorf("load: target: %w", err)
	}
	to := target{entry: pods[0].Deployment, host: net.JoinHostPort(pods[0].Address, strconv.Itoa(pods[0].Port))}
	if r.e.Load.From != "" {
		return r.from(to, pods[0])
	}
	to.dial = r.dialOne(func(string) (found []string, err error) {
		pods, err := faults.Find(r.fleet.Pods(), service)
		for _, ready := range []bool{true, false} {
			for _, pod := range pods {
				if pod.Ready == ready {
					found = append(found, net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port)))
				}
			}
			if len(found) > 0 {
				break
			}
		}
		return found, err
	})
	return to, nil
}

// dialOne returns a function that connects to one of the addresses that it finds
// for the one of a request. A seed draws the same.
func (r *running) dialOne(find func(address string) ([]string, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	var mu sync.Mutex
	source := rand.New(rand.NewPCG(r.seed, 0))
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		found, err := find(address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		n := source.IntN(len(found))
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, found[n])
	}
}

// ingress is the mesh's ingress gateway.
func (r *running) ingress() (target, error) {
	for _, port := range r.fleet.NodePorts() {
		if port.Service == "istio-ingressgateway" && port.Name == "http" {
			return target{host: port.Address.String(), entry: port.Service, dial: new(net.Dialer).DialContext}, nil
		}
	}
	return target{}, errors.New("load: target: ingress: must be of an arm with a mesh, and with a Gateway in its manifests")
}

// from reaches a Service as a pod of another one would: by the names that this
// pod has, which lead to its proxy if it has one.
func (r *running) from(to target, pod local.Pod) (target, error) {
	callers, err := faults.Find(r.fleet.Pods(), r.e.Load.From)
	if err != nil {
		return target{}, fmt.Errorf("load: from: %w", err)
	}
	if len(pod.Services) == 0 {
		return target{}, fmt.Errorf("load: target: %s: must be a Service", r.e.Load.Target)
	}
	names := r.fleet.HostsFile()
	if r.mesh != nil {
		names, _ = r.mesh.HostsFile(callers[0].Name)
	}
	to.host = net.JoinHostPort(pod.Services[0], strconv.Itoa(pod.DeclaredPort))
	to.dial = r.dialOne(func(address string) ([]string, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		found, err := local.LookUp(names, host)
		for i := range found {
			found[i] = net.JoinHostPort(found[i], port)
		}
		return found, err
	})
	return to, nil
}

// start runs the arm's fleet.
func (r *running) start(ctx context.Context) (err error) {
	options := r.options()
	if r.plan.mesh {
		err = r.startMesh(ctx, options)
	} else {
		r.fleet, err = local.Start(ctx, r.objects, options)
	}
	var late *local.NotReadyError
	if errors.As(err, &late) && len(late.Last) > 0 {
		err = fmt.Errorf("%w: %s", err, late.Last[len(late.Last)-1])
	}
	return err
}

func (r *running) options() local.Options {
	last := r.o.Network.Masked().Addr().As4()
	last[3] = 250
	return local.Options{
		Root: r.o.Root, Bin: r.o.Bin, State: filepath.Join(r.o.Out, "fleet"), Environ: r.o.Environ,
		Network: r.o.Network, NodeAddress: netip.AddrFrom4(last),
		Replicas: r.arm.Pods(), Set: r.settings(), Relays: r.relayed(),
		StopTimeout:  time.Second, // requests in flight do not matter any more
		ReadyTimeout: time.Minute, // on a busy machine
	}
}

func (r *running) startMesh(ctx context.Context, options local.Options) (err error) {
	var lookEvery time.Duration
	if r.none() {
		lookEvery = kubeletEvery
	}
	if r.mesh, err = mesh.Start(ctx, r.objects, mesh.Options{Local: options, Binaries: r.o.found, LookEvery: lookEvery}); err == nil {
		r.fleet = r.mesh.Fleet()
		r.noteMesh()
		r.proxies, r.istiod, err = proxiesOf(ctx, r.mesh)
	}
	if err != nil && r.mesh != nil {
		r.mesh.Stop()
	}
	return err
}

// noteMesh prints the mesh's notes, once for each arm. The record of every run
// has them.
func (r *running) noteMesh() {
	r.notes = r.mesh.Notes()
	for _, note := range r.notes {
		if line := r.arm.Name + ": " + note; !r.o.noted[line] {
			r.o.noted[line] = true
			r.o.Progress(line)
		}
	}
}

// kubeletEvery is the period of the readiness probe that Istio's injector writes. Reading each
// proxy's state every second shows changes sooner, but costs CPU that a cluster's proxy does not use.
const kubeletEvery = 15 * time.Second

func (r *running) stop() {
	for _, p := range r.proxies {
		p.admin.Close()
	}
	if r.mesh != nil {
		r.mesh.Stop()
		return
	}
	r.fleet.Stop()
}
