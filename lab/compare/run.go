package compare

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/load"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/record"
)

// running is a plan that is carried out, in a fleet of its own.
type running struct {
	plan
	mesh    *mesh.Mesh // nil without
	proxies []proxy
	istiod  int      // its process; 0 without a mesh
	notes   []string // of the mesh
	fleet   *local.Fleet
	client  faults.Client

	mu    sync.Mutex
	began time.Time // of the load; guarded, since pods have events before
	seen  record.Run
}

// maxMeasurements is how often a run is made until its load is on time.
const maxMeasurements = 3

// onTime measures a run until its load is on time, at most as often as the options
// say, and returns the last one.
func (o Options) onTime(name string, measure func() (*record.Run, error)) (*record.Run, error) {
	most := cmp.Or(o.Measurements, maxMeasurements)
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
		if n == most {
			again = fmt.Sprintf("kept and marked after measurement %d", n)
		}
		o.Progress(fmt.Sprintf("%s: the load was late (%v; must be p99 %v, at most %v): %s", name, late, record.UsualLateness, record.MaxLateness, again))
		if n == most {
			return seen, nil
		}
	}
}

// measure carries out the plan.
func (p plan) measure(ctx context.Context) (*record.Run, error) {
	r := &running{plan: p}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	defer r.stop()
	if err := r.tryRules(ctx); err != nil {
		return nil, err
	}
	vehicles, err := r.vehicles(ctx)
	if err != nil {
		return nil, err
	}
	target, err := r.target()
	if err != nil {
		return nil, err
	}
	r.begin(r.sampleFirst(ctx), target)
	answers, err := r.loadAndFault(ctx, newSender(p.e.Load, target, vehicles))
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
func (r *running) begin(first []record.Sample, target target) {
	r.began = time.Now()
	phases := r.e.Phases
	r.seen = record.Run{
		Key: r.key(), Began: r.began, Rate: r.o.rate(), Entry: target.entry,
		FaultAt: record.Offset(phases.Healthy), RepairAt: record.Offset(phases.Healthy + phases.Fault), End: record.Offset(r.lasts()),
		Rules: rulesText(r.fault), Curve: r.fault.Curve, Replicas: r.replicas(), Settings: r.recorded(), Notes: r.notes, Samples: first,
	}
	if r.fault.Of != r.fault.Name || r.arm.Of != r.arm.Name {
		r.seen.ArmOf, r.seen.FaultOf, r.seen.Point = r.arm.Of, r.fault.Of, map[string]string{}
		for axis, value := range experiment.At(r.arm, r.fault) {
			r.seen.Point[axis] = string(value)
		}
	}
	if r.none() {
		r.seen.LoadUntil = r.seen.RepairAt
	}
}

// findHops adds the calls of services to each other to the record, those of a load
// that a service sends among them.
func (r *running) findHops() {
	var load *record.Hop
	if callers, err := faults.Find(r.fleet.Pods(), r.e.Load.From); r.e.Load.From != "" && err == nil {
		load = &record.Hop{Caller: callers[0].Deployment, Upstream: r.seen.Entry}
		for _, stream := range r.e.Load.Streams {
			load.Methods = append(load.Methods, stream.Method)
		}
	}
	healthyUntil := r.seen.FaultAt
	if r.none() {
		healthyUntil = 0 // of the whole run
	}
	r.seen.Hops = record.FindHops(r.seen.Samples, healthyUntil, load)
}

// schedule is the load's rate.
func (o Options) schedule() load.Schedule {
	l := o.Experiment.Load
	switch {
	case l.Ramp != nil:
		phases := o.Experiment.Phases
		return load.Rates{{From: l.Ramp.From, To: l.Ramp.To, For: time.Duration(phases.Healthy + phases.Fault + phases.After)}}
	case len(l.Steps) > 0:
		var rates load.Rates
		for _, step := range l.Steps {
			rates = append(rates, load.Part{From: step.Rate, To: step.Rate, For: time.Duration(step.For)})
		}
		return rates
	}
	return load.Pace(l.Rate)
}

// rate is the mean number of requests per second while there is the fault.
func (o Options) rate() float64 {
	s, from, lasts := o.schedule(), time.Duration(o.Experiment.Phases.Healthy), time.Duration(o.Experiment.Phases.Fault)
	if steady, ok := s.(load.Pace); ok {
		return float64(steady)
	}
	return float64(load.Count(s, from+lasts)-load.Count(s, from)) / lasts.Seconds()
}

// loadAndFault sends the load and, beside it, sets the fault and clears it.
func (r *running) loadAndFault(ctx context.Context, s *sender) ([]load.Request[outcome], error) {
	lasts := r.lasts()
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
	answers := load.Run(ctx, load.Plan{Schedule: r.o.schedule(), Duration: lasts, MaxInFlight: r.e.Load.MaxInFlight}, s.send)
	beside.Wait()
	return answers, context.Cause(ctx)
}

// keep adds the load's requests to the record and returns their names in access
// logs.
func (r *running) keep(answers []load.Request[outcome]) (names []string) {
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
func (r *running) readHistory(ctx context.Context, vehicles []string) error {
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

func (r *running) note(who, what, detail string) {
	r.noteAt(time.Now(), who, what, detail)
}

func (r *running) noteAt(at time.Time, who, what, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Events = append(r.seen.Events, record.Event{At: record.Offset(at.Sub(r.began)), Who: who, What: what, Detail: detail})
}
