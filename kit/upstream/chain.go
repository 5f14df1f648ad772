package upstream

import (
	"net/http"
	"time"
)

// newChain composes the stages between a call and the network. Each is an http.RoundTripper that does not
// depend on the others. From the outside in:
//
//	fallback         after a failure, answers with the last known answer or the placeholder
//	total timeout   limits a call, with all attempts and waits
//	retry            repeats calls that are safe to repeat, within a budget of all calls; keeps net/http
//	                 from repeating any
//	balance          picks an endpoint for each attempt and skips those whose breaker is open
//	breaker          one per endpoint, or one for the upstream; counts failed attempts
//	bulkhead         limits concurrent calls; inside the breaker, which must ignore its refusals: they
//	                 prove nothing about the upstream
//	attempt timeout limits one attempt; inside the breaker, so that a slow answer counts as a failure
//	whole answer     reads the body, so that an incomplete or slow body is a failed attempt, and a call
//	                 counts as concurrent while its body is read
//	trace            makes a span and a measurement for each attempt
//	final status     returns an error for an answer without a final status
//	dial
//
// Resilience4j and failsafe-go document this order; here a balancer is added inside the retry. A stage that
// is switched off is left out: total timeout, trace, final status and dial remain.
//
// Some stages need information of others, which newChain passes as functions. The balancer refuses a call
// only if a fallback can replace its answer. The retry waits until an endpoint of the balancer does not
// rest, and stops if the balancer would refuse the next attempt. The attempts of one call share a history.
func (s *Set) newChain(cfg Config, m *instruments, dial http.RoundTripper, lookup lookupFunc, fb *fallback) http.RoundTripper {
	view := s.shown.add(m.name)
	chain := m.o.Transport(m.name, finalStatus{dial})
	if cfg.hasAttempts() {
		chain = newAttemptTimeout(cfg.AttemptTimeout, cfg.Timeout, whole{chain})
	}
	if cfg.Bulkhead > 0 {
		view.bulkhead = &bulkhead{limit: int64(cfg.Bulkhead), refused: m.refused, next: chain}
		chain = view.bulkhead
	}
	mayRefuse := func(r *http.Request) bool {
		return cfg.Fallback && (cfg.Optional || fb != nil && fb.standsIn(r))
	}
	if cfg.Breaker.Failures > 0 {
		view.balancer = newBalancer(cfg.Breaker, lookup, mayRefuse, m.transitioned(s.shown), chain)
		view.balancer.refused = m.refusedOpen
		chain = view.balancer
	}
	if cfg.Retry.Attempts > 1 {
		rt := newRetry(cfg.Retry, s.draw, chain)
		rt.retried, rt.denied, rt.waited = m.retried, m.denied, m.waited
		view.budget = rt.budget
		chain = rt
		if view.balancer != nil {
			rt.ready = func(r *http.Request) bool { return view.balancer.Ready() || !mayRefuse(r) }
			rt.rest = func(*http.Response) time.Duration { return view.balancer.Rest() }
			rt.begin = withHistory
		}
	}
	m.watch(view)
	chain = totalTimeout{cfg.Timeout, chain}
	if cfg.Fallback && fb != nil {
		fb.next = chain
		chain = fb
	}
	return chain
}

// hasAttempts reports whether a stage is on that handles single attempts.
func (c Config) hasAttempts() bool {
	return c.AttemptTimeout > 0 || c.Retry.Attempts > 1 || c.Breaker.Failures > 0 || c.Bulkhead > 0
}
