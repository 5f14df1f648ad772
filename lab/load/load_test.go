package load

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	for _, test := range []struct {
		pace    Pace
		elapsed time.Duration
		sent    int
		want    time.Duration
	}{
		{1, 0, 0, 0},
		{1, 0, 1, time.Second},
		{1, 100 * time.Millisecond, 1, 900 * time.Millisecond},
		{1, time.Second, 1, 0},
		{1, 5 * time.Second, 1, 0},                // late, as are the others after it
		{1, 5 * time.Second, 6, time.Second},      // caught up
		{10, 0, 7, 700 * time.Millisecond},        // ahead
		{0.5, time.Second, 1, time.Second},        // less than one a second
		{100, 10 * time.Second, 1000, 0},          // no drift after many
		{100, 10 * time.Second, 1001, 10_000_000}, // 10 ms
		{3, time.Hour, 3 * 3600, 0},
		{3, time.Hour, 3*3600 + 1, 333_333_333},
	} {
		if got := Wait(test.pace, test.elapsed, test.sent); got != test.want {
			t.Errorf("%v a second, %v elapsed, %d sent: wait %v, want %v", test.pace, test.elapsed, test.sent, got, test.want)
		}
	}
}

func TestCount(t *testing.T) {
	for _, test := range []struct {
		pace Pace
		d    time.Duration
		want int
	}{{10, 3 * time.Second, 30}, {10, 3*time.Second + 1, 31}, {3, time.Second, 3}, {0.5, time.Second, 1}, {0.5, 2 * time.Second, 1}, {7, 0, 0}} {
		if got := Count(test.pace, test.d); got != test.want {
			t.Errorf("%v a second for %v: %d, want %d", test.pace, test.d, got, test.want)
		}
	}
}

// TestRates checks that the number of requests until a time is the integral of the rate.
func TestRates(t *testing.T) {
	const sec = time.Second
	for name, test := range map[string]struct {
		rates Rates
		until map[time.Duration]int
	}{
		"ramp up":     {Rates{{From: 0.1, To: 20, For: 10 * sec}}, map[time.Duration]int{5 * sec: 26, 10 * sec: 101, 11 * sec: 121}},
		"ramp down":   {Rates{{From: 20, To: 0.1, For: 10 * sec}}, map[time.Duration]int{5 * sec: 76, 10 * sec: 101}},
		"steps":       {Rates{{10, 10, 2 * sec}, {50, 50, sec}, {From: 10, To: 10}}, map[time.Duration]int{2 * sec: 20, 3 * sec: 70, 5 * sec: 90}},
		"ramp, steps": {Rates{{10, 30, 2 * sec}, {From: 5, To: 5}}, map[time.Duration]int{2 * sec: 40, 4 * sec: 50}},
	} {
		for until, want := range test.until {
			if got := Count(test.rates, until); got != want {
				t.Errorf("%s: %d requests in %v, want %d", name, got, until, want)
			}
		}
		for n := range 200 {
			if test.rates.Due(n+1) <= test.rates.Due(n) {
				t.Errorf("%s: request %d is due at %v, %d at %v", name, n, test.rates.Due(n), n+1, test.rates.Due(n+1))
			}
		}
	}
}

// TestStall checks that a service that stalls from 2 s to 5 s delays the requests that are due in that time
// and none after it.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const from, to = 2 * time.Second, 5 * time.Second
		requests := Run(t.Context(), Plan{Schedule: Pace(10), Duration: 8 * time.Second, MaxInFlight: 100}, func(context.Context, int) int {
			if now := time.Since(begin); now >= from && now < to {
				time.Sleep(to - now)
			}
			return 200
		})
		if len(requests) != 80 {
			t.Fatalf("%d requests, want 80", len(requests))
		}
		for n, s := range requests {
			intended := time.Duration(n) * 100 * time.Millisecond
			want := time.Duration(0)
			if intended >= from && intended < to {
				want = to - intended
			}
			if s.N != n || s.Intended != intended || s.Start != intended || s.Latency() != want || s.Delayed || s.Outcome != 200 {
				t.Errorf("request %d: %+v, latency %v, want %v", n, s, s.Latency(), want)
			}
		}
	})
}

// TestMaxInFlight checks that, with at most one request in flight, the second waits for the first, is
// delayed, and has a latency from its intended start.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		most, under := 0, 0
		requests := Run(t.Context(), Plan{Schedule: Pace(10), Duration: 300 * time.Millisecond, MaxInFlight: 1}, func(context.Context, int) string {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(250 * time.Millisecond)
			mu.Lock()
			under--
			mu.Unlock()
			return "ok"
		})
		want := []Request[string]{
			{0, 0, 0, 250 * time.Millisecond, false, "ok"},
			{1, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, true, "ok"},
			{2, 200 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond, true, "ok"},
		}
		if len(requests) != len(want) || most != 1 {
			t.Fatalf("%d requests, %d at once", len(requests), most)
		}
		for i, s := range requests {
			if s != want[i] {
				t.Errorf("got %+v, want %+v", s, want[i])
			}
		}
	})
}

// TestStopped stops the load for 4 s, as SIGSTOP does. The requests of that time start late, none is marked
// as delayed, and none is lost.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stopped atomic.Bool
		now := func() time.Time {
			if stopped.Load() {
				return time.Now().Add(4 * time.Second)
			}
			return time.Now()
		}
		requests := Run(t.Context(), Plan{Schedule: Pace(10), Duration: 10 * time.Second, MaxInFlight: 100, now: now}, func(_ context.Context, n int) int {
			if n == 20 {
				stopped.Store(true)
			}
			return 200
		})
		if len(requests) != 100 {
			t.Fatalf("%d requests, want 100", len(requests))
		}
		for n, r := range requests {
			late := time.Duration(0)
			if n > 20 {
				late = max(0, 6100*time.Millisecond-r.Intended) // the timer of the next one runs on
			}
			if r.Start-r.Intended != late || r.Delayed || r.Outcome != 200 {
				t.Errorf("request %d: %+v, want %v late", n, r, late)
			}
		}
	})
}

// TestBlocked checks that requests that are due while another waits for a slot are delayed, too, although
// there is a slot when they start.
func TestBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := Run(t.Context(), Plan{Schedule: Pace(10), Duration: time.Second, MaxInFlight: 2}, func(_ context.Context, n int) int {
			if n < 2 {
				time.Sleep(550*time.Millisecond - time.Duration(n)*100*time.Millisecond)
			}
			return n
		})
		for n, r := range requests {
			if want := n >= 2 && n <= 5; r.Delayed != want || (r.Start == r.Intended) == want {
				t.Errorf("request %d: %+v, delayed: want %v", n, r, want)
			}
		}
	})
}

// TestEnd checks that, when the context ends, no more requests are sent and Run waits for those in flight.
func TestEnd(t *testing.T) {
	for name, room := range map[string]int{"room": 100, "no room": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
				defer cancel()
				requests := Run(ctx, Plan{Schedule: Pace(10), Duration: time.Hour, MaxInFlight: room}, func(ctx context.Context, _ int) error {
					<-ctx.Done()
					return ctx.Err()
				})
				if want := min(4, room); len(requests) != want {
					t.Fatalf("%d requests, want %d", len(requests), want)
				}
				for _, s := range requests {
					if s.End != 350*time.Millisecond || s.Outcome != context.DeadlineExceeded {
						t.Errorf("got %+v", s)
					}
				}
			})
		})
	}
}
