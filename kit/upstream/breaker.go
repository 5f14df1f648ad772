package upstream

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker is the circuit breaker of one endpoint: gobreaker in its two-step form, with an open time
// that grows with each opening in a row. It is not safe for concurrent use: the lock of whoever
// holds it also guards what mayOpen reads and changed writes.
type breaker struct {
	cfg     BreakerConfig
	two     *gobreaker.TwoStepCircuitBreaker[any]
	reopens time.Time // when an open one may be probed
	opened  int       // times in a row, without having closed
	failure string    // why the last failed attempt failed
}

// newBreaker returns a closed breaker. mayOpen reports whether one more breaker may be open; changed
// is called after each change of state.
func newBreaker(cfg BreakerConfig, mayOpen func() bool, changed func(from, to gobreaker.State, cause string)) *breaker {
	b := &breaker{cfg: cfg}
	b.two = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: uint32(cfg.Probes),
		Timeout:     cfg.OpenTime, // the first time; reopens has the grown one
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= uint32(cfg.Failures) && mayOpen()
		},
		OnStateChange: func(_ string, from, to gobreaker.State) { changed(from, to, b.enter(to)) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errNoEvidence) },
	})
	return b
}

// enter keeps the times of a new state and returns its cause.
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

// allow returns the function that takes the evidence of the attempt that may be made now, by way of
// take; nil where none may.
func (b *breaker) allow() (report func(evidence error)) {
	if b.isWaiting() {
		return nil
	}
	report, err := b.two.Allow()
	if err != nil { // open, or half-open with all its probes in flight
		return nil
	}
	return report
}

// take takes the evidence of an attempt that allow allowed.
func (b *breaker) take(report func(error), evidence error) {
	if evidence != nil && !errors.Is(evidence, errNoEvidence) {
		b.failure = failureReason(evidence)
	}
	report(evidence)
}

// isWaiting reports whether the open time, grown or not, is not over.
func (b *breaker) isWaiting() bool { return time.Now().Before(b.reopens) }

// state returns the state; gobreaker half-opens by being asked, so it is not asked too early.
func (b *breaker) state() gobreaker.State {
	if b.isWaiting() {
		return gobreaker.StateOpen
	}
	return b.two.State()
}
