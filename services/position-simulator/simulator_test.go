package main

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server/servertest"
)

func dec(i int) fleet.Decimal { return fleet.Decimal(strconv.Itoa(i)) }

// recorder records reports; each takes some time.
type recorder struct {
	takes time.Duration

	mu        sync.Mutex
	reports   map[string][]fleet.Position
	skips     int
	forgotten []string
}

func (r *recorder) send(_ context.Context, p fleet.Position) {
	r.mu.Lock()
	if r.reports == nil {
		r.reports = map[string][]fleet.Position{}
	}
	r.reports[p.Name] = append(r.reports[p.Name], p)
	r.mu.Unlock()
	time.Sleep(r.takes)
}

// forget records a vehicle that has not reported yet.
func (r *recorder) forget(_ context.Context, vehicle string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports[vehicle]) == 0 {
		r.forgotten = append(r.forgotten, vehicle)
	}
	return nil
}

func (r *recorder) skipped(n int) {
	r.mu.Lock()
	r.skips += n
	r.mu.Unlock()
}

// driveFor runs a fleet for a time of the synctest bubble.
func driveFor(t *testing.T, vehicles []*vehicle, interval, takes, while time.Duration) *recorder {
	t.Helper()
	r := &recorder{takes: takes}
	ctx, stop := context.WithTimeout(t.Context(), while)
	defer stop()
	(&simulator{vehicles: vehicles, interval: interval, drain: time.Hour, send: r.send, skipped: r.skipped, forget: r.forget}).run(ctx)
	return r
}

func TestPace(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second, 7 * time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rounds = 2000
				start := time.Now()
				vehicles := servertest.Must(newFleet([]*route{routeOf("A", 30)}, 2, 5))
				r := driveFor(t, vehicles, interval, 0, rounds*interval)
				if slices.Sort(r.forgotten); !slices.Equal(r.forgotten, []string{"A", "A 2"}) {
					t.Errorf("forgot %v before their first reports", r.forgotten)
				}
				if r.skips != 0 {
					t.Errorf("%d reports skipped with an upstream that answers immediately", r.skips)
				}
				for _, v := range vehicles {
					got := r.reports[v.name]
					// The mean of 2000 uniform intervals is within 3 %, five standard deviations.
					if len(got) < rounds*97/100 || len(got) > rounds*103/100 {
						t.Errorf("%s reported %d times in %d intervals", v.name, len(got), rounds)
					}
					if first := got[0].Timestamp.Sub(start); first >= interval {
						t.Errorf("%s reports first after %v", v.name, first)
					}
					for i, p := range got {
						if i > 0 {
							if gap := p.Timestamp.Sub(got[i-1].Timestamp); gap < interval/2 || gap > interval*3/2 {
								t.Fatalf("%s reported after %v", v.name, gap)
							}
						}
						// The position depends only on the time, also after the route has started again.
						driven := v.ahead + p.Timestamp.Sub(start)
						if want := dec(int(driven/time.Second) % 30); p.Lat != want {
							t.Fatalf("%s after %v at %s, want %s", v.name, driven, p.Lat, want)
						}
					}
				}
			})
		})
	}
}

// With a slow upstream, reports that are due while one is in flight are skipped and counted exactly, and never
// sent later.
func TestSlowUpstreamSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes, while = 10 * time.Second, 10 * time.Minute
		start := time.Now()
		routes := []*route{routeOf("A", 30), routeOf("B", 30)}
		r := driveFor(t, servertest.Must(newFleet(routes, 2, 9)), time.Second, takes, while)
		skips := 0
		for _, twin := range servertest.Must(newFleet(routes, 2, 9)) {
			var sent []time.Time
			free := start
			for due := start.Add(twin.firstDue(time.Second)); due.Before(start.Add(while)) || due.Before(free); due = due.Add(twin.nextDue(time.Second)) {
				if due.Before(free) {
					skips++
					continue
				}
				sent = append(sent, due)
				free = due.Add(takes)
			}
			got := r.reports[twin.name]
			if len(got) != len(sent) {
				t.Fatalf("%s: %d reports, want %d", twin.name, len(got), len(sent))
			}
			for i, p := range got {
				if !p.Timestamp.Equal(sent[i]) {
					t.Fatalf("%s: report %d at %v, want %v", twin.name, i, p.Timestamp, sent[i])
				}
			}
			if len(sent) < 50 || len(sent) > 60 { // one in 10 to 11.5 s
				t.Errorf("%s: %d reports in %v", twin.name, len(sent), while)
			}
		}
		if r.skips != skips || skips < 1000 {
			t.Errorf("%d skipped, want %d", r.skips, skips)
		}
	})
}

func TestDrain(t *testing.T) {
	for _, tc := range []struct {
		name                string
		takes, drain, stays time.Duration
		cut                 bool
	}{
		{"the answer comes", 5 * time.Second, time.Minute, 5 * time.Second, false},
		{"the answer does not come", time.Hour, time.Minute, time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var reports atomic.Int32
				var cut bool
				var stopped time.Time
				s := simulator{
					vehicles: servertest.Must(newFleet([]*route{routeOf("A", 30)}, 1, 1)),
					interval: time.Second, drain: tc.drain, skipped: func(int) {}, forget: new(recorder).forget,
					send: func(sending context.Context, _ fleet.Position) {
						reports.Add(1)
						stopped = time.Now()
						stop()
						select {
						case <-time.After(tc.takes):
						case <-sending.Done():
							cut = true
						}
					},
				}
				s.run(ctx)
				if stayed := time.Since(stopped); stayed != tc.stays || cut != tc.cut {
					t.Errorf("returned after %v, report cut off: %v; want %v, %v", stayed, cut, tc.stays, tc.cut)
				}
				if reports.Load() != 1 {
					t.Errorf("%d reports, want no new one after the stop", reports.Load())
				}
			})
		})
	}
}
