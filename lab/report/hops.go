package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Hop is the calls of one service at another. Attempts are counted by the
// caller, Tries by its proxy, Received by the receiver. The last two, or
// without a proxy the first and the last, differ by what was under way at the
// ends, and by what a receiver never saw or did not live to count.
type Hop struct {
	Name     string  `json:"hop"`
	Requests float64 `json:"requests"` // for which the caller made calls
	Attempts float64 `json:"attempts"`
	Tries    float64 `json:"tries,omitempty"` // 0 without a proxy
	Received float64 `json:"received"`
}

// PerRequest is attempts a request by each count; 0 without any request.
func (h Hop) PerRequest() (attempts, tries, received float64) {
	if h.Requests == 0 {
		return 0, 0, 0
	}
	return h.Attempts / h.Requests, h.Tries / h.Requests, h.Received / h.Requests
}

// counter names what a service, or its proxy, counts; an empty of is all of
// that name.
type counter struct{ service, name, of string }

// hops are the fleet's edges; one request makes so many calls at each. A
// proxy does not count by method, so a hop has all calls from one service to
// another.
var hops = []struct {
	name                         string
	calls                        float64
	requests, attempts, received counter
	tries                        counter
}{
	{
		"gateway>staff", 1,
		counter{"api-gateway", "server", "GET /vehicles/driver/:name"},
		counter{"api-gateway", "client", "GET staff-service"},
		counter{"staff-service", "server", "GET /driver/:vehicle"},
		counter{"api-gateway", "tries", "staff-service"},
	},
	{
		"tracker>staff", 1,
		counter{"position-tracker", "server", "POST /vehicles"},
		counter{"position-tracker", "client", "POST staff-service"},
		counter{"staff-service", "server", "POST /driver/:vehicle/:speed"},
		counter{"position-tracker", "tries", "staff-service"},
	},
	{
		"tracker>telemetry", 2, // the position, then the speed
		counter{"position-tracker", "server", "POST /vehicles"},
		counter{"position-tracker", "client", "* vehicle-telemetry"},
		counter{"vehicle-telemetry", "server", ""},
		counter{"position-tracker", "tries", "vehicle-telemetry"},
	},
	{
		"simulator>tracker", 1,
		counter{"position-simulator", "reports", ""},
		counter{"position-simulator", "client", "POST position-tracker"},
		counter{"position-tracker", "server", "POST /vehicles"},
		counter{"position-simulator", "tries", "position-tracker"},
	},
}

// has tells whether a count is what it names; "* NAME" is all calls at NAME.
func (c counter) has(count record.Count) bool {
	if count.Name != c.name {
		return false
	}
	if rest, any := strings.CutPrefix(c.of, "*"); any {
		return strings.HasSuffix(count.Of, rest)
	}
	return c.of == "" || count.Of == c.of
}

// counters are what the services have counted at each moment, whatever their
// pods' processes went through.
type counters struct {
	moments []record.Moment // of all samples, ascending
	byPod   map[string][]record.Sample
}

func newCounters(samples []record.Sample) counters {
	c := counters{byPod: map[string][]record.Sample{}}
	for _, s := range samples {
		c.moments = append(c.moments, s.At)
		c.byPod[s.Pod] = append(c.byPod[s.Pod], s)
	}
	slices.Sort(c.moments)
	for _, of := range c.byPod {
		slices.SortStableFunc(of, func(a, b record.Sample) int { return int(a.At - b.At) })
	}
	return c
}

// last is the moment of the last sample, which is taken when the load has ended.
func (c counters) last() record.Moment {
	if len(c.moments) == 0 {
		return 0
	}
	return c.moments[len(c.moments)-1]
}

// sampleSlack is how long after a moment its sample may have been taken: less
// than the time between two.
const sampleSlack = record.Moment(400 * time.Millisecond)

// at is what a service has counted until a moment. A pod that counts less than
// before has begun anew.
func (c counters) at(of counter, moment record.Moment) float64 {
	sum := 0.0
	for pod, samples := range c.byPod {
		if i := strings.LastIndexByte(pod, '-'); i < 0 || pod[:i] != of.service {
			continue
		}
		before, last := 0.0, 0.0
		for _, s := range samples {
			if s.At > moment+sampleSlack {
				break
			}
			if s.Usage {
				continue
			}
			now := 0.0
			for _, count := range s.Counts {
				if of.has(count) {
					now += count.N
				}
			}
			if now < last {
				before += last
			}
			last = now
		}
		sum += before + last
	}
	return sum
}

func (c counters) hops(from, until record.Moment) []Hop {
	var found []Hop
	for _, h := range hops {
		grown := func(of counter) float64 { return c.at(of, until) - c.at(of, from) }
		found = append(found, Hop{h.name, grown(h.requests) * h.calls, grown(h.attempts), grown(h.tries), grown(h.received)})
	}
	return found
}

// Counts tell whether those who count the same calls, from begin to end of a
// run, agree: a proxy's tries and what was received, or without a proxy the
// caller's attempts and what was received. Where there is no fault nothing is
// tried again, so all of them are the same.
type Counts struct {
	Agree bool    `json:"agree"` // at every hop
	Calls float64 `json:"calls"` // received; of none nothing can be told
	// Most is the largest difference, and Hop where it is; Allowed is how much of
	// one may be under way.
	Most    float64 `json:"most"`
	Hop     string  `json:"hop,omitempty"`
	Allowed float64 `json:"allowed"`
	// Crashes are processes that ended: what they had counted since the sample
	// before is lost.
	Crashes int `json:"crashes,omitempty"`
}

// underWay is how far the counts of a hop may be apart without anything being
// lost or doubled: a report of each of the five vehicles may be on its way when
// a sample is taken.
const underWay = 5

func (r Run) compareCounts(c *record.Cell) Counts {
	found := Counts{Allowed: underWay}
	for _, h := range r.Whole {
		found.Calls += h.Received
		same := []float64{h.Received}
		if r.proxied() {
			same = append(same, h.Tries)
		}
		if c.Rules == "" || !r.proxied() {
			same = append(same, h.Attempts)
		}
		if apart := slices.Max(same) - slices.Min(same); apart > found.Most {
			found.Most, found.Hop = apart, h.Name
		}
	}
	for _, e := range c.Events {
		if e.What == "exited" && e.At < c.End {
			found.Crashes++
		}
	}
	found.Agree = found.Calls > 0 && found.Most <= underWay
	return found
}

// String is the verdict in words.
func (c Counts) String() string {
	switch {
	case c.Agree:
		return "agree"
	case c.Calls == 0 && c.Most <= c.Allowed:
		return "-"
	}
	text := fmt.Sprintf("differ by %.0f", c.Most)
	switch {
	case c.Crashes == 1:
		text += " (a crash)"
	case c.Crashes > 1:
		text += fmt.Sprintf(" (%d crashes)", c.Crashes)
	}
	return text
}

// CurveStep is about a second: what the load asked, and what reached the first
// hop's receiver, by its own count.
type CurveStep struct {
	At       float64 `json:"at"` // its end, from the fault
	Requests float64 `json:"requests"`
	Received float64 `json:"received"`
	Good     float64 `json:"good"` // share of the requests that were due in it
}

// curve goes from the begin to the end, a step a second.
func (c counters) curve(cell *record.Cell) []CurveStep {
	var steps []CurveStep
	const step = record.Moment(time.Second)
	for from := record.Moment(0); from+step <= cell.End; from += step {
		due := between(cell.Requests, from, from+step)
		good, _, _ := shares(due)
		steps = append(steps, CurveStep{
			At: seconds(from + step - cell.FaultAt), Requests: float64(len(due)), Good: good,
			Received: c.at(hops[0].received, from+step) - c.at(hops[0].received, from),
		})
	}
	return steps
}
