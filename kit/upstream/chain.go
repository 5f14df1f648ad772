package upstream

import (
	"net/http"
	"time"
)

// newChain nests what stands between a call and the wire. From the outside in:
//
//	fallback         answers with what is known when all within has failed (see Placeholder)
//	total time-out   over all attempts; nothing within outlives the caller's patience
//	retry            repeats what is safe to repeat, within a budget of all calls
//	balance          chooses an endpoint for each attempt; an open one is skipped
//	breaker          one an endpoint or one for the upstream: an open one is not called
//	bulkhead         bounds concurrent calls; inside the breaker, so that a refusal, which says
//	                 nothing about the upstream, is not counted against it
//	attempt time-out bounds one attempt; inside the breaker, so that slowness is counted. It makes
//	                 the attempt's own request, and is there without a time-out of its own, too
//	whole answer     reads the body, so that one that breaks off or crawls is a failed attempt, and
//	                 one that is being read is a concurrent call
//	trace            a span and a measurement for each attempt
//	dial
//
// This is the order that Resilience4j and failsafe-go document, with a balancer inside the retry.
// A stage that is off is not there: off leaves the total time-out, trace and dial.
func newChain(m *instruments, cfg Config, dial http.RoundTripper, lookup lookupFunc, placeholder Placeholder) http.RoundTripper {
	view := cfg.State.add(m.name)
	wire := m.o.Transport(m.name, dial)
	if cfg.inAttempts() {
		wire = whole{wire}
	}
	var attempts attempter = newAttempt(cfg, wire)
	if cfg.Bulkhead > 0 {
		view.bulkhead = &bulkhead{limit: int64(cfg.Bulkhead), next: attempts, refused: m.refused}
		attempts = view.bulkhead
	}
	if cfg.Breaker.Failures > 0 {
		view.breakers = newBreakers(m.name, cfg.Breaker, attempts, lookup, m.transitioned(cfg.State))
		attempts = view.breakers
	}
	if cfg.Retry.Attempts > 1 {
		view.budget = newBudget(cfg.Retry.BudgetPercent)
		attempts = newRetry(cfg.Retry, view.budget, attempts, view.breakers, cfg.draw, m)
	}
	m.watch(view)
	var chain http.RoundTripper = totalTimeout{cfg.Timeout, attempts, cfg.AttemptTimeout > 0}
	if cfg.Fallback && placeholder != nil {
		chain = newFallback(chain, placeholder, m)
	}
	return chain
}

// inAttempts tells whether a stage is on that sees a call as attempts.
func (c Config) inAttempts() bool {
	return c.AttemptTimeout > 0 || c.Retry.Attempts > 1 || c.Breaker.Failures > 0 || c.Bulkhead > 0
}

// clock is the time; inside a synctest bubble it is the bubble's.
var clock = time.Now
