package main

import (
	"context"
	"sync"
	"time"

	"fleetman.example/kit/fleet"
)

// simulator drives a fleet, a goroutine a vehicle: each sleeps between its own
// reports, so that at most one report of a vehicle is in flight.
type simulator struct {
	vehicles []*vehicle
	interval time.Duration                                   // mean between two reports of a vehicle
	drain    time.Duration                                   // what a report under way may still take at the end
	forget   func(ctx context.Context, vehicle string) error // before its first report
	send     func(context.Context, fleet.Position)
	skipped  func(n int) // reports fell due while the one before was in flight
}

// run reports until ctx is done and returns when the last report under way
// has its answer, or after the drain.
func (s *simulator) run(ctx context.Context) {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(s.drain, cut) })
	defer stop()
	start := time.Now()
	var under sync.WaitGroup
	for _, v := range s.vehicles {
		under.Go(func() { s.drive(ctx, sending, v, start) })
	}
	under.Wait()
}

func (s *simulator) drive(ctx, sending context.Context, v *vehicle, start time.Time) {
	due := start.Add(v.firstDue(s.interval))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	fresh := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if ctx.Err() != nil { // both at once: no new report
			return
		}
		if fresh {
			if s.forget(ctx, v.name) != nil { // it fails only when ctx is done
				return
			}
			fresh, due = false, time.Now()
		}
		now := time.Now()
		s.send(sending, v.report(now.Sub(start), now))
		now = time.Now()
		missed := 0
		for due = due.Add(v.nextDue(s.interval)); due.Before(now); due = due.Add(v.nextDue(s.interval)) {
			missed++
		}
		if missed > 0 {
			s.skipped(missed)
		}
		timer.Reset(due.Sub(now))
	}
}
