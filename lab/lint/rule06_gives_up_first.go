package lint

import (
	"fmt"
	"time"
)

var givesUpFirst = &Rule{
	Number: 6, Name: "gives-up-first", Severity: Error,
	Finds:   "a caller that gives up before its callee's retries are over; an application's time-out below the mesh's on the same hop, or above it",
	Reason:  "Work that nobody waits for is lost, and a retry of the caller's does it again. When the application gives up first, its proxy logs DC, not UT, and the mesh's remaining tries never happen; when the mesh does, the application's time-out never acts.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
	check:   checkGivesUpFirst,
	proof:   proveGivesUpFirst,
	NoProof: "a time-out that never acts: a run without it is the same",
}

func checkGivesUpFirst(p *pass) {
	for _, e := range p.edges {
		p.about = subject{edge: e}
		p.checkHop(e)
		if e.to == nil {
			continue
		}
		waits, at := p.wait(e)
		for _, w := range e.to.workloads {
			next, needs := p.slowest(w)
			if next == nil || waits == 0 || waits >= needs {
				continue
			}
			p.about = subject{edge: e, behind: next}
			p.report(at, fmt.Sprintf("let %s wait %s or longer, or let %s give up before %s", e.from.name, short(needs), w.name, short(waits)),
				"%s waits %s for %s, which may take %s for its %s to %s: the caller gives up first, and the rest is work for nobody",
				e.from.name, short(waits), e.name(), short(needs), counted(p.tries(next), "try"), next.name())
		}
	}
}

// wait is how long a caller waits for a GET, all of its tries included, and the
// setting that ends it; 0: no limit.
func (m *model) wait(e *edge) (time.Duration, value) {
	l, r := &e.from.library, m.read(e)
	_, whole := l.attempts(r.total())
	if lower(l.limit(), r.total()) == 0 {
		return 0, value{}
	}
	switch waits := lower(whole, l.total); {
	case r.total() != 0 && r.total() <= lower(l.limit(), r.total()) && r.timeout() == r.total():
		return waits, r.http.at("timeout")
	case l.total != 0 && (waits == l.total || l.attempt > l.total/2):
		return waits, l.set("UPSTREAM_TIMEOUT").or(e.from.object.at("metadata", "name"))
	default:
		return waits, l.set("ATTEMPT_TIMEOUT").or(e.from.object.at("metadata", "name"))
	}
}

// slowest returns the call of a workload that may take longest with all of its
// retries; nil when none has any.
func (m *model) slowest(w *workload) (slowest *edge, longest time.Duration) {
	for _, e := range w.calls {
		if whole, _ := m.wait(e); whole > longest && m.tries(e) > 1 {
			slowest, longest = e, whole
		}
	}
	return slowest, longest
}

// tries is the largest number of tries of one GET: the library's times the
// mesh's.
func (m *model) tries(e *edge) int {
	return min(e.from.library.tries, maxTries) * min(m.read(e).tries(), maxTries)
}

// checkHop compares the application's limit of one attempt with the mesh's limit
// of the same hop.
func (p *pass) checkHop(e *edge) {
	l, r := &e.from.library, p.read(e)
	mesh := r.total()
	if mesh == 0 || r.hasFault() {
		return
	}
	name, origin, enough := "ATTEMPT_TIMEOUT", "ATTEMPT_TIMEOUT", above(mesh)
	switch {
	case l.attempt == 0:
		name, origin = "UPSTREAM_TIMEOUT", "UPSTREAM_TIMEOUT"
	case l.attempt > l.total/2:
		name, origin, enough = "UPSTREAM_TIMEOUT", "half of UPSTREAM_TIMEOUT "+short(l.total), 2*above(mesh)
	}
	limit := l.limit()
	if limit != 0 && limit < mesh {
		rest := ""
		if n := r.tries(); n > 1 {
			rest = fmt.Sprintf(" and the mesh's %s are not all made", counted(n, "try"))
		}
		p.report(l.set(name).or(r.http.at("timeout")), fmt.Sprintf("write %s: %s or more, or a timeout of the route below %s", name, short(enough), short(limit)),
			"%s gives up on %s after %s (%s), the mesh after %s: the proxy logs DC instead of UT%s", e.from.name, e.name(), short(limit), origin, short(mesh), rest)
		return
	}
	if !l.isSet(name) {
		return
	}
	for _, other := range p.routes(e) {
		if other.total() == 0 || limit <= 2*other.total() {
			return
		}
	}
	p.reportAs(Warning, l.set(name), fmt.Sprintf("write %s: %s, or a longer timeout of the route", name, short(enough)),
		"%s waits up to %s for an attempt at %s (%s), but no route of the mesh lets one take longer than %s: the time-out never acts",
		e.from.name, short(limit), e.name(), origin, short(p.longest(e)))
}

// above is a time-out that lets the mesh's end first: the application's begins
// earlier, so that of two that are equal it is the first to end.
func above(mesh time.Duration) time.Duration { return (mesh + mesh/4).Round(time.Millisecond) }

// longest is the longest that any route of an edge lets a request take.
func (m *model) longest(e *edge) (longest time.Duration) {
	for _, r := range m.routes(e) {
		longest = max(longest, r.total())
	}
	return longest
}
