package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/load"
	"fleetman.example/lab/loader"
	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
)

// running is a plan that is carried out, in a fleet of its own.
type running struct {
	plan
	fleet fleet

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

// attempt carries out the plan. When the place has lost something of the run, it makes the run again.
func (p plan) attempt(ctx context.Context) (*record.Run, error) {
	for n := 1; ; n++ {
		seen, err := p.measure(ctx)
		if err == nil || ctx.Err() != nil || n == maxMeasurements || !p.o.at.repeats(err) {
			return seen, err
		}
		p.o.Progress(fmt.Sprintf("%s: %v: measuring again", p.name(), err))
	}
}

// LeftError is the error of a fleet that could not be removed, such as after Ctrl-C.
type LeftError struct{ error }

func (e LeftError) Unwrap() error { return e.error }

// measure carries out the plan.
func (p plan) measure(ctx context.Context) (seen *record.Run, err error) {
	r := &running{plan: p}
	if r.fleet, err = p.o.at.start(ctx, p); err != nil {
		return nil, err
	}
	defer func() {
		if left := r.fleet.stop(); left != nil {
			err = errors.Join(err, LeftError{left})
		}
	}()
	if err := r.tryRules(ctx); err != nil {
		return nil, err
	}
	vehicles, err := r.vehicles(ctx)
	if err != nil {
		return nil, err
	}
	load, entry, err := r.fleet.prepare(ctx, r, vehicles)
	if err != nil {
		return nil, err
	}
	first := r.sampleFirst(ctx)
	began, err := load.begin(ctx)
	if err != nil {
		return nil, err
	}
	r.begin(began, first, entry)
	requests, err := r.loadAndFault(ctx, load)
	if err != nil {
		return nil, err
	}
	r.sample(ctx, lastPatience)
	r.addUsed()
	r.findHops()
	r.keep(requests)
	if err := r.addAccessLogs(ctx, load.check()); err != nil {
		return nil, err
	}
	if err := r.readHistory(ctx, vehicles); err != nil {
		return nil, err
	}
	return &r.seen, r.fleet.err(ctx)
}

// begin starts the run's record and its time.
func (r *running) begin(began time.Time, first []record.Sample, entry string) {
	r.began = began
	phases := r.e.Phases
	r.seen = record.Run{
		Key: r.key(), Began: r.began, Rate: r.o.rate(), Entry: entry,
		FaultAt: record.Offset(phases.Healthy), RepairAt: record.Offset(phases.Healthy + phases.Fault), End: record.Offset(r.lasts()),
		Rules: rulesText(r.fault), Curve: r.fault.Curve, Replicas: r.replicas(), Settings: r.recorded(), Inputs: r.inputs(), Notes: r.fleet.notes(), Samples: first,
	}
	if r.fault.Of != r.fault.Name || r.arm.Of != r.arm.Name {
		r.seen.ArmOf, r.seen.FaultOf, r.seen.Point = r.arm.Of, r.fault.Of, experiment.At(r.arm, r.fault)
	}
	if r.none() {
		r.seen.LoadUntil = r.seen.RepairAt
	}
}

// findHops adds the calls of services to each other to the record, those of a load
// that a service sends among them.
func (r *running) findHops() {
	load := record.Hop{Upstream: r.seen.Entry, Methods: r.e.Load.Methods()}
	if caller, err := r.caller(); r.e.Load.From != "" && err == nil {
		load.Caller = caller.Deployment
	}
	r.seen.Hops = record.FindHops(r.seen.Samples, r.seen.HealthyUntil(), load)
}

// target is where an arm's load goes.
func (o Options) target(arm experiment.Arm) string {
	return cmp.Or(arm.Target, o.Experiment.Load.Target)
}

func (p plan) targetName() string { return p.o.target(p.arm) }

// noIngress is the mistake of an arm whose load goes to the ingress gateway, and that has none.
func (o Options) noIngress(arm experiment.Arm) experiment.Problem {
	return o.Experiment.Problem(o.targetField(arm), "ingress: must be of an arm with a mesh, and with a Gateway in its manifests, which %s is not", arm.Name)
}

// targetField is the path of the field that has an arm's target.
func (o Options) targetField(arm experiment.Arm) string {
	if arm.Target == "" {
		return "load.target"
	}
	return o.Experiment.Field(arm.Of, "target")
}

// targets returns the pods of the Service to which the load goes.
func (r *running) targets() ([]local.Pod, error) {
	name := r.targetName()
	if name == experiment.TargetPage {
		name = "webapp"
	}
	pods, err := faults.Find(r.fleet.Pods(), name)
	if err != nil {
		return nil, fmt.Errorf("load: target: %w", err)
	}
	return pods, nil
}

// caller returns the pod that the load is sent from: the first one of the service in load.from.
func (r *running) caller() (local.Pod, error) {
	pods, err := faults.Find(r.fleet.Pods(), r.e.Load.From)
	if err != nil {
		return local.Pod{}, fmt.Errorf("load: from: %w", err)
	}
	return pods[0], nil
}

// load is the load of the run, without its host.
func (p plan) load(vehicles []string) loader.Plan {
	lasts := p.lasts()
	if p.none() {
		lasts = time.Duration(p.e.Phases.Healthy + p.e.Phases.Fault)
	}
	return loader.Plan{Load: p.e.Load, Rates: p.o.schedule(), Lasts: lasts, Names: vehicles, Check: "load-", Parts: 1}
}

// schedule is the load's rate.
func (o Options) schedule() load.Rates {
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
	return load.Rates{{From: l.Rate, To: l.Rate}}
}

// rate is the mean number of requests per second while there is the fault.
func (o Options) rate() float64 {
	if steady := o.Experiment.Load.Rate; steady != 0 {
		return steady
	}
	s, from, lasts := o.schedule(), time.Duration(o.Experiment.Phases.Healthy), time.Duration(o.Experiment.Phases.Fault)
	return float64(load.Count(s, from+lasts)-load.Count(s, from)) / lasts.Seconds()
}

// loadAndFault sends the load and, beside it, sets the fault and clears it.
func (r *running) loadAndFault(ctx context.Context, l sending) ([]loader.Request, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := r.timeline(ctx); err != nil {
			cancel(err)
		}
	})
	requests, err := l.run(ctx)
	if err != nil {
		cancel(err)
	}
	beside.Wait()
	return requests, context.Cause(ctx)
}

// addUsed adds what the place has measured of all processes together.
func (r *running) addUsed() {
	for _, s := range r.fleet.used(r.began) {
		s.UsageOnly = true
		r.seen.Samples = append(r.seen.Samples, s)
	}
}

// keep adds the load's requests to the record.
func (r *running) keep(requests []loader.Request) {
	for _, a := range requests {
		o := a.Outcome
		r.seen.Requests = append(r.seen.Requests, record.Request{
			Intended: record.Offset(a.Intended), Start: record.Offset(a.Start), End: record.Offset(a.End), Delayed: a.Delayed,
			Route: o.Route, Vehicle: o.Vehicle, Status: o.Status, Degraded: o.Degraded, Error: o.Failure, Injected: o.Fault, Origin: o.Origin,
		})
	}
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

// note adds an event of the launcher, at this time.
func (r *running) note(what, detail string) {
	r.noteAt(time.Now(), record.Launcher, what, detail)
}

func (r *running) noteAt(at time.Time, who, what, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Events = append(r.seen.Events, record.Event{At: record.Offset(at.Sub(r.began)), Who: who, What: what, Detail: detail})
}
