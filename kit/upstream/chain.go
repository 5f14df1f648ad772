package upstream

import (
	"net/http"
	"time"
)

// newChain nests the stages between a call and the wire, each an http.RoundTripper that knows none of
// the others. From the outside in:
//
//	fallback         answers with what is known when everything within has failed (see Placeholder)
//	total time-out   over all attempts and waits
//	retry            repeats what is safe to repeat, within a budget of all calls; net/http repeats
//	                 nothing beside it
//	balance          picks an endpoint for each attempt; an open one is skipped
//	breaker          one an endpoint, or one for the upstream; it takes the evidence of each attempt
//	bulkhead         bounds concurrent calls; inside the breaker, so that a refusal, which proves
//	                 nothing about the upstream, is no evidence against it
//	attempt time-out bounds one attempt; inside the breaker, so that slowness is evidence
//	whole answer     reads the body, so that one that breaks off or crawls is a failed attempt, and
//	                 one that is being read is a concurrent call
//	trace            a span and a measurement for each attempt
//	final status     makes an answer without a final status an error
//	dial
//
// This is the order that Resilience4j and failsafe-go document, with a balancer inside the retry.
// A stage that is off is not there: off leaves the total time-out, trace and dial.
//
// Two stages need a fact that another one has, and get it here, as a function: the balancer refuses
// a call only where a fallback stands in for it; the retry waits until the balancer has an endpoint
// that does not ask to be left alone, and ends where the balancer would refuse the next attempt; and the attempts that the
// retry makes of one call share the balancer's history of it.
func newChain(m *instruments, cfg Config, dial http.RoundTripper, lookup lookupFunc, fb *fallback) http.RoundTripper {
	view := cfg.State.add(m.name)
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
		view.balancer = newBalancer(cfg.Breaker, lookup, mayRefuse, m.transitioned(cfg.State), chain)
		chain = view.balancer
	}
	if cfg.Retry.Attempts > 1 {
		rt := newRetry(cfg.Retry, cfg.draw, chain)
		rt.retried, rt.denied = m.retried, m.denied
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

// hasAttempts reports whether a stage is on that sees a call as attempts.
func (c Config) hasAttempts() bool {
	return c.AttemptTimeout > 0 || c.Retry.Attempts > 1 || c.Breaker.Failures > 0 || c.Bulkhead > 0
}
