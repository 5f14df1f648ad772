package upstream

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOutage lets all endpoints fail for 30 s under constant load, with the defaults of RESILIENCE=library.
// It runs in synctest's time, so that the result does not depend on the machine.
func TestOutage(t *testing.T) {
	for name, tc := range map[string]struct {
		every time.Duration // time between two calls
		fails answerer
	}{
		"502 at once": {10 * time.Millisecond, always(502, "")},
		"reset after 30 ms": {10 * time.Millisecond, func(*http.Request, int) (*http.Response, error) {
			time.Sleep(30 * time.Millisecond)
			return nil, errReset
		}},
		"no answer":               {10 * time.Millisecond, hang},
		"at ten times":            {time.Millisecond, always(503, "")},
		"at ten times, no answer": {time.Millisecond, hang},
	} {
		bubble(t, name, func(t *testing.T) { outage(t, tc.every, tc.fails) })
	}
}

func outage(t *testing.T, every time.Duration, fails answerer) {
	const lasts = 30 * time.Second
	endpoints := []string{"a:80", "b:80"}
	var mu sync.Mutex
	var attempts, probes int
	var repaired time.Time // just after all endpoints have failed a probe: the worst case
	b := newBench(t, library(t), func(r *http.Request, n int) (*http.Response, error) {
		mu.Lock()
		bad := repaired.IsZero()
		if bad {
			attempts++
		}
		mu.Unlock()
		if !bad {
			return answered200("fresh"), nil
		}
		resp, err := fails(r, n)
		mu.Lock()
		defer mu.Unlock()
		if time.Since(epoch) > lasts {
			probes++
		}
		if probes == len(endpoints) && repaired.IsZero() {
			repaired = time.Now()
		}
		return resp, err
	}, somebody, endpoints...)
	b.callAs(t.Context(), "POST", "/driver/x/1", "") // no answer is stored
	mu.Lock()
	attempts = 0
	mu.Unlock()

	var calls sync.WaitGroup
	var made, afterRepair int
	var fresh, lastDegraded time.Time // times of calls
	for i := 0; time.Since(epoch) < lasts+3*b.cfg.Breaker.OpenTime; i++ {
		mu.Lock()
		if repaired.IsZero() {
			made++
		} else {
			afterRepair++
		}
		mu.Unlock()
		calls.Go(func() {
			at := time.Now()
			got := b.get()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case got == "200 fresh":
				if fresh.IsZero() || at.Before(fresh) {
					fresh = at
				}
			case got == `200 {"name":"somebody"} (placeholder)` || strings.HasPrefix(got, "200 fresh (last-known; age="):
				if at.After(lastDegraded) {
					lastDegraded = at
				}
			default:
				t.Errorf("got %s", got)
			}
		})
		time.Sleep(every)
	}
	calls.Wait()
	if most := made*(100+b.cfg.Retry.BudgetPercent)/100 + burst; attempts > most {
		t.Errorf("%d attempts of %d calls, want at most %d", attempts, made, most)
	}
	if repaired.IsZero() || fresh.IsZero() || afterRepair == 0 {
		t.Fatalf("repaired %v, fresh %v", repaired, fresh)
	}
	t.Logf("%d calls, %d attempts; fresh %s after the repair, all from %s", made, attempts, fresh.Sub(repaired), lastDegraded.Sub(repaired))
	for what, at := range map[string]time.Time{"the first fresh answer": fresh, "the last degraded one": lastDegraded} {
		if took := at.Sub(repaired); took > b.cfg.Breaker.OpenTime+every {
			t.Errorf("%s: %s after the repair, want at most one open time", what, took)
		}
	}
}
