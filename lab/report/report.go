package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Slow is the latency above which an answer violates the SLO, from the intended
// start: one attempt that runs into its time-out of a second, and another that
// is answered, are within it.
const Slow = 1500 * time.Millisecond

// Window is the length of the windows in which containment and recovery are
// measured, Tolerance how much the share of SLO violations may be above that
// before the fault: at 10 requests per second, one of 30.
const (
	Window    = 3 * time.Second
	Tolerance = 0.05
)

// Report is comparisons, one group for each set of conditions.
type Report struct {
	Groups []Group `json:"groups"`
}

// Group is the faults of all comparisons that had the same conditions.
type Group struct {
	Date       string            `json:"date"` // of the first comparison
	Commands   []string          `json:"commands"`
	Conditions record.Conditions `json:"conditions"`
	Faults     []Fault           `json:"faults"`
}

// Fault is every arm's runs with one fault.
type Fault struct {
	Name    string   `json:"fault"`
	Rules   string   `json:"rules"`
	Rate    float64  `json:"rate"`    // requests per second
	Seconds float64  `json:"seconds"` // from fault to repair
	Notes   []string `json:"notes,omitempty"`
	Arms    []Arm    `json:"arms"`

	replicas int // of the service that has the fault
}

// Arm is one arm's runs, one for each seed.
type Arm struct {
	Name string `json:"arm"`
	Runs []Run  `json:"runs"`

	settings []string
}

// Run is one arm, one fault, one seed. Shares, latencies, positions and hops
// are those between fault and repair; a request belongs to its intended start.
// Times are in seconds.
type Run struct {
	Seed     uint64  `json:"seed"`
	Requests int     `json:"requests"`
	Delayed  int     `json:"delayed,omitempty"` // could not start in time: too many in flight
	Good     float64 `json:"good"`
	Degraded float64 `json:"degraded"`
	Failed   float64 `json:"failed"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	P999     float64 `json:"p999"`

	// Routes are null when the load has one route.
	Routes []Route `json:"routes,omitempty"`
	// LastKnown is the part of Degraded that had the last known answer; the rest
	// had a placeholder, or an answer without a part of it.
	LastKnown Ages `json:"lastKnown"`
	// Met is what reached the pods with the fault between fault and repair.
	Met      Met      `json:"met"`
	Lateness Lateness `json:"lateness"`

	Positions        float64 `json:"positionsPerSecond"`
	PositionsHealthy float64 `json:"positionsPerSecondBefore"`
	LongestGap       float64 `json:"longestGap"` // between two reports of one vehicle
	GapHealthy       float64 `json:"longestGapBefore"`

	Contained *float64   `json:"contained"` // from the fault; null: never
	After     *Aftermath `json:"afterContainment"`
	Recovered *float64   `json:"recovered"` // from the repair; null: not by the end
	// Hops are null without a fault: no counters are read while the cost of an
	// arm is measured.
	Hops []Hop `json:"hops"`
	// Whole are the hops from begin to end, with no request of the load in flight
	// at either.
	Whole  []Hop  `json:"hopsOfWholeRun"`
	Counts Counts `json:"countsOfWholeRun"`
	Cost   Cost   `json:"cost"`
	// Added is null with a fault, and in the baseline.
	Added *Added `json:"addedOverNone,omitempty"`
	// Origins are the failed answers by origin.
	Origins  map[string]int `json:"origins,omitempty"`
	Timeline []Event        `json:"timeline"`
	Curve    []CurveStep    `json:"curve,omitempty"`

	pods []string // that had the fault
}

// Route is the part of the load with one route.
type Route struct {
	Name     string  `json:"route"`
	Requests int     `json:"requests"`
	Good     float64 `json:"good"`
	Degraded float64 `json:"degraded"`
	Failed   float64 `json:"failed"`
}

// Ages describe the answers from the last known one: their share of all
// requests, and their ages in seconds.
type Ages struct {
	Share  float64 `json:"share"`
	Median float64 `json:"medianAge"`
	Max    float64 `json:"maxAge"`
}

// Lateness is how much later than intended the load's requests started, in
// seconds; see record.Lateness.
type Lateness struct {
	P99          float64 `json:"p99"`
	Max          float64 `json:"max"`
	TooLate      bool    `json:"tooLate"`
	Measurements int     `json:"measurements"`
}

// Aftermath is the time from containment to repair.
type Aftermath struct {
	Requests int     `json:"requests"`
	Good     float64 `json:"good"`
	Degraded float64 `json:"degraded"`
	Failed   float64 `json:"failed"`
	Hops     []Hop   `json:"hops"`
}

// Event is one change, in seconds from the fault.
type Event struct {
	At     float64 `json:"at"`
	Who    string  `json:"who"`
	What   string  `json:"what"`
	Detail string  `json:"detail,omitempty"`
}

// Compute makes the report. Groups, faults and arms keep the order in which the
// records have them. Runs of one fault must have the same conditions.
func Compute(comparisons ...*record.Comparison) (r Report, err error) {
	for _, c := range comparisons {
		g := find(&r.Groups, func(g *Group) bool { return len(g.Faults) > 0 && g.Conditions.Difference(c.Conditions) == "" })
		if g.Date == "" {
			g.Date, g.Conditions = c.Began.Format(time.DateOnly), c.Conditions
		}
		if !slices.Contains(g.Commands, c.Command) {
			g.Commands = append(g.Commands, c.Command)
		}
		for _, run := range c.Runs {
			if err := g.add(run); err != nil {
				return Report{}, err
			}
		}
	}
	if err := r.check(); err != nil {
		return Report{}, err
	}
	for _, g := range r.Groups {
		for i := range g.Faults {
			f := &g.Faults[i]
			if f.dropUneven(); len(f.Arms[0].Runs) == 0 {
				return Report{}, fmt.Errorf("%s: seeds: none that every arm has: must be at least one", f.Name)
			}
			f.note()
			if f.Healthy() {
				f.added()
			}
		}
	}
	return r, nil
}

// find returns the element that matches, or a new one at the end.
func find[T any](list *[]T, matches func(*T) bool) *T {
	for i := range *list {
		if matches(&(*list)[i]) {
			return &(*list)[i]
		}
	}
	*list = append(*list, *new(T))
	return &(*list)[len(*list)-1]
}

// add computes one run and puts it where it belongs.
func (g *Group) add(run *record.Run) error {
	f := find(&g.Faults, func(f *Fault) bool { return f.Name == run.Fault })
	length := seconds(run.RepairAt - run.FaultAt)
	if f.Name == "" {
		*f = Fault{Name: run.Fault, Rules: run.Rules, Rate: run.Rate, Seconds: length, replicas: run.Replicas}
	}
	if f.Rules != run.Rules || f.Rate != run.Rate || f.Seconds != length || f.replicas != run.Replicas {
		return fmt.Errorf("%s: rules, rate, length: %q, %v, %v s and %q, %v, %v s: must be the same to be compared; report each directory alone",
			run.Name(), f.Rules, f.Rate, f.Seconds, run.Rules, run.Rate, length)
	}
	a := find(&f.Arms, func(a *Arm) bool { return a.Name == run.Arm })
	if a.Name == "" {
		a.Name, a.settings = run.Arm, run.Settings
	}
	if !slices.Equal(a.settings, run.Settings) {
		return fmt.Errorf("%s: settings: %q and %q: must be the same to be compared; report each directory alone", run.Name(), a.settings, run.Settings)
	}
	if slices.ContainsFunc(a.Runs, func(r Run) bool { return r.Seed == run.Seed }) {
		return fmt.Errorf("%s: must be there once", run.Name())
	}
	a.Runs = append(a.Runs, compute(run))
	return nil
}

// check refuses a fault that is in two groups: their conditions differ.
func (r Report) check() error {
	first := map[string]record.Conditions{}
	for _, g := range r.Groups {
		for _, f := range g.Faults {
			if other, twice := first[f.Name]; twice {
				return fmt.Errorf("%s: %s: must be the same to be compared; report each directory alone", f.Name, other.Difference(g.Conditions))
			}
			first[f.Name] = g.Conditions
		}
	}
	return nil
}

func compute(c *record.Run) Run {
	slices.SortStableFunc(c.Requests, func(a, b record.Request) int { return int(a.Intended - b.Intended) })
	during := between(c.Requests, c.FaultAt, c.RepairAt)
	late := c.Lateness()
	r := Run{
		Seed: c.Seed, Requests: len(during), Timeline: timeline(c), pods: c.Pods, LastKnown: lastKnown(during), Routes: routes(during),
		Lateness: Lateness{late.P99.Seconds(), late.Max.Seconds(), late.TooLate(), c.Measurements},
	}
	r.Good, r.Degraded, r.Failed = shares(during)
	r.Delayed = int(share(during, func(r record.Request) bool { return r.Delayed })*float64(len(during)) + .5)
	r.P50, r.P99, r.P999 = quantiles(during)

	r.Positions, r.LongestGap = deliveries(c, c.FaultAt, c.RepairAt)
	r.PositionsHealthy, r.GapHealthy = deliveries(c, 0, c.FaultAt)

	counts := newCounters(c.Samples)
	if c.Rules != "" {
		r.Hops = counts.hops(c.FaultAt, c.RepairAt)
		r.Met = counts.met(c)
	}
	r.Whole = counts.hops(0, counts.last())
	r.Cost = counts.costs(c)
	r.Counts = r.compareCounts(c)
	r.Origins = origins(during, r.proxied())
	r.settle(c, counts)
	if c.Curve {
		r.Curve = counts.curve(c)
	}
	return r
}

// settle computes containment and recovery.
func (r *Run) settle(c *record.Run, counts counters) {
	healthy := between(c.Requests, 0, c.FaultAt)
	if at, ok := settled(c.Requests, c.FaultAt, c.RepairAt, violatesSLO, share(healthy, violatesSLO)+Tolerance); ok {
		r.Contained = pointer(seconds(at - c.FaultAt))
		rest := between(c.Requests, at, c.RepairAt)
		after := Aftermath{Requests: len(rest)}
		if c.Rules != "" {
			after.Hops = counts.hops(at, c.RepairAt)
		}
		after.Good, after.Degraded, after.Failed = shares(rest)
		r.After = &after
	}
	if at, ok := settled(c.Requests, c.RepairAt, c.End, violatesSLOOrDegraded, share(healthy, violatesSLOOrDegraded)+Tolerance); ok {
		r.Recovered = pointer(seconds(at - c.RepairAt))
	}
}

func pointer[T any](v T) *T { return &v }

// seconds, to the microsecond that the records have.
func seconds(o record.Offset) float64 { return time.Duration(o).Seconds() }

func timeline(c *record.Run) []Event {
	events := []Event{}
	for _, e := range c.Events {
		events = append(events, Event{seconds(e.At - c.FaultAt), e.Who, e.What, e.Detail})
	}
	slices.SortStableFunc(events, func(a, b Event) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return events
}

// inText reports whether the text form shows the event: faults, breakers, and
// ejections.
func inText(e Event) bool {
	return e.Who == record.Launcher || strings.HasPrefix(e.What, record.EventBreaker) || e.What == record.EventEjected || e.What == record.EventReturned
}
