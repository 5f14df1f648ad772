package load

import (
	"context"
	"sync"
	"time"
)

// Plan configures a load.
type Plan struct {
	Schedule Schedule
	Duration time.Duration
	// MaxInFlight is the maximum number of requests in flight. A request that is due when there are as
	// many waits, and the wait is a part of its latency: see Request.Delayed.
	MaxInFlight int

	now func() time.Time // time.Now when nil
}

// Request is a request of the load. All times are offsets since the load's start.
type Request[T any] struct {
	N int // from 0
	// Intended is the planned start, Start the actual one.
	Intended, Start, End time.Duration
	// Delayed reports whether the request could not start in time because MaxInFlight requests were in
	// flight, at its own intended start or at that of a request before it.
	Delayed bool
	Outcome T
}

// Latency returns the time from the intended start to the end. It includes the time before the actual
// start, which the caller waits, too.
func (r Request[T]) Latency() time.Duration { return r.End - r.Intended }

// Run sends the requests of the plan and returns them when all have ended, in the order of their intended
// starts. When ctx ends, Run sends no more requests; those in flight get the same ctx.
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
	sent, blockedUntil := 0, time.Duration(0) // the end of the last wait for a slot
	for n := range requests {
		timer.Reset(max(0, p.Schedule.Due(n)-elapsed()))
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

// enter takes a slot. waited reports whether it had to wait for one; ok is false when ctx has ended.
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
