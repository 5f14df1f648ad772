package record

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// Hop is the calls of one service to another.
type Hop struct {
	Caller   string   `json:"caller"`
	Upstream string   `json:"upstream"`
	Methods  []string `json:"methods"` // of the calls
	// Per are the routes of the caller's own requests that lead to the calls, as
	// CountServer has them. None when the caller is not called: then its
	// CountReports do. None, too, if they are unknown: see Counters.IsUnknown.
	Per []string `json:"per,omitempty"`
	// Calls is how many calls one such request makes while nothing fails. 0 when the
	// caller makes none itself: see Load.
	Calls float64 `json:"calls"`
	// Shared hops have the methods of another caller, or of the load, so that the
	// upstream's count is not of this hop alone.
	Shared bool `json:"shared,omitempty"`
	// Load marks the hop of a load that a service sends: each of its requests is a
	// call too, beside those that the caller makes itself.
	Load bool `json:"load,omitempty"`
}

// Name is how a hop is called.
func (h Hop) Name() string { return h.Caller + ">" + h.Upstream }

func (h Hop) isIncomplete() bool {
	return h.Caller == "" || h.Upstream == "" || !(h.Calls > 0 || h.Load)
}

// HopCounts are the growth of a hop's counters over a part of a run.
type HopCounts struct {
	Requests      float64 `json:"requests"`                // for which the caller made calls, times Calls
	Attempts      float64 `json:"attempts"`                // by the caller's count
	ProxyAttempts float64 `json:"proxyAttempts,omitempty"` // by its proxy's; 0 without one
	Received      float64 `json:"received"`                // by the upstream's
}

// Plus returns the sum of two hops' counts.
func (c HopCounts) Plus(other HopCounts) HopCounts {
	return HopCounts{c.Requests + other.Requests, c.Attempts + other.Attempts, c.ProxyAttempts + other.ProxyAttempts, c.Received + other.Received}
}

// Hop returns what a hop's counters grew by from one offset to another.
func (c Counters) Hop(h Hop, from, until Offset) HopCounts {
	counts := HopCounts{
		Requests:      h.Calls * c.grown(h.Caller, func(n Count) bool { return n.leadsTo(h) }, from, until),
		Attempts:      c.grown(h.Caller, func(n Count) bool { return n.Name == CountClient && n.upstream() == h.Upstream }, from, until),
		Received:      c.grown(h.Upstream, func(n Count) bool { return n.Name == CountServer && slices.Contains(h.Methods, n.method()) }, from, until),
		ProxyAttempts: c.grown(h.Caller, func(n Count) bool { return n.Name == CountProxyAttempts && n.Of == h.Upstream }, from, until),
	}
	if h.Load {
		requests := c.ended(until) - c.ended(from)
		counts.Requests, counts.Attempts = counts.Requests+requests, counts.Attempts+requests
	}
	return counts
}

func (c Counters) grown(service string, has func(Count) bool, from, until Offset) float64 {
	of := func(pod string) bool { return ServiceOf(pod) == service }
	return c.Sum(of, has, until) - c.Sum(of, has, from)
}

func (n Count) leadsTo(h Hop) bool {
	if len(h.Per) == 0 {
		return n.Name == CountReports
	}
	return n.Name == CountServer && slices.Contains(h.Per, n.Of)
}

// method and upstream are the parts of what a CountClient or CountServer counts.
func (n Count) method() string   { method, _, _ := strings.Cut(n.Of, " "); return method }
func (n Count) upstream() string { _, upstream, _ := strings.Cut(n.Of, " "); return upstream }

// WholeRun is an offset after all others.
const WholeRun = math.MaxInt64 - SampleSlack

// HealthyUntil is the offset up to which nothing failed: that of the fault, which waits
// for the sample before it, or WholeRun if there is none.
func (r *Run) HealthyUntil() Offset {
	if r.Rules == "" {
		return WholeRun
	}
	set := WholeRun
	for _, e := range r.Events {
		if e.What == EventFaultSet {
			set = min(set, e.At)
		}
	}
	if set == WholeRun {
		return r.FaultAt
	}
	return max(r.FaultAt, set-SampleSlack)
}

// FindHops finds the calls of services to each other in what they counted until
// an offset up to which nothing failed. Load is the hop of the load to its entry,
// without a caller if no service sends it.
func FindHops(samples []Sample, healthyUntil Offset, load Hop) (hops []Hop) {
	c := NewCounters(samples)
	for _, call := range c.calls() {
		if n := len(hops); n == 0 || hops[n-1].Caller != call.caller || hops[n-1].Upstream != call.upstream {
			hops = append(hops, Hop{Caller: call.caller, Upstream: call.upstream})
		}
		h := &hops[len(hops)-1]
		h.Methods = append(h.Methods, call.method)
	}
	for i := range hops {
		c.findCause(&hops[i], healthyUntil)
	}
	if load.Caller != "" {
		hops = addLoad(hops, load)
	}
	callers := slices.Clone(hops)
	for _, entry := range entries(samples, load.Upstream) {
		callers = append(callers, Hop{Caller: load.Caller, Upstream: entry, Methods: load.Methods})
	}
	for i, h := range hops {
		hops[i].Shared = slices.ContainsFunc(callers, func(other Hop) bool {
			return other.Upstream == h.Upstream && other.Caller != h.Caller &&
				slices.ContainsFunc(h.Methods, func(method string) bool { return slices.Contains(other.Methods, method) })
		})
	}
	return hops
}

// call is what a caller counts of an upstream.
type call struct{ caller, upstream, method string }

// calls are those that callers made in the run, and not before it alone, sorted.
func (c Counters) calls() []call {
	made := map[call]bool{}
	for pod, own := range c.byPod {
		for _, s := range own {
			for _, n := range s.Counts {
				key := call{ServiceOf(pod), n.upstream(), n.method()}
				if _, known := made[key]; known || n.Name != CountClient || key.caller == "" {
					continue
				}
				of := func(other Count) bool { return other.Name == CountClient && other.Of == n.Of }
				made[key] = c.grown(key.caller, of, 0, c.last) > 0
			}
		}
	}
	maps.DeleteFunc(made, func(_ call, grew bool) bool { return !grew })
	return slices.SortedFunc(maps.Keys(made), func(a, b call) int {
		return cmp.Or(cmp.Compare(a.caller, b.caller), cmp.Compare(a.upstream, b.upstream), cmp.Compare(a.method, b.method))
	})
}

// addLoad adds the load's calls to those that its caller makes to the same
// upstream, or as a hop of their own.
func addLoad(hops []Hop, load Hop) []Hop {
	i := slices.IndexFunc(hops, func(h Hop) bool { return h.Name() == load.Name() })
	if i < 0 {
		i, hops = len(hops), append(hops, Hop{Caller: load.Caller, Upstream: load.Upstream})
	}
	h := &hops[i]
	h.Load, h.Methods = true, append(h.Methods, load.Methods...)
	slices.Sort(h.Methods)
	h.Methods = slices.Compact(h.Methods)
	return hops
}

// findCause finds the routes of the caller whose requests make the calls, and how
// many each makes. A safe request makes no unsafe calls, so calls of which some
// are unsafe come from an unsafe one. Each such route alone can be the cause, or
// all of them: it is the one with a whole number of calls, as far as what is in
// flight allows, of those the one with the fewest, and then the one with most
// words of the upstream's paths.
func (c Counters) findCause(h *Hop, until Offset) {
	calls := c.Hop(*h, 0, until).Attempts
	upstream := words(c.routes(h.Upstream)...)
	routes := c.causes(*h)
	type cause struct {
		routes            []string
		off, calls, alike float64
	}
	best := cause{off: math.Inf(1), calls: 1}
	for candidate := range slices.Values(append(slices.Collect(slices.Chunk(routes, 1)), routes)) {
		requests := c.grown(h.Caller, func(n Count) bool { return n.Name == CountServer && slices.Contains(candidate, n.Of) }, 0, until)
		if requests == 0 {
			continue
		}
		found := cause{routes: candidate, calls: max(math.Round(calls/requests), 1)}
		if off := math.Abs(calls - found.calls*requests); off > inFlight {
			found.off = off / requests
		}
		found.alike = float64(words(candidate...).Intersection(upstream).Len())
		if cmp.Or(cmp.Compare(found.off, best.off), cmp.Compare(found.calls, best.calls), cmp.Compare(best.alike, found.alike)) < 0 {
			best = found
		}
	}
	h.Per, h.Calls = slices.Clone(best.routes), best.calls
}

// causes are the routes of a hop's caller whose requests may make its calls.
func (c Counters) causes(h Hop) []string {
	return slices.DeleteFunc(c.routes(h.Caller), func(route string) bool { return isSafe(route) != isSafe(h.Methods...) })
}

// IsUnknown reports whether it is unknown which requests make the calls of a hop: its
// caller has counted none of those that may do so while nothing failed.
func (c Counters) IsUnknown(h Hop) bool {
	reports := func(n Count) bool { return n.Name == CountReports }
	return len(h.Per) == 0 && h.Calls > 0 && len(c.causes(h)) > 0 && c.grown(h.Caller, reports, 0, c.last) == 0
}

// inFlight is how many calls of the load may have begun and not ended, while
// nothing fails.
const inFlight = 2

// isSafe reports whether all of some methods, or routes, only read.
func isSafe(of ...string) bool {
	return !slices.ContainsFunc(of, func(text string) bool {
		method, _, _ := strings.Cut(text, " ")
		return method != "GET" && method != "HEAD"
	})
}

// words are those of the paths of routes: vehicles and driver of "GET
// /vehicles/driver/:name".
func words(routes ...string) sets.Set[string] {
	found := sets.New[string]()
	for _, route := range routes {
		_, path, _ := strings.Cut(route, " ")
		for word := range strings.SplitSeq(path, "/") {
			if word != "" && !strings.HasPrefix(word, ":") && !strings.HasPrefix(word, "*") {
				found.Insert(word)
			}
		}
	}
	return found
}

// routes are those of a service, sorted.
func (c Counters) routes(service string) []string {
	found := sets.New[string]()
	for pod, samples := range c.byPod {
		for _, s := range samples {
			for _, n := range s.Counts {
				if n.Name == CountServer && ServiceOf(pod) == service {
					found.Insert(n.Of)
				}
			}
		}
	}
	return sets.List(found)
}
