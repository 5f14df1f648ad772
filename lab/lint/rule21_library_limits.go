package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

var libraryLimits = &Rule{
	Number: 21, Name: "library-limits", Severity: Warning,
	Finds:   "the library's own: attempts × ATTEMPT_TIMEOUT > UPSTREAM_TIMEOUT; a breaker that is open for less than one call; BULKHEAD below rate × latency; BREAKER_SCOPE=endpoint behind a proxy; FALLBACK without a call",
	Reason:  "The settings of one chain bound each other. A proxy hides the endpoints: behind one, a breaker for each endpoint is one for all of them.",
	Source:  "../kit/upstream/README.md",
	check:   checkLibraryLimits,
	proof:   proveLibraryLimits,
	NoProof: "FALLBACK without a call: a run without it is the same; attempts that do not fit: the library makes them all, the later ones shorter",
}

func checkLibraryLimits(p *pass) {
	for _, w := range p.workloads {
		l := &w.library
		if !l.on && len(l.env) == 0 {
			continue
		}
		if len(w.calls) == 0 {
			if v, set := l.env["FALLBACK"]; set && v.text == "true" {
				p.about = subject{which: "no call"}
				p.report(v.set, "remove FALLBACK", "%s makes no call: FALLBACK has nothing to fall back from or to", w.name)
			}
			continue
		}
		p.about = subject{edge: w.calls[0], which: "attempts"}
		p.checkAttempts(w, l)
		if l.failures > 0 && l.openPercent > 0 && l.openTime < l.total && !p.neverOpens(w) {
			p.about.which = "open time"
			p.report(l.set("BREAKER_OPEN_TIME").or(l.set("UPSTREAM_TIMEOUT")), "write BREAKER_OPEN_TIME: "+short(l.total)+" or more",
				"%s: a breaker is open for %s, less than one call may take (UPSTREAM_TIMEOUT %s): it is half-open again before the call that opened it is over", w.name, short(l.openTime), short(l.total))
		}
		if inFlight := p.Rate * p.Latency.Seconds(); l.bulkhead > 0 && inFlight > float64(l.bulkhead) {
			p.about.which = "bulkhead"
			p.reportAs(Error, l.set("BULKHEAD"), fmt.Sprintf("write BULKHEAD: %d or more, twice that for peaks", int(math.Ceil(inFlight))),
				"%s: BULKHEAD %d is below %g requests per second × %s = %.4g in flight", w.name, l.bulkhead, p.Rate, short(p.Latency), inFlight)
		}
		p.checkScope(w, l)
	}
}

// checkAttempts compares all attempts with the total. The library shortens them.
func (p *pass) checkAttempts(w *workload, l *library) {
	all := time.Duration(min(l.tries, maxTries)) * l.attempt
	if l.attempt == 0 || l.total == 0 || all <= l.total {
		return
	}
	each, _ := l.attempts(0)
	var times []string
	for _, one := range each {
		times = append(times, short(one.Truncate(10*time.Millisecond)))
	}
	p.report(l.set("RETRY_ATTEMPTS").or(l.set("ATTEMPT_TIMEOUT")), fmt.Sprintf("write ATTEMPT_TIMEOUT: %s or less, or UPSTREAM_TIMEOUT: %s", short((l.total/time.Duration(l.tries)).Truncate(10*time.Millisecond)), short(all)),
		"%s: %d × ATTEMPT_TIMEOUT %s = %s, and UPSTREAM_TIMEOUT is %s: an attempt takes at most half of what is left, so that they have %s", w.name, l.tries, short(l.attempt), short(all), short(l.total), strings.Join(times, ", "))
}

// neverOpens reports whether no breaker of a workload can open: rule 1.
func (p *pass) neverOpens(w *workload) bool {
	return !slices.ContainsFunc(w.calls, func(e *edge) bool { return w.library.endpoints(e)*w.library.openPercent/100 > 0 })
}

// checkScope reports breakers for each endpoint where a proxy or a Service's
// address hides the endpoints.
func (p *pass) checkScope(w *workload, l *library) {
	if !w.meshed || !l.endpointScope || l.failures == 0 {
		return
	}
	for _, e := range w.calls {
		n := e.to.hosts(nil)
		if n == 1 {
			continue
		}
		of := "the hosts"
		if n > 1 {
			of = "all " + counted(n, "host")
		}
		p.about = subject{edge: e, which: "scope"}
		p.report(l.set("BREAKER_SCOPE"), "write BREAKER_SCOPE: upstream, or BREAKER_FAILURES: 0 and leave ejection to the proxy",
			"%s calls %s through its proxy, which is the only endpoint that it sees: its breaker counts the errors of %s together, and opens for all", w.name, e.name(), of)
	}
}
