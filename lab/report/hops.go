package report

import (
	"fmt"
	"slices"

	"fleetman.example/lab/record"
)

// Hop is the calls of one service to another. Attempts are counted by the
// caller, ProxyAttempts by its proxy, Received by the upstream. The last two, or
// without a proxy the first and the last, differ by the calls in flight at the
// ends, and by those that the upstream never got or crashed before it counted.
type Hop struct {
	Name string `json:"hop"`
	record.HopCounts

	shared bool
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

// count computes the hops.
func (r *Run) count() {
	c := r.seen
	r.Whole = r.hops(0, r.counters.Last())
	r.watchedHop, r.hasHop = c.Watched()
	r.hasHop = r.hasHop && !r.counters.IsUnknown(r.watchedHop)
	if c.Rules != "" {
		r.Hops = r.hops(c.FaultAt, c.RepairAt)
		r.Met = metBy(r.counters, c, r.methods, c.RepairAt)
		r.watched = r.counters.Hop(r.watchedHop, c.FaultAt, c.RepairAt)
		r.watchedAfter = r.counters.Hop(r.watchedHop, c.RepairAt, c.End)
	}
	r.Counts = r.compareCounts()
}

func (r *Run) hops(from, until record.Offset) (found []Hop) {
	for _, h := range r.seen.Hops {
		found = append(found, Hop{h.Name(), r.counters.Hop(h, from, until), h.Shared})
	}
	return found
}

func (r *Run) compareCounts() Counts {
	found := Counts{Allowed: inFlight}
	for _, h := range r.Whole {
		found.Calls += h.Received
		var same []float64
		if !h.shared {
			same = append(same, h.Received)
		}
		if r.proxied() {
			same = append(same, h.ProxyAttempts)
		}
		if r.seen.Rules == "" || !r.proxied() {
			same = append(same, h.Attempts)
		}
		if len(same) < 2 {
			continue
		}
		if apart := slices.Max(same) - slices.Min(same); apart > found.Most {
			found.Most, found.Hop = apart, h.Name
		}
	}
	for _, e := range r.seen.Events {
		if e.What == record.EventExited && e.At < r.seen.End {
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

// String is a hop's counts: the caller's / its proxy's / the upstream's.
func (h Hop) String() string {
	return h.text(func(n float64) string { return fmt.Sprintf("%.0f", n) })
}

// perRequest is the same for one request.
func (h Hop) perRequest() string {
	if h.Requests == 0 {
		return "-"
	}
	return h.text(func(n float64) string { return ratio.number(n / h.Requests) })
}

// text has "-" for what the upstream received where it has other callers too.
func (h Hop) text(number func(float64) string) string {
	text := number(h.Attempts) + " / "
	if h.ProxyAttempts > 0 {
		text += number(h.ProxyAttempts) + " / "
	}
	if h.shared {
		return text + "-"
	}
	return text + number(h.Received)
}

// sumHops adds up a hop of several runs.
func sumHops(runs []Run, name string, of func(*Run) []Hop) (sum Hop) {
	for i := range runs {
		for _, h := range of(&runs[i]) {
			if h.Name == name {
				sum.shared = sum.shared || h.shared
				sum.HopCounts = sum.Plus(h.HopCounts)
			}
		}
	}
	return sum
}
