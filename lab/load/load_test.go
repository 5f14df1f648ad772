package load

import (
	"context"
	"sync"
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
		{1, 5 * time.Second, 1, 0},                // late: at once, the others after it too
		{1, 5 * time.Second, 6, time.Second},      // caught up
		{10, 0, 7, 700 * time.Millisecond},        // ahead
		{0.5, time.Second, 1, time.Second},        // less than one a second
		{100, 10 * time.Second, 1000, 0},          // no drift after many
		{100, 10 * time.Second, 1001, 10_000_000}, // 10 ms
		{3, time.Hour, 3 * 3600, 0},
		{3, time.Hour, 3*3600 + 1, 333_333_333},
	} {
		if got := test.pace.Wait(test.elapsed, test.sent); got != test.want {
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
		if got := test.pace.Count(test.d); got != test.want {
			t.Errorf("%v a second for %v: %d, want %d", test.pace, test.d, got, test.want)
		}
	}
}

// TestStall: a service that stalls once from 2 s to 5 s makes every request
// that was due meanwhile wait for its end, and delays none that came after.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const from, to = 2 * time.Second, 5 * time.Second
		shots := Run(t.Context(), Plan{Pace: 10, Duration: 8 * time.Second, MaxInFlight: 100}, func(context.Context, int) int {
			if now := time.Since(begin); now >= from && now < to {
				time.Sleep(to - now)
			}
			return 200
		})
		if len(shots) != 80 {
			t.Fatalf("%d requests, want 80", len(shots))
		}
		for n, s := range shots {
			intended := time.Duration(n) * 100 * time.Millisecond
			want := time.Duration(0)
			if intended >= from && intended < to {
				want = to - intended
			}
			if s.N != n || s.Intended != intended || s.Start != intended || s.Latency() != want || s.Held || s.Outcome != 200 {
				t.Errorf("request %d: %+v, latency %v, want %v", n, s, s.Latency(), want)
			}
		}
	})
}

// TestRoom: with room for one, the second of two requests waits for the first,
// says so, and its latency counts from when it was due.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		most, under := 0, 0
		shots := Run(t.Context(), Plan{Pace: 10, Duration: 300 * time.Millisecond, MaxInFlight: 1}, func(context.Context, int) string {
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
		want := []Shot[string]{
			{0, 0, 0, 250 * time.Millisecond, false, "ok"},
			{1, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, true, "ok"},
			{2, 200 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond, true, "ok"},
		}
		if len(shots) != len(want) || most != 1 {
			t.Fatalf("%d requests, %d at once", len(shots), most)
		}
		for i, s := range shots {
			if s != want[i] {
				t.Errorf("got %+v, want %+v", s, want[i])
			}
		}
	})
}

// TestEnd: when the context ends no more is sent, and what is under way is
// waited for.
func TestEnd(t *testing.T) {
	for name, room := range map[string]int{"room": 100, "no room": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
				defer cancel()
				shots := Run(ctx, Plan{Pace: 10, Duration: time.Hour, MaxInFlight: room}, func(ctx context.Context, _ int) error {
					<-ctx.Done()
					return ctx.Err()
				})
				if want := min(4, room); len(shots) != want {
					t.Fatalf("%d requests, want %d", len(shots), want)
				}
				for _, s := range shots {
					if s.End != 350*time.Millisecond || s.Outcome != context.DeadlineExceeded {
						t.Errorf("got %+v", s)
					}
				}
			})
		})
	}
}
