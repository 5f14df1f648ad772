// Package report computes what a comparison has shown, from its records alone:
// the same records give the same report.
package report

import (
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Slow is how late an answer may come before it hurts, from its intended
// start: one attempt that runs into its time-out of a second and another that
// is answered are not slow.
const Slow = 1500 * time.Millisecond

// Window is what containment and recovery are judged by, and Tolerance how
// much more than while healthy may go wrong in it: at 10 requests a second, one
// of 30.
const (
	Window    = 3 * time.Second
	Tolerance = 0.05
)

// Report is a comparison, fault by fault.
type Report struct {
	Date    string  `json:"date"` // of the first run
	Machine string  `json:"machine,omitempty"`
	Faults  []Fault `json:"faults"`
}

// Fault is what every arm made of one fault.
type Fault struct {
	Name    string   `json:"fault"`
	Rules   string   `json:"rules"`
	Pods    []string `json:"pods"`
	Rate    float64  `json:"rate"`    // requests a second
	Seconds float64  `json:"seconds"` // from fault to repair
	Arms    []Arm    `json:"arms"`
}

// Arm is one arm's runs, one a seed.
type Arm struct {
	Name string `json:"arm"`
	Runs []Run  `json:"runs"`
}

// Run is one arm, one fault, one seed. Shares, latencies, positions and hops
// are those of the time from fault to repair; a request belongs to the moment
// of its intended start. Times are in seconds.
type Run struct {
	Seed     uint64  `json:"seed"`
	Requests int     `json:"requests"`
	Held     int     `json:"held,omitempty"` // waited for room among the load's own
	Good     float64 `json:"good"`
	Degraded float64 `json:"degraded"`
	Failed   float64 `json:"failed"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	P999     float64 `json:"p999"`

	Positions        float64 `json:"positionsPerSecond"`
	PositionsHealthy float64 `json:"positionsPerSecondBefore"`
	LongestGap       float64 `json:"longestGap"` // between two reports of one vehicle
	GapHealthy       float64 `json:"longestGapBefore"`

	Contained *float64   `json:"contained"` // from the fault; null: never
	After     *Aftermath `json:"afterContainment"`
	Recovered *float64   `json:"recovered"` // from the repair; null: not by the end
	// Hops are null without a fault: nobody is asked while an arm's price is
	// measured.
	Hops []Hop `json:"hops"`
	// Whole are the hops from begin to end, with nothing of the load under way
	// at either.
	Whole  []Hop  `json:"hopsOfWholeRun"`
	Counts Counts `json:"countsOfWholeRun"`
	Cost   Cost   `json:"cost"`
	// Added is null with a fault, in the baseline, and without one.
	Added *Added `json:"addedOverNone,omitempty"`
	// Origins are how many of the failed answers each kind of place made.
	Origins  map[string]int `json:"origins,omitempty"`
	Timeline []Event        `json:"timeline"`
	Curve    []CurveStep    `json:"curve,omitempty"`
}

// Aftermath is the time from containment to repair.
type Aftermath struct {
	Requests int     `json:"requests"`
	Good     float64 `json:"good"`
	Degraded float64 `json:"degraded"`
	Failed   float64 `json:"failed"`
	Hops     []Hop   `json:"hops"`
}

// Event is a moment of the timeline, in seconds from the fault.
type Event struct {
	At     float64 `json:"at"`
	Who    string  `json:"who"`
	What   string  `json:"what"`
	Detail string  `json:"detail,omitempty"`
}

// Compute makes the report. Faults and arms keep the order in which the
// records name them first.
func Compute(cells []*record.Cell) Report {
	var r Report
	for _, c := range cells {
		if r.Date == "" {
			r.Date, r.Machine = c.Began.Format(time.DateOnly), c.Machine
		}
		f := find(&r.Faults, func(f *Fault) bool { return f.Name == c.Fault })
		if f.Name == "" {
			*f = Fault{Name: c.Fault, Rules: c.Rules, Pods: c.Pods, Rate: c.Rate, Seconds: seconds(c.RepairAt - c.FaultAt)}
		}
		a := find(&f.Arms, func(a *Arm) bool { return a.Name == c.Arm })
		a.Name = c.Arm
		a.Runs = append(a.Runs, compute(c))
	}
	for _, f := range r.Faults {
		if f.Healthy() {
			f.added()
		}
	}
	return r
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

func compute(c *record.Cell) Run {
	slices.SortStableFunc(c.Requests, func(a, b record.Request) int { return int(a.Intended - b.Intended) })
	during := between(c.Requests, c.FaultAt, c.RepairAt)
	r := Run{Seed: c.Seed, Requests: len(during), Timeline: timeline(c)}
	r.Good, r.Degraded, r.Failed = shares(during)
	latencies := make([]time.Duration, len(during))
	for i, request := range during {
		latencies[i] = request.Latency()
		if request.Held {
			r.Held++
		}
	}
	slices.Sort(latencies)
	r.P50, r.P99, r.P999 = quantile(latencies, .5), quantile(latencies, .99), quantile(latencies, .999)

	r.Positions, r.LongestGap = deliveries(c, c.FaultAt, c.RepairAt)
	r.PositionsHealthy, r.GapHealthy = deliveries(c, 0, c.FaultAt)

	counts := newCounters(c.Samples)
	if c.Rules != "" {
		r.Hops = counts.hops(c.FaultAt, c.RepairAt)
	}
	r.Whole = counts.hops(0, counts.last())
	r.Cost = counts.costs(c)
	r.Counts = r.compareCounts(c)
	r.Origins = origins(during, r.proxied())
	healthy := between(c.Requests, 0, c.FaultAt)
	if at, ok := settled(c.Requests, c.FaultAt, c.RepairAt, hurt, share(healthy, hurt)+Tolerance); ok {
		r.Contained = pointer(seconds(at - c.FaultAt))
		rest := between(c.Requests, at, c.RepairAt)
		after := Aftermath{Requests: len(rest)}
		if c.Rules != "" {
			after.Hops = counts.hops(at, c.RepairAt)
		}
		after.Good, after.Degraded, after.Failed = shares(rest)
		r.After = &after
	}
	if at, ok := settled(c.Requests, c.RepairAt, c.End, notFresh, share(healthy, notFresh)+Tolerance); ok {
		r.Recovered = pointer(seconds(at - c.RepairAt))
	}
	if c.Curve {
		r.Curve = counts.curve(c)
	}
	return r
}

func pointer[T any](v T) *T { return &v }

// seconds, to the microsecond that the records have.
func seconds(m record.Moment) float64 { return time.Duration(m).Seconds() }

func timeline(c *record.Cell) []Event {
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

// told are the events that the text form shows: what was done, breakers, and
// what proxies shut out and let in again.
func told(e Event) bool {
	return e.Who == "fleetman" || strings.HasPrefix(e.What, "breaker ") || e.What == "ejected" || e.What == "returned"
}
