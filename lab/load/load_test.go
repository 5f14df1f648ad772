package load

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	for _, test := range []struct {
		pace Pace
		n    int
		want time.Duration
	}{
		{1, 0, 0},
		{1, 1, time.Second},
		{10, 7, 700 * time.Millisecond},
		{0.5, 1, 2 * time.Second}, // less than one a second
		{100, 1001, 10*time.Second + 10*time.Millisecond}, // no drift after many
		{3, 3 * 3600, time.Hour},
		{3, 3*3600 + 1, time.Hour + 333_333_333},
	} {
		assert.Equal(t, test.want, test.pace.Due(test.n), "request %d at %v a second", test.n, test.pace)
	}
}

func TestCount(t *testing.T) {
	for _, test := range []struct {
		pace Pace
		d    time.Duration
		want int
	}{{10, 3 * time.Second, 30}, {10, 3*time.Second + 1, 31}, {3, time.Second, 3}, {0.5, time.Second, 1}, {0.5, 2 * time.Second, 1}, {7, 0, 0}} {
		assert.Equal(t, test.want, Count(test.pace, test.d), "%v a second for %v", test.pace, test.d)
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
			assert.Equal(t, want, Count(test.rates, until), "%s: requests in %v", name, until)
		}
		for n := range 200 {
			assert.Greater(t, test.rates.Due(n+1), test.rates.Due(n), "%s: request %d", name, n+1)
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
		require.Len(t, requests, 80)
		for n, s := range requests {
			intended := time.Duration(n) * 100 * time.Millisecond
			end := intended
			if intended >= from && intended < to {
				end = to
			}
			assert.Equal(t, Request[int]{n, intended, intended, end, false, 200}, s)
			assert.Equal(t, end-intended, s.Latency(), "latency of request %d", n)
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
		assert.Equal(t, []Request[string]{
			{0, 0, 0, 250 * time.Millisecond, false, "ok"},
			{1, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, true, "ok"},
			{2, 200 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond, true, "ok"},
		}, requests)
		assert.Equal(t, 1, most, "at once")
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
		require.Len(t, requests, 100)
		for n, r := range requests {
			late := time.Duration(0)
			if n > 20 {
				late = max(0, 6100*time.Millisecond-r.Intended) // the timer of the next one runs on
			}
			assert.Equal(t, late, r.Start-r.Intended, "lateness of request %d", n)
			assert.False(t, r.Delayed, "request %d is delayed", n)
			assert.Equal(t, 200, r.Outcome, "request %d", n)
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
			want := n >= 2 && n <= 5
			assert.Equal(t, []bool{want, want}, []bool{r.Delayed, r.Start > r.Intended}, "request %d is delayed, and late", n)
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
				assert.Len(t, requests, min(4, room))
				for _, s := range requests {
					assert.Equal(t, 350*time.Millisecond, s.End, "end")
					assert.Equal(t, context.DeadlineExceeded, s.Outcome)
				}
			})
		})
	}
}
