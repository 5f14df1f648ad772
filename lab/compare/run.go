package compare

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/load"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/record"
)

// plan is one arm with one fault and one seed.
type plan struct {
	o      Options
	arm    Arm
	fault  Fault
	seed   uint64
	timing Timing
}

// name is how the run is called in messages.
func (p plan) name() string {
	return record.Key{Arm: p.arm.Name, Fault: p.fault.Name, Seed: p.seed}.Name()
}

// run is a plan that is carried out, in a fleet of its own.
type run struct {
	plan
	mesh    *mesh.Mesh // nil without
	proxies []proxy
	istiod  int // its process; 0 without a mesh
	fleet   *local.Fleet
	client  faults.Client

	mu    sync.Mutex
	began time.Time // of the load; guarded, since pods have events before
	seen  record.Run
}

// maxInFlight is the most requests of the load in flight: those of 100 requests
// per second when none is answered before its caller gives up.
const maxInFlight = 1000

// maxMeasurements is how often a run is made until its load is on time.
const maxMeasurements = 3

// onTime measures a run until its load is on time, at most maxMeasurements
// times, and returns the last one.
func onTime(progress func(string), name string, measure func() (*record.Run, error)) (*record.Run, error) {
	for n := 1; ; n++ {
		seen, err := measure()
		if err != nil {
			return nil, err
		}
		seen.Measurements = n
		late := seen.Lateness()
		if !late.TooLate() {
			return seen, nil
		}
		again := "measuring again"
		if n == maxMeasurements {
			again = fmt.Sprintf("kept and marked after measurement %d", n)
		}
		progress(fmt.Sprintf("%s: the load was late (%v; must be p99 %v, at most %v): %s", name, late, record.UsualLateness, record.MaxLateness, again))
		if n == maxMeasurements {
			return seen, nil
		}
	}
}

// measure carries out the plan.
func (p plan) measure(ctx context.Context) (*record.Run, error) {
	r := &run{plan: p}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	defer r.stop()
	vehicles, err := r.awaitVehicles(ctx)
	if err != nil {
		return nil, err
	}
	target, err := r.target()
	if err != nil {
		return nil, err
	}
	r.begin(r.sampleFirst(ctx))
	answers, err := r.loadAndFault(ctx, newSender(p.o.Target, target, vehicles))
	if err != nil {
		return nil, err
	}
	r.sample(ctx, lastPatience)
	r.findHops()
	names := r.keep(answers)
	if err := r.accessLogs(ctx, names); err != nil {
		return nil, err
	}
	if err := r.readHistory(ctx, vehicles); err != nil {
		return nil, err
	}
	if r.mesh != nil {
		if err := r.mesh.Err(); err != nil { // a rejected update: the manifests were not what was measured
			return nil, err
		}
	}
	return &r.seen, nil
}

// begin starts the run's record and its time.
func (r *run) begin(first []record.Sample) {
	r.began = time.Now()
	t := r.timing
	r.seen = record.Run{
		Key: record.Key{Arm: r.arm.Name, Fault: r.fault.Name, Seed: r.seed}, Began: r.began, Rate: r.rate(),
		FaultAt: record.Offset(t.Healthy), RepairAt: record.Offset(t.Healthy + t.Fault), End: record.Offset(t.total()),
		Entry: r.entry(), Rules: r.fault.Rules, Curve: r.fault.Curve, Replicas: len(r.victims()), Settings: r.recorded(), Samples: first,
	}
	if r.fault.none() {
		r.seen.LoadUntil = record.Offset(t.total() - t.After)
	}
}

// findHops adds the calls of services to each other to the record.
func (r *run) findHops() {
	healthyUntil := r.seen.FaultAt
	if r.fault.none() {
		healthyUntil = 0 // of the whole run
	}
	r.seen.Hops = record.FindHops(r.seen.Samples, healthyUntil)
}

func (r *run) rate() float64 { return r.o.Rate * float64(max(1, r.fault.Times)) }

// loadAndFault sends the load and, beside it, sets the fault and clears it.
func (r *run) loadAndFault(ctx context.Context, s *sender) ([]load.Request[outcome], error) {
	lasts := r.timing.total()
	if r.seen.LoadUntil > 0 {
		lasts = time.Duration(r.seen.LoadUntil)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := r.timeline(ctx); err != nil {
			cancel(err)
		}
	})
	answers := load.Run(ctx, load.Plan{Pace: load.Pace(r.rate()), Duration: lasts, MaxInFlight: maxInFlight}, s.send)
	beside.Wait()
	return answers, context.Cause(ctx)
}

// keep adds the load's requests to the record and returns their names in access
// logs.
func (r *run) keep(answers []load.Request[outcome]) (names []string) {
	for _, a := range answers {
		names = append(names, checkName(a.N))
		o := a.Outcome
		r.seen.Requests = append(r.seen.Requests, record.Request{
			Intended: record.Offset(a.Intended), Start: record.Offset(a.Start), End: record.Offset(a.End), Delayed: a.Delayed,
			Route: o.route, Vehicle: o.vehicle, Status: o.status, Degraded: o.degraded, Error: o.failure, Injected: o.fault, Origin: o.origin,
		})
	}
	return names
}

// readHistory reads what happened from the fleet.
func (r *run) readHistory(ctx context.Context, vehicles []string) error {
	past, cancel := context.WithCancel(ctx)
	cancel() // only the events that are there
	for event := range r.fleet.Events(past) {
		if event.Time.After(r.began) {
			r.noteAt(event.Time, event.Pod, string(event.Kind), event.Detail)
		}
	}
	for _, pod := range r.fleet.Pods() {
		if err := r.breakers(ctx, pod); err != nil {
			return err
		}
	}
	slices.SortStableFunc(r.seen.Events, func(a, b record.Event) int { return int(a.At - b.At) })
	return r.positions(ctx, vehicles)
}

func (r *run) note(who, what, detail string) {
	r.noteAt(time.Now(), who, what, detail)
}

func (r *run) noteAt(at time.Time, who, what, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Events = append(r.seen.Events, record.Event{At: record.Offset(at.Sub(r.began)), Who: who, What: what, Detail: detail})
}
