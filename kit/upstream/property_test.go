package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAnyFaults sends random calls through random chains with a random sequence of faults. It checks the
// invariants of all chains: no more attempts than configured; either a response or an error; every body
// complete and closed; an end within the total timeout; and counts that return to zero.
func TestAnyFaults(t *testing.T) {
	first := rand.Uint64N(1 << 40)
	for i := range uint64(150) {
		seed := i // some seeds are fixed,
		if i >= 100 {
			seed = first + i // the others random
		}
		bubble(t, fmt.Sprintf("seed %d", seed), func(t *testing.T) { anyFaults(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func anyFaults(t *testing.T, random *rand.Rand) {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	cfg := library(t,
		"UPSTREAM_TIMEOUT", pick("500ms", "3s", "10s"), "ATTEMPT_TIMEOUT", pick("0s", "100ms", "500ms"),
		"RETRY_ATTEMPTS", pick("0", "1", "2", "3", "6"), "RETRY_BUDGET_PERCENT", pick("0", "20", "100"), "RETRY_BACKOFF", pick("0s", "25ms"),
		"BREAKER_FAILURES", pick("0", "1", "3"), "BREAKER_SCOPE", pick("endpoint", "upstream"), "BREAKER_OPEN_TIME", pick("100ms", "5s"),
		"BREAKER_OPEN_GROWTH", pick("1", "4"), "BREAKER_MAX_OPEN_PERCENT", pick("0", "50", "100"), "BREAKER_PROBES", pick("1", "2"),
		"BULKHEAD", pick("0", "1", "4"), "FALLBACK", pick("true", "false"))
	faultiness := random.Float64()
	kind := func() int { // random for sequential calls, by number for concurrent ones
		if random.Float64() >= faultiness {
			return 0
		}
		return 1 + random.IntN(len(misbehaviours)-1)
	}
	kinds := make([]int, 4096)
	for i := range kinds {
		kinds[i] = kind()
	}
	b := newBench(t, cfg, func(r *http.Request, n int) (*http.Response, error) {
		return misbehaviours[kinds[n%len(kinds)]](r, n)
	}, somebody, "a:80", "b:80", "c:80")
	const calls = 40
	most := 0
	for range calls {
		if random.IntN(5) == 0 {
			b.resolvesTo([]string{"a:80", "b:80", "c:80", "d:80"}[random.IntN(2) : 2+random.IntN(3)]...)
		}
		var together sync.WaitGroup
		for range 1 + random.IntN(3) {
			method, path, body, bound := "GET", "/driver/x", "", max(cfg.Retry.Attempts, 1)
			switch random.IntN(3) {
			case 0:
				method, path, body = "POST", "/vehicles/", "a report"
			case 1:
				method, path, bound = "POST", "/driver/x/1", 1
			}
			most += bound
			ctx, leave := context.WithCancel(t.Context())
			if random.IntN(8) == 0 {
				time.AfterFunc(time.Duration(random.IntN(400))*time.Millisecond, leave)
			}
			together.Go(func() {
				defer leave()
				result := b.callAs(ctx, method, path, body)
				if strings.Contains(result, "reading: ") && cfg.hasAttempts() {
					t.Errorf("%s %s: %s", method, path, result)
				}
			})
		}
		together.Wait()
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
	}
	made := b.take()
	if len(made) > most {
		t.Errorf("%d attempts, want at most %d", len(made), most)
	}
	for _, a := range made {
		if a.body != "a report" && a.body != "" {
			t.Errorf("sent %q", a.body)
		}
	}
	if retries := b.counted(countRetries); cfg.Retry.Attempts > 1 && retries > float64(burst+calls*3*cfg.Retry.BudgetPercent/100) {
		t.Errorf("%g retries of at most %d calls within %d %%", retries, calls*3, cfg.Retry.BudgetPercent)
	}
	b.closed()
	if cfg.Breaker.Failures > 0 {
		b.agrees()
	}
	if v := b.set.shown.views[0]; v.bulkhead != nil && v.bulkhead.inFlight.Load() != 0 {
		t.Errorf("%d calls are left in the bulkhead", v.bulkhead.inFlight.Load())
	}
}

// misbehaviours are the ways of the upstream to answer; the first one is good.
var misbehaviours = []answerer{
	ok, always(502, "bad"), reset, hang, brokenOff, crawling, always(503, "", "Retry-After", "1"), always(404, "no"), late(250 * time.Millisecond),
	func(*http.Request, int) (*http.Response, error) { return incomplete(500), nil }, always(429, "", "Retry-After", "30"),
}
