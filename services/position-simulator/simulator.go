package main

import (
	"context"
	"sync"
	"time"

	"fleetman.example/kit/fleet"
)

// simulator drives a fleet, with a goroutine per vehicle. At most one report of a vehicle is in flight.
type simulator struct {
	vehicles []*vehicle
	interval time.Duration                                   // mean time between two reports of a vehicle
	drain    time.Duration                                   // longest wait for reports in flight at the end
	forget   func(ctx context.Context, vehicle string) error // called before the first report
	send     func(context.Context, fleet.Position)
	skipped  func(n int) // called with the number of reports that were due while one was in flight
}

// run sends reports until ctx is done, then waits until those in flight are answered, at most for drain.
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
		if ctx.Err() != nil { // select chooses at random if both are ready
			return
		}
		if fresh {
			if s.forget(ctx, v.name) != nil { // only if ctx is done
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
