package compare

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/load"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/parts"
	"fleetman.example/lab/record"
)

// cell is one arm that meets one fault with one seed, in a fleet of its own.
type cell struct {
	o      Options
	arm    Arm
	fault  Fault
	seed   uint64
	timing Timing

	parts   parts.Parts // of an arm with a mesh
	mesh    *mesh.Mesh  // nil without
	proxies []proxy
	istiod  int // its process; 0 without a mesh
	fleet   *local.Fleet
	client  faults.Client

	mu    sync.Mutex
	began time.Time // of the load; guarded, since pods have events before
	seen  record.Cell
}

// maxInFlight bounds the load's requests under way: what 100 requests a second
// have when none is answered within the patience of their callers.
const maxInFlight = 1000

func (c *cell) run(ctx context.Context) (*record.Cell, error) {
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	defer c.stop()
	vehicles, err := c.awaitVehicles(ctx)
	if err != nil {
		return nil, err
	}
	door, err := c.door()
	if err != nil {
		return nil, err
	}
	s := newSender(door, vehicles)
	rate := c.o.Rate * float64(c.fault.Times)
	first := c.sampleFirst(ctx)
	c.began = time.Now()
	c.seen = record.Cell{
		Key: record.Key{Arm: c.arm.Name, Fault: c.fault.Name, Seed: c.seed}, Began: c.began, Rate: rate,
		FaultAt: record.Moment(c.timing.Healthy), RepairAt: record.Moment(c.timing.Healthy + c.timing.Fault), End: record.Moment(c.timing.total()),
		Rules: c.fault.Rules, Curve: c.fault.Curve, Machine: thisMachine(), Samples: first,
	}
	lasts := c.timing.total()
	if c.fault.none() {
		lasts -= c.timing.After
		c.seen.LoadUntil = record.Moment(lasts)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := c.timeline(ctx); err != nil {
			cancel(err)
		}
	})
	shots := load.Run(ctx, load.Plan{Pace: load.Pace(rate), Duration: lasts, MaxInFlight: maxInFlight}, s.send)
	beside.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	c.sample(ctx, lastPatience)
	var names []string
	for _, shot := range shots {
		names = append(names, checkName(shot.N))
		c.seen.Requests = append(c.seen.Requests, record.Request{
			Intended: record.Moment(shot.Intended), Start: record.Moment(shot.Start), End: record.Moment(shot.End), Held: shot.Held,
			Vehicle: shot.Outcome.vehicle, Status: shot.Outcome.status, Degraded: shot.Outcome.degraded, Error: shot.Outcome.failure, Injected: shot.Outcome.fault,
		})
	}
	if err := c.passages(ctx, names); err != nil {
		return nil, err
	}
	if err := c.aftermath(ctx, vehicles); err != nil {
		return nil, err
	}
	if c.mesh != nil {
		if err := c.mesh.Err(); err != nil { // a rejected update: not what the manifests say was measured
			return nil, err
		}
	}
	return &c.seen, nil
}

// door is where the load goes: the gateway's own port, for all arms the same;
// with proxies its own takes the call there.
func (c *cell) door() (netip.AddrPort, error) {
	if c.arm.Ingress {
		for _, port := range c.fleet.NodePorts() {
			if port.Service == "istio-ingressgateway" && port.Name == "http" {
				return port.Address, nil
			}
		}
		return netip.AddrPort{}, errors.New("the mesh has no ingress gateway")
	}
	gateway, err := faults.Find(c.fleet.Pods(), "api-gateway")
	if err != nil {
		return netip.AddrPort{}, err
	}
	address, err := netip.ParseAddr(gateway[0].Address)
	return netip.AddrPortFrom(address, uint16(gateway[0].Port)), err
}

//go:embed ingress.yaml
var ingressObjects []byte

// start runs the arm's fleet with two replicas of the victim, without the
// page.
func (c *cell) start(ctx context.Context) error {
	objects, err := manifest.Load(filepath.Join(c.o.Root, c.arm.Dir))
	if err != nil {
		return err
	}
	if c.arm.Ingress {
		door, err := manifest.Decode("ingress.yaml", ingressObjects)
		if err != nil {
			return err
		}
		objects.All = append(objects.All, door...)
	}
	wanted := map[string]int{victim: replicas, "webapp": 0}
	maps.Copy(wanted, c.arm.Replicas)
	last := c.o.Network.Masked().Addr().As4()
	last[3] = 250
	options := local.Options{
		Root: c.o.Root, Bin: c.o.Bin, State: filepath.Join(c.o.Out, "fleet"), Environ: c.o.Environ,
		Network: c.o.Network, NodeAddress: netip.AddrFrom4(last),
		Replicas: wanted, Set: c.arm.settings(c.seed),
		StopTimeout:  time.Second, // what is under way does not matter any more
		ReadyTimeout: time.Minute, // on a busy machine
	}
	if c.arm.Mesh {
		var lookEvery time.Duration
		if c.fault.none() {
			lookEvery = kubeletEvery
		}
		if c.mesh, err = mesh.Start(ctx, objects, mesh.Options{Local: options, Parts: c.parts, LookEvery: lookEvery}); err == nil {
			c.fleet = c.mesh.Fleet()
			c.proxies, c.istiod, err = proxiesOf(ctx, c.mesh)
		}
		if err != nil && c.mesh != nil {
			c.mesh.Stop()
		}
	} else {
		c.fleet, err = local.Start(ctx, objects, options)
	}
	var late *local.NotReadyError
	if errors.As(err, &late) && len(late.Last) > 0 {
		err = fmt.Errorf("%w: %s", err, late.Last[len(late.Last)-1])
	}
	return err
}

// kubeletEvery is how often a cluster asks a proxy, by the probe that Istio's injector writes. Asking
// each second shows what happens sooner, but its price is not the mesh's.
const kubeletEvery = 15 * time.Second

func (c *cell) stop() {
	for _, p := range c.proxies {
		p.admin.Close()
	}
	c.fleet.Stop()
}

// timeline sets the fault and repairs it, with samples all along.
func (c *cell) timeline(ctx context.Context) error {
	victims, err := faults.Find(c.fleet.Pods(), victim)
	if err != nil {
		return err
	}
	if !c.fault.All {
		victims = victims[:1]
	}
	if c.fault.none() {
		return c.sampleUntil(ctx, c.timing.total())
	}
	for _, pod := range victims {
		c.seen.Pods = append(c.seen.Pods, pod.Name)
	}
	if err := c.sampleUntil(ctx, c.timing.Healthy); err != nil {
		return err
	}
	keeping, stop := context.WithCancel(ctx)
	defer stop()
	var kept sync.WaitGroup
	for _, pod := range victims {
		if _, err := c.client.Set(ctx, pod, c.fault.Rules); err != nil {
			return fmt.Errorf("setting the fault: %w", err)
		}
		c.note("fleetman", "fault set", fmt.Sprintf("%s: %s", pod.Name, c.fault.Rules))
		if c.fault.Again {
			kept.Go(func() { c.setAgain(keeping, pod) })
		}
	}
	if err := c.sampleUntil(ctx, c.timing.Healthy+c.timing.Fault); err != nil {
		return err
	}
	stop()
	kept.Wait()
	for _, pod := range victims {
		if _, err := c.client.Clear(ctx, pod); err != nil && !c.fault.Again { // one that is away has none when it comes back
			return fmt.Errorf("repairing the fault: %w", err)
		}
		c.note("fleetman", "repaired", pod.Name)
	}
	return c.sampleUntil(ctx, c.timing.total())
}

// setAgain sets the fault of a pod that has come back without it.
func (c *cell) setAgain(ctx context.Context, pod local.Pod) {
	since := time.Now()
	for event := range c.fleet.Events(ctx) {
		if event.Pod == pod.Name && event.Kind == local.Ready && event.Time.After(since) {
			if _, err := c.client.Set(ctx, pod, c.fault.Rules); err == nil {
				c.note("fleetman", "fault set", fmt.Sprintf("%s again: %s", pod.Name, c.fault.Rules))
			}
		}
	}
}

func (c *cell) note(who, what, detail string) {
	c.noteAt(time.Now(), who, what, detail)
}

func (c *cell) noteAt(at time.Time, who, what, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Events = append(c.seen.Events, record.Event{At: record.Moment(at.Sub(c.began)), Who: who, What: what, Detail: detail})
}

// aftermath asks the fleet what happened.
func (c *cell) aftermath(ctx context.Context, vehicles []string) error {
	past, cancel := context.WithCancel(ctx)
	cancel() // what has happened, and no waiting for more
	for event := range c.fleet.Events(past) {
		if event.Time.After(c.began) {
			c.noteAt(event.Time, event.Pod, string(event.Kind), event.Detail)
		}
	}
	for _, pod := range c.fleet.Pods() {
		if err := c.breakers(ctx, pod); err != nil {
			return err
		}
	}
	slices.SortStableFunc(c.seen.Events, func(a, b record.Event) int { return int(a.At - b.At) })
	return c.positions(ctx, vehicles)
}
