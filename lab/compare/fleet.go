package compare

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

// Targets of the load.
const (
	// Gateway is the api-gateway's own port, the same for all arms: its proxy takes
	// the request there, if it has one.
	Gateway = "gateway"
	// Page is the webapp, whose page reads positions and drivers.
	Page = "page"
)

// Targets are those that are known.
var Targets = []string{Gateway, Page}

// target is the address to which the load goes.
func (r *run) target() (netip.AddrPort, error) {
	if r.arm.Ingress {
		for _, port := range r.fleet.NodePorts() {
			if port.Service == "istio-ingressgateway" && port.Name == "http" {
				return port.Address, nil
			}
		}
		return netip.AddrPort{}, errors.New("the mesh has no ingress gateway")
	}
	pods, err := faults.Find(r.fleet.Pods(), r.entry())
	if err != nil {
		return netip.AddrPort{}, err
	}
	address, err := netip.ParseAddr(pods[0].Address)
	return netip.AddrPortFrom(address, uint16(pods[0].Port)), err
}

// entry is the service that the load reaches first.
func (r *run) entry() string {
	if r.o.Target == Page {
		return "webapp"
	}
	return "api-gateway"
}

//go:embed ingress.yaml
var ingressObjects []byte

// start runs the arm's fleet, with the webapp only if it is the target.
func (r *run) start(ctx context.Context) error {
	objects, err := manifest.Load(filepath.Join(r.o.Root, r.arm.Dir))
	if err != nil {
		return err
	}
	if r.arm.Ingress {
		gateway, err := manifest.Decode("ingress.yaml", ingressObjects)
		if err != nil {
			return err
		}
		objects.All = append(objects.All, gateway...)
	}
	options := r.options()
	if r.arm.Mesh {
		err = r.startMesh(ctx, objects, options)
	} else {
		r.fleet, err = local.Start(ctx, objects, options)
	}
	var late *local.NotReadyError
	if errors.As(err, &late) && len(late.Last) > 0 {
		err = fmt.Errorf("%w: %s", err, late.Last[len(late.Last)-1])
	}
	return err
}

func (r *run) options() local.Options {
	wanted := map[string]int{staff: replicas}
	if r.o.Target != Page {
		wanted["webapp"] = 0
	}
	maps.Copy(wanted, r.arm.Replicas)
	last := r.o.Network.Masked().Addr().As4()
	last[3] = 250
	return local.Options{
		Root: r.o.Root, Bin: r.o.Bin, State: filepath.Join(r.o.Out, "fleet"), Environ: r.o.Environ,
		Network: r.o.Network, NodeAddress: netip.AddrFrom4(last),
		Replicas: wanted, Set: r.settings(),
		StopTimeout:  time.Second, // requests in flight do not matter any more
		ReadyTimeout: time.Minute, // on a busy machine
	}
}

func (r *run) startMesh(ctx context.Context, objects *manifest.Objects, options local.Options) (err error) {
	var lookEvery time.Duration
	if r.fault.none() {
		lookEvery = kubeletEvery
	}
	if r.mesh, err = mesh.Start(ctx, objects, mesh.Options{Local: options, Binaries: r.o.found, LookEvery: lookEvery}); err == nil {
		r.fleet = r.mesh.Fleet()
		r.proxies, r.istiod, err = proxiesOf(ctx, r.mesh)
	}
	if err != nil && r.mesh != nil {
		r.mesh.Stop()
	}
	return err
}

// kubeletEvery is the period of the readiness probe that Istio's injector writes. Reading each
// proxy's state every second shows changes sooner, but costs CPU that a cluster's proxy does not use.
const kubeletEvery = 15 * time.Second

func (r *run) stop() {
	for _, p := range r.proxies {
		p.admin.Close()
	}
	r.fleet.Stop()
}
