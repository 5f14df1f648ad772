package load

import (
	"context"
	"sync"
	"time"
)

// Plan is a load.
type Plan struct {
	Schedule Schedule
	Duration time.Duration
	// MaxInFlight is the most requests in flight. A request that is due beyond it
	// waits, and its wait is a part of its latency: see Request.Delayed.
	MaxInFlight int

	now func() time.Time // time.Now when nil
}

// Request is one request of the load. Times count from the start of the load.
// Intended is the start that the plan gives the request, Start the actual one.
type Request[T any] struct {
	N                    int
	Intended, Start, End time.Duration
	// Delayed requests could not start in time because too many were in flight,
	// at their own intended start or at that of a request before them.
	Delayed bool
	Outcome T
}

// Latency is the time from the intended start to the end: the time before the
// actual start is a part of what the caller waits.
func (r Request[T]) Latency() time.Duration { return r.End - r.Intended }

// Run sends every request of the plan and returns them, in the order of their
// intended starts, when all have ended. When ctx ends, Run sends no more; the
// requests in flight have the same ctx.
func Run[T any](ctx context.Context, p Plan, send func(ctx context.Context, n int) T) []Request[T] {
	now := p.now
	if now == nil {
		now = time.Now
	}
	begin := now()
	elapsed := func() time.Duration { return now().Sub(begin) }

	var inFlight sync.WaitGroup
	slots := make(chan struct{}, p.MaxInFlight)
	requests := make([]Request[T], Count(p.Schedule, p.Duration))
	timer := time.NewTimer(0)
	defer timer.Stop()
	sent, blockedUntil := 0, time.Duration(0) // the loop waited for a slot
	for n := range requests {
		timer.Reset(Wait(p.Schedule, elapsed(), n))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		request := &requests[n]
		request.N, request.Intended = n, p.Schedule.Due(n)
		waited, ok := enter(ctx, slots)
		if !ok {
			break
		}
		if waited {
			blockedUntil = elapsed()
		}
		request.Delayed = request.Intended < blockedUntil
		sent++
		inFlight.Go(func() {
			defer func() { <-slots }()
			request.Start = elapsed()
			request.Outcome = send(ctx, n)
			request.End = elapsed()
		})
	}
	inFlight.Wait()
	return requests[:sent]
}

// enter takes a slot and reports whether it had to wait for one; ok is false
// when ctx has ended.
func enter(ctx context.Context, slots chan struct{}) (waited, ok bool) {
	if ctx.Err() != nil {
		return false, false
	}
	select {
	case slots <- struct{}{}:
		return false, true
	default:
	}
	select {
	case slots <- struct{}{}:
		return true, true
	case <-ctx.Done():
		return true, false
	}
}
