package load

import (
	"context"
	"sync"
	"time"
)

// Plan is a load.
type Plan struct {
	Pace     Pace
	Duration time.Duration
	// MaxInFlight bounds the requests under way. One that falls due beyond it
	// waits for room, and its wait counts: see Shot.Held.
	MaxInFlight int
}

// Shot is one request. Times are counted from the start of the load; Intended
// is when it was due, from which its latency counts: the time until it was
// sent is a part of what its caller waited.
type Shot[T any] struct {
	N                    int
	Intended, Start, End time.Duration
	Held                 bool // it waited for room
	Outcome              T
}

// Latency is what the caller waited.
func (s Shot[T]) Latency() time.Duration { return s.End - s.Intended }

// Run sends every request of the plan and returns them, in the order of their
// intended starts, when all have ended. When ctx ends it sends no more; what
// is under way has ctx to hear of it.
func Run[T any](ctx context.Context, p Plan, send func(ctx context.Context, n int) T) []Shot[T] {
	var under sync.WaitGroup
	room := make(chan struct{}, p.MaxInFlight)
	shots := make([]Shot[T], p.Pace.Count(p.Duration))
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	sent := 0
	for n := range shots {
		timer.Reset(p.Pace.Wait(time.Since(begin), n))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		shot := &shots[n]
		shot.N, shot.Intended = n, p.Pace.Due(n)
		if !enter(ctx, room, &shot.Held) {
			break
		}
		sent++
		under.Go(func() {
			defer func() { <-room }()
			shot.Start = time.Since(begin)
			shot.Outcome = send(ctx, n)
			shot.End = time.Since(begin)
		})
	}
	under.Wait()
	return shots[:sent]
}

// enter takes room; false when ctx has ended.
func enter(ctx context.Context, room chan struct{}, held *bool) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case room <- struct{}{}:
		return true
	default:
	}
	*held = true
	select {
	case room <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
