package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Hop is the calls of one service to another. Attempts are counted by the
// caller, ProxyAttempts by its proxy, Received by the upstream. The last two, or
// without a proxy the first and the last, differ by the calls in flight at the
// ends, and by those that the upstream never got or crashed before it counted.
type Hop struct {
	Name          string  `json:"hop"`
	Requests      float64 `json:"requests"` // for which the caller made calls
	Attempts      float64 `json:"attempts"`
	ProxyAttempts float64 `json:"proxyAttempts,omitempty"` // 0 without a proxy
	Received      float64 `json:"received"`
}

// PerRequest returns the attempts per request by each count; 0 without any
// request.
func (h Hop) PerRequest() (attempts, proxyAttempts, received float64) {
	if h.Requests == 0 {
		return 0, 0, 0
	}
	return h.Attempts / h.Requests, h.ProxyAttempts / h.Requests, h.Received / h.Requests
}

// counter is a counter of a service or its proxy; an empty of is all of that
// name.
type counter struct{ service, name, of string }

// hops are the fleet's edges; one request makes so many calls at each. A
// proxy does not count by method, so a hop has all calls from one service to
// another.
var hops = []struct {
	name                         string
	calls                        float64
	requests, attempts, received counter
	proxyAttempts                counter
}{
	{
		"gateway>staff", 1,
		counter{"api-gateway", record.CountServer, "GET /vehicles/driver/:name"},
		counter{"api-gateway", record.CountClient, "GET staff-service"},
		counter{"staff-service", record.CountServer, "GET /driver/:vehicle"},
		counter{"api-gateway", record.CountProxyAttempts, "staff-service"},
	},
	{
		"tracker>staff", 1,
		counter{"position-tracker", record.CountServer, "POST /vehicles"},
		counter{"position-tracker", record.CountClient, "POST staff-service"},
		counter{"staff-service", record.CountServer, "POST /driver/:vehicle/:speed"},
		counter{"position-tracker", record.CountProxyAttempts, "staff-service"},
	},
	{
		"tracker>telemetry", 2, // the position, then the speed
		counter{"position-tracker", record.CountServer, "POST /vehicles"},
		counter{"position-tracker", record.CountClient, "* vehicle-telemetry"},
		counter{"vehicle-telemetry", record.CountServer, ""},
		counter{"position-tracker", record.CountProxyAttempts, "vehicle-telemetry"},
	},
	{
		"simulator>tracker", 1,
		counter{"position-simulator", record.CountReports, ""},
		counter{"position-simulator", record.CountClient, "POST position-tracker"},
		counter{"position-tracker", record.CountServer, "POST /vehicles"},
		counter{"position-simulator", record.CountProxyAttempts, "position-tracker"},
	},
}

// has reports whether a count belongs to the counter; "* NAME" is all calls to
// NAME.
func (c counter) has(count record.Count) bool {
	if count.Name != c.name {
		return false
	}
	if rest, any := strings.CutPrefix(c.of, "*"); any {
		return strings.HasSuffix(count.Of, rest)
	}
	return c.of == "" || count.Of == c.of
}

// counters are the samples by pod, each pod's in order.
type counters struct {
	offsets []record.Offset // of all samples, ascending
	byPod   map[string][]record.Sample
}

func newCounters(samples []record.Sample) counters {
	c := counters{byPod: map[string][]record.Sample{}}
	for _, s := range samples {
		c.offsets = append(c.offsets, s.At)
		c.byPod[s.Pod] = append(c.byPod[s.Pod], s)
	}
	slices.Sort(c.offsets)
	for _, of := range c.byPod {
		slices.SortStableFunc(of, func(a, b record.Sample) int { return int(a.At - b.At) })
	}
	return c
}

// last is the offset of the last sample, which is taken when the load has ended.
func (c counters) last() record.Offset {
	if len(c.offsets) == 0 {
		return 0
	}
	return c.offsets[len(c.offsets)-1]
}

// sampleSlack is how long after an offset its sample may have been taken: less
// than the time between two.
const sampleSlack = record.Offset(400 * time.Millisecond)

// at returns the value of a service's counter at an offset, over all of its
// pods.
func (c counters) at(of counter, offset record.Offset) float64 {
	return c.sum(func(pod string) bool {
		i := strings.LastIndexByte(pod, '-')
		return i >= 0 && pod[:i] == of.service
	}, of.has, offset)
}

// sum adds up the counts of some pods at an offset. A process that counts less
// than before has started anew.
func (c counters) sum(of func(pod string) bool, has func(record.Count) bool, offset record.Offset) (sum float64) {
	for pod, samples := range c.byPod {
		if !of(pod) {
			continue
		}
		before, last := 0.0, 0.0
		for _, s := range samples {
			if s.At > offset+sampleSlack {
				break
			}
			if s.UsageOnly {
				continue
			}
			now := 0.0
			for _, count := range s.Counts {
				if has(count) {
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

func (c counters) hops(from, until record.Offset) []Hop {
	var found []Hop
	for _, h := range hops {
		grown := func(of counter) float64 { return c.at(of, until) - c.at(of, from) }
		found = append(found, Hop{h.name, grown(h.requests) * h.calls, grown(h.attempts), grown(h.proxyAttempts), grown(h.received)})
	}
	return found
}

// Counts compares the counts of the same calls over a whole run: a proxy's
// attempts with what the upstream received, or without a proxy the caller's
// attempts with what the upstream received. Without a fault nothing is retried,
// so all of them are compared.
type Counts struct {
	Agree bool    `json:"agree"` // at every hop
	Calls float64 `json:"calls"` // received; 0: there is nothing to compare
	// Most is the largest difference, and Hop where it is; Allowed is how much of
	// one may be in flight.
	Most    float64 `json:"most"`
	Hop     string  `json:"hop,omitempty"`
	Allowed float64 `json:"allowed"`
	// Crashes are processes that ended: what they counted after their last sample
	// is lost.
	Crashes int `json:"crashes,omitempty"`
}

// inFlight is how far the counts of a hop may differ without a call lost or
// doubled: each of the five vehicles may have a report in flight when a sample
// is taken.
const inFlight = 5

func (r Run) compareCounts(c *record.Run) Counts {
	found := Counts{Allowed: inFlight}
	for _, h := range r.Whole {
		found.Calls += h.Received
		same := []float64{h.Received}
		if r.proxied() {
			same = append(same, h.ProxyAttempts)
		}
		if c.Rules == "" || !r.proxied() {
			same = append(same, h.Attempts)
		}
		if apart := slices.Max(same) - slices.Min(same); apart > found.Most {
			found.Most, found.Hop = apart, h.Name
		}
	}
	for _, e := range c.Events {
		if e.What == record.EventExited && e.At < c.End {
			found.Crashes++
		}
	}
	found.Agree = found.Calls > 0 && found.Most <= inFlight
	return found
}

// String is the result in words.
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

// CurveStep is one second: the load's requests, and what the first hop's upstream
// received, by its own count.
type CurveStep struct {
	At       float64 `json:"at"` // its end, from the fault
	Requests float64 `json:"requests"`
	Received float64 `json:"received"`
	Good     float64 `json:"good"` // share of the requests that were due in it
}

// curve goes from the begin to the end, a step a second.
func (c counters) curve(run *record.Run) []CurveStep {
	var steps []CurveStep
	const step = record.Offset(time.Second)
	for from := record.Offset(0); from+step <= run.End; from += step {
		due := between(run.Requests, from, from+step)
		good, _, _ := shares(due)
		steps = append(steps, CurveStep{
			At: seconds(from + step - run.FaultAt), Requests: float64(len(due)), Good: good,
			Received: c.at(hops[0].received, from+step) - c.at(hops[0].received, from),
		})
	}
	return steps
}
