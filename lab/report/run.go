package report

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/stats"
)

// Window is the length of the windows in which containment and recovery are
// measured, Tolerance how much the share of SLO violations may be above that
// before the fault: at 10 requests per second, one of 30.
const (
	Window    = 3 * time.Second
	Tolerance = 0.05
)

// Run is one arm, one fault, one seed. Times are in seconds; a request belongs
// to its intended start.
type Run struct {
	Seed     uint64 `json:"seed"`
	Repeat   int    `json:"repeat,omitempty"`
	Requests int    `json:"requests"` // from fault to repair
	Delayed  int    `json:"delayed,omitempty"`
	// Contained is from the fault, Recovered from the repair; null: never.
	Contained *float64 `json:"contained"`
	Recovered *float64 `json:"recovered"`
	// Met is what reached the pods with the fault between fault and repair.
	Met      Met      `json:"met"`
	Lateness Lateness `json:"lateness"`
	// Hops are null without a fault: no counters are read while the cost of an arm
	// is measured.
	Hops []Hop `json:"hops,omitempty"`
	// Whole are the hops from begin to end, with no request of the load in flight
	// at either.
	Whole  []Hop  `json:"hopsOfWholeRun,omitempty"`
	Counts Counts `json:"countsOfWholeRun"`
	Cost   Cost   `json:"cost"`
	// Origins are the failed answers by origin.
	Origins  map[string]int `json:"origins,omitempty"`
	Timeline []Event        `json:"timeline"`
	Curve    Curve          `json:"curve"`
	// Percentiles are those of the latency that the sample supports.
	Percentiles []Percentile `json:"percentiles"`

	seen                  *record.Run
	slo                   time.Duration
	methods               []string         // of the load
	during, contained     []record.Request // from fault, from containment, to repair
	after                 []record.Request // from repair to the end of the load
	latencies             []float64        // of during, sorted
	positions, gap        float64
	hasHop                bool
	watched, watchedAfter record.HopCounts
	watchedHop            record.Hop
	needs                 sets.Set[string] // the streams that lead to it; nil: unknown
	counters              record.Counters
}

// Percentile is one value of the latency's distribution.
type Percentile struct {
	Share   float64 `json:"share"`
	Seconds float64 `json:"seconds"`
}

// Lateness is how much later than intended the load's requests started; see
// record.Lateness.
type Lateness struct {
	P99          float64 `json:"p99"`
	Max          float64 `json:"max"`
	TooLate      bool    `json:"tooLate"`
	Measurements int     `json:"measurements"`
}

// Event is one change, in seconds from the fault.
type Event struct {
	At     float64 `json:"at"`
	Who    string  `json:"who"`
	What   string  `json:"what"`
	Detail string  `json:"detail,omitempty"`
}

// Step is one second: the load's requests, and the attempts that the watched
// hop's upstream received for one of them, by its own count, or by the caller's
// where the upstream has other callers too.
type Step struct {
	At             float64 // its end, from the fault
	Requests       int
	Good, Degraded int
	Attempts       float64
	// Latencies counts the requests of each of LatencyBands, and last of those
	// above; bands after the last request are left out.
	Latencies []int
}

// Curve is a run, second by second.
type Curve []Step

// MarshalJSON writes a list for each figure of the seconds, and when the first
// one begins. Attempts are left out when none were counted.
func (c Curve) MarshalJSON() ([]byte, error) {
	lists := struct {
		From      float64   `json:"from"`
		Requests  []int     `json:"requests"`
		Good      []int     `json:"good"`
		Degraded  []int     `json:"degraded"`
		Attempts  []float64 `json:"attempts,omitempty"`
		Latencies [][]int   `json:"latencies"`
	}{Requests: []int{}, Good: []int{}, Degraded: []int{}, Latencies: [][]int{}}
	counted := slices.ContainsFunc(c, func(s Step) bool { return s.Attempts > 0 })
	for i, s := range c {
		if i == 0 {
			lists.From = micro(s.At - 1)
		}
		lists.Requests, lists.Good, lists.Degraded = append(lists.Requests, s.Requests), append(lists.Good, s.Good), append(lists.Degraded, s.Degraded)
		lists.Latencies = append(lists.Latencies, append([]int{}, s.Latencies...))
		if counted {
			lists.Attempts = append(lists.Attempts, s.Attempts)
		}
	}
	return json.Marshal(lists)
}

// LatencyBands are the upper bounds of the bands in which latencies are counted,
// in seconds.
var LatencyBands = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

// count counts a latency.
func (s *Step) count(latency float64) {
	band, _ := slices.BinarySearch(LatencyBands, latency) // a bound belongs to its band
	for len(s.Latencies) <= band {
		s.Latencies = append(s.Latencies, 0)
	}
	s.Latencies[band]++
}

// compute computes a run.
func compute(seen *record.Run, slo record.Offset, load experiment.Load) Run {
	slices.SortStableFunc(seen.Requests, func(a, b record.Request) int { return int(a.Intended - b.Intended) })
	late := seen.Lateness()
	r := Run{
		Seed: seen.Seed, Repeat: seen.Repeat, seen: seen, slo: time.Duration(slo), methods: load.Methods(),
		during: record.Between(seen.Requests, seen.FaultAt, seen.RepairAt), counters: seen.Counters(),
		Lateness: Lateness{late.P99.Seconds(), late.Max.Seconds(), late.TooLate(), seen.Measurements},
	}
	r.Requests = len(r.during)
	for _, request := range r.during {
		r.latencies = append(r.latencies, request.Latency().Seconds())
		if request.Delayed {
			r.Delayed++
		}
	}
	slices.Sort(r.latencies)
	r.after = record.Between(seen.Requests, seen.RepairAt, seen.End)
	r.settle()
	r.positions, r.gap = deliveries(seen, seen.FaultAt, seen.RepairAt)
	r.Cost = costsOf(r.counters, seen)
	r.count()
	r.findNeeding(load.Streams)
	r.Origins = origins(r.during, r.proxied())
	r.Timeline, r.Curve, r.Percentiles = timeline(seen), r.curve(), percentiles(stats.NewSample(r.latencies))
	return r
}

// proxied reports whether the run had proxies.
func (r *Run) proxied() bool { return r.Cost.Proxies.Processes > 0 }

// violates reports whether a request failed or was slow. A degraded answer in
// time does not violate the SLO.
func (r *Run) violates(request record.Request) bool {
	return request.Failed() || request.Latency() > r.slo
}

// inTime reports whether the answer was good, and not slow.
func (r *Run) inTime(request record.Request) bool {
	return request.Good() && request.Latency() <= r.slo
}

// settle computes containment and recovery.
func (r *Run) settle() {
	c := r.seen
	healthy := record.Between(c.Requests, 0, c.FaultAt)
	if at, ok := settled(c.Requests, c.FaultAt, c.RepairAt, r.violates, count(healthy, r.violates).Share()+Tolerance); ok {
		r.Contained = new(seconds(at - c.FaultAt))
		r.contained = record.Between(c.Requests, at, c.RepairAt)
	}
	notGood := func(request record.Request) bool { return !r.inTime(request) }
	if at, ok := settled(c.Requests, c.RepairAt, c.End, notGood, count(healthy, notGood).Share()+Tolerance); ok {
		r.Recovered = new(seconds(at - c.RepairAt))
	}
}

// wasted is the attempts that no good answer in time came of, and all that the
// upstream received.
func (r *Run) wasted(counts record.HopCounts, requests []record.Request) stats.Count {
	requests = r.needing(requests)
	if !r.hasHop || r.watchedHop.Shared || len(requests) == 0 {
		return stats.Count{}
	}
	used := count(requests, r.inTime).Share() * counts.Requests
	return stats.Count{K: min(max(counts.Received-used, 0), counts.Received), N: counts.Received}
}

// seconds, to the microsecond that the records have.
func seconds(o record.Offset) float64 { return time.Duration(o).Seconds() }

func timeline(c *record.Run) []Event {
	events := []Event{}
	for _, e := range c.Events {
		events = append(events, Event{micro(seconds(e.At - c.FaultAt)), e.Who, e.What, e.Detail})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return int(1e6*a.At) - int(1e6*b.At) })
	return events
}

// curve goes from the begin to the end, a step a second.
func (r *Run) curve() (steps Curve) {
	const step = record.Offset(time.Second)
	for from := record.Offset(0); from+step <= r.seen.End; from += step {
		s := Step{At: seconds(from + step - r.seen.FaultAt)}
		due := record.Between(r.seen.Requests, from, from+step)
		s.Requests, s.Good, s.Degraded = len(due), int(count(due, record.Request.Good).K), int(count(due, isDegraded).K)
		for _, request := range due {
			s.count(request.Latency().Seconds())
		}
		if needing := len(r.needing(due)); r.hasHop && r.seen.Rules != "" && needing > 0 {
			counts := r.counters.Hop(r.watchedHop, from, from+step)
			if r.watchedHop.Shared {
				counts.Received = cmp.Or(counts.ProxyAttempts, counts.Attempts)
			}
			s.Attempts = micro(counts.Received / float64(needing))
		}
		steps = append(steps, s)
	}
	return steps
}

// hopParts are the attempts per request of each second between fault and repair.
func hopParts(of func(record.HopCounts) float64) func(*Run) []float64 {
	return func(r *Run) (parts []float64) {
		const step = record.Offset(time.Second)
		for from := r.seen.FaultAt; r.hasHop && from+step <= r.seen.RepairAt; from += step {
			if counts := r.counters.Hop(r.watchedHop, from, from+step); counts.Requests > 0 {
				parts = append(parts, of(counts)/counts.Requests)
			}
		}
		return parts
	}
}

// percentiles are those of latencies, evenly spaced on the axis of 1/(1-share), that
// the sample supports, and at 0 the lowest latency.
func percentiles(latencies stats.Sample) []Percentile {
	all := []Percentile{}
	for _, q := range []float64{0, .1, .25, .5, .75, .9, .95, .98, .99, .995, .998, .999, .9995, .9998, .9999} {
		if value, _, ok := latencies.Quantile(q, stats.Confidence); ok || q == 0 && len(latencies.Sorted) > 0 {
			all = append(all, Percentile{q, micro(value)})
		}
	}
	return all
}
