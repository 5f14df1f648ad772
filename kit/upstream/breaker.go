package upstream

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker is the circuit breaker of one endpoint: a two-step gobreaker whose open time grows with each
// consecutive opening. It is not safe for concurrent use: the balancer's mutex guards it, and with it the
// state that mayOpen and changed use.
type breaker struct {
	cfg     BreakerConfig
	two     *gobreaker.TwoStepCircuitBreaker[any]
	reopens time.Time // end of the open time: then a probe is allowed
	opened  int       // consecutive openings without closing
	failure string    // reason of the last failed attempt
}

// newBreaker returns a closed breaker. mayOpen reports whether this breaker may open. changed is called
// after each change of state.
func newBreaker(cfg BreakerConfig, mayOpen func() bool, changed func(from, to gobreaker.State, cause string)) *breaker {
	b := &breaker{cfg: cfg}
	b.two = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: uint32(cfg.Probes),
		Timeout:     cfg.OpenTime, // the shortest; reopens has the actual end
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= uint32(cfg.Failures) && mayOpen()
		},
		OnStateChange: func(_ string, from, to gobreaker.State) { changed(from, to, b.enter(to)) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errNoEvidence) },
	})
	return b
}

// enter updates the fields for a new state and returns the cause of the change.
func (b *breaker) enter(state gobreaker.State) (cause string) {
	switch state {
	case gobreaker.StateOpen:
		b.opened++
		b.reopens = time.Now().Add(b.cfg.OpenTime * time.Duration(min(b.opened, b.cfg.Growth)))
		return b.failure
	case gobreaker.StateHalfOpen:
		return "open time over"
	}
	b.opened = 0
	return "good answer"
}

// allow returns the function to pass to take after an attempt, or nil if no attempt may be made now.
func (b *breaker) allow() (report func(evidence error)) {
	if b.isWaiting() {
		return nil
	}
	report, err := b.two.Allow()
	if err != nil { // open, or half-open with all probes in flight
		return nil
	}
	return report
}

// take reports the evidence of an attempt (see outcome.evidence). report is allow's result.
func (b *breaker) take(report func(error), evidence error) {
	if evidence != nil && !errors.Is(evidence, errNoEvidence) {
		b.failure = failureReason(evidence)
	}
	report(evidence)
}

// isWaiting reports whether the breaker's open time has not ended.
func (b *breaker) isWaiting() bool { return time.Now().Before(b.reopens) }

// state returns the state. During the open time it does not call gobreaker's State, which would change to
// half-open after Timeout.
func (b *breaker) state() gobreaker.State {
	if b.isWaiting() {
		return gobreaker.StateOpen
	}
	return b.two.State()
}
