package report

import (
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
)

// findNeeding finds the streams whose requests lead to the calls of the watched hop:
// before the fault there were as many of them as the hop's caller received of the
// requests that make these calls. Streams with equal shares are as many; of those it is
// the ones with the paths of the caller's routes. Names say nothing: a user gives them.
func (r *Run) findNeeding(streams []experiment.Stream) {
	all := map[string]float64{} // requests before the fault, by stream
	until := r.seen.HealthyUntil()
	for _, q := range r.seen.Requests {
		all[q.Route] += 0
		if q.End <= until {
			all[q.Route]++
		}
	}
	if len(all) <= 1 || r.watchedHop.Load {
		r.needs = sets.KeySet(all)
		return
	}
	received := r.counters.Hop(r.watchedHop, 0, until).Requests / r.watchedHop.Calls
	asMany := func(streams sets.Set[string]) bool {
		n := 0.0
		for stream := range streams {
			n += all[stream]
		}
		return math.Abs(n-received) <= max(inFlight, received/10)
	}
	byPath := leading(streams, r.watchedHop.Per)
	if len(byPath) > 0 && (received == 0 || asMany(byPath)) {
		r.needs = byPath
		return
	}
	if received == 0 {
		return
	}
	candidates := []sets.Set[string]{sets.KeySet(all)}
	for stream := range all {
		candidates = append(candidates, sets.New(stream))
	}
	candidates = slices.DeleteFunc(candidates, func(streams sets.Set[string]) bool { return !asMany(streams) })
	if len(candidates) == 1 {
		r.needs = candidates[0]
	}
}

// leading returns the streams with the paths of some routes, or, if there are none, those
// whose paths end like them: the services before may have cut off the beginning.
func leading(streams []experiment.Stream, routes []string) sets.Set[string] {
	whole, end := sets.New[string](), sets.New[string]()
	for _, s := range streams {
		path, _, _ := strings.Cut(s.Path, "?")
		for _, route := range routes {
			method, pattern, _ := strings.Cut(route, " ")
			got, want := segments(path), segments(pattern)
			if method != s.Method || len(got) < len(want) {
				continue
			}
			if isPath(got, want) {
				whole.Insert(s.Name)
			}
			if isPath(got[len(got)-len(want):], want) {
				end.Insert(s.Name)
			}
		}
	}
	if len(whole) > 0 {
		return whole
	}
	return end
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// isPath reports whether a path has the form of a route, in which :NAME is any segment
// and *NAME all that follow.
func isPath(got, want []string) bool {
	for i, segment := range want {
		if strings.HasPrefix(segment, "*") {
			return true
		}
		if i >= len(got) || segment != got[i] && !strings.HasPrefix(segment, ":") {
			return false
		}
	}
	return len(got) == len(want)
}

// needing are the requests that lead to calls of the watched hop; none if it is unknown
// which do.
func (r *Run) needing(requests []record.Request) []record.Request {
	return slices.DeleteFunc(slices.Clone(requests), func(q record.Request) bool { return !r.needs.Has(q.Route) })
}
