package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server/servertest"
)

// While all breakers are open, a call is refused only if a fallback can replace its answer. Otherwise it is
// made, with its retries.
func TestRefusalNeedsAFallback(t *testing.T) {
	somebodyOrNothing := func(r *http.Request) []byte {
		if r.URL.Path == "/history/x" {
			return nil
		}
		return []byte("{}")
	}
	for name, tc := range map[string]struct {
		values       []string
		placeholder  Placeholder
		optional     bool
		method, path string
		refused      string // empty: the call is made
	}{
		"nothing stands in":            {method: "GET", path: "/driver/x"},
		"one breaker for all":          {values: []string{"BREAKER_SCOPE", "upstream"}, method: "GET", path: "/driver/x"},
		"placeholder":                  {placeholder: somebodyOrNothing, method: "GET", path: "/driver/x", refused: "200 {} (placeholder)"},
		"no placeholder for this path": {placeholder: somebodyOrNothing, method: "GET", path: "/history/x"},
		"a POST has no fallback":       {placeholder: somebodyOrNothing, method: "POST", path: "/driver/x/1"},
		"optional":                     {optional: true, method: "POST", path: "/driver/x/1", refused: refused},
		"optional, fallback off":       {values: []string{"FALLBACK", "false"}, optional: true, method: "POST", path: "/driver/x/1"},
	} {
		bubble(t, name, func(t *testing.T) {
			cfg := library(t, append([]string{"BREAKER_FAILURES", "1"}, tc.values...)...)
			cfg.Optional = tc.optional
			b := buildBench(t, cfg, statuses(502), tc.placeholder, "a:80", "b:80")
			for range 3 {
				b.call(tc.method, tc.path, "")
			}
			b.take()
			want, attempts := tc.refused, 0
			if want == "" {
				want, attempts = "502 x", 3
				if tc.method == "POST" {
					attempts = 1
				}
			}
			b.is(b.call(tc.method, tc.path, ""), want)
			b.tried(attempts) // with all endpoints open
			b.answer = ok
			if want = tc.refused; want == "" {
				want = "200 ok"
			}
			b.is(b.call(tc.method, tc.path, ""), want)
			b.agrees()
		})
	}
}

// A failure that originates in another service does not open a breaker, and is retried. A refusal that
// originates there is not.
func TestFailuresBehindOpenNothing(t *testing.T) {
	for origin, attempts := range map[string]int{
		"upstream; service=staff-service": 3, "timeout; service=staff-service": 1,
		"breaker; service=staff-service": 1, "bulkhead; service=staff-service": 1,
	} {
		bubble(t, origin, func(t *testing.T) {
			b := newBench(t, library(t, "BREAKER_FAILURES", "1"), always(500, "x", apierror.OriginHeader, origin), nil)
			b.is(b.get(), "500 x")
			b.tried(attempts)
			for range 20 {
				b.is(b.get(), "500 x")
			}
			b.answer = ok
			b.is(b.get(), "200 ok")
		})
	}
}

// Callers with a short timeout do not affect other callers of an upstream that takes 150 ms.
func TestCallersWithShortTimeouts(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), late(150*time.Millisecond), nil, "a:80", "b:80")
		for range 30 {
			b.is(b.getFor(40*time.Millisecond), context.DeadlineExceeded.Error())
		}
		for range 4 {
			b.is(b.get(), "200 ok")
		}
	})
}

// An attempt whose timeout was shortened by the caller's deadline does not count as a failure of the endpoint,
// even if the upstream closes the connection just before the attempt times out.
func TestUpstreamGivesUpFirst(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := newAttemptTimeout(time.Second, 3*time.Second, newWire(func(*http.Request, int) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return nil, io.EOF
		})).RoundTrip(get("/").WithContext(ctx))
		if _, short := errors.AsType[shortened](err); !short {
			t.Errorf("got %v, want a shortened attempt", err)
		}
	})
}

// If callers' time is always short, an endpoint that hangs does not count as failed, but the other one is
// preferred.
func TestHangingEndpointIsAvoidedByShortenedAttempts(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80"}, how: hang}
		b := newBench(t, library(t), bad.answer, nil, "a:80", "b:80")
		for range 40 {
			b.is(b.getFor(time.Second), "200 ok from b:80")
		}
		if n := strings.Count(b.addrs(), "a:80"); n != 3 {
			t.Errorf("%d attempts at the endpoint that hangs, want 3", n)
		}
		if open := find[*balancer](b.RoundTripper).Open(); open != 0 {
			t.Errorf("%d breakers are open", open)
		}
	})
}

// A final 429 is replaced by a fallback, as a 503 is.
func TestFallbackForTooManyRequests(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), inTurn(always(200, "known"), always(429, "later")), somebody)
		b.is(b.get(), "200 known")
		time.Sleep(5 * time.Second)
		b.is(b.get(), "200 known (last-known; age=5s)")
		b.is(b.call("GET", "/driver/y", ""), nobody)
		b.is(b.call("GET", "/photos/1.jpg", ""), "429 later") // there is no fallback
		b.closed()
	})
}

// The total timeout ends an endless body, also with all stages off, over a real connection.
func TestEndlessBodyIsBoundedByTheTotal(t *testing.T) {
	for _, mode := range []string{"off", "library"} {
		for _, through := range []string{"Do", "RoundTripper"} {
			t.Run(mode+" "+through, func(t *testing.T) {
				var sending atomic.Int64
				s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
					sending.Add(1)
					defer sending.Add(-1)
					for r.Context().Err() == nil {
						_, _ = io.WriteString(w, "x")
						_ = http.NewResponseController(w).Flush()
						select {
						case <-r.Context().Done():
						case <-time.After(time.Millisecond):
						}
					}
				})
				cfg := library(t, "RESILIENCE", mode, "UPSTREAM_TIMEOUT", "300ms", "ATTEMPT_TIMEOUT", "300ms", "RETRY_ATTEMPTS", "0")
				c := newSet(t, cfg).New("staff-service", servertest.Must(url.Parse(s.URL)))
				var err error
				if through == "Do" {
					_, err = c.Do(t.Context(), "GET", "/endless", nil)
				} else {
					r := httptest.NewRequestWithContext(t.Context(), "GET", s.URL+"/endless", nil)
					var resp *http.Response
					if resp, err = c.RoundTripper().RoundTrip(r); err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want context.DeadlineExceeded", err)
				}
				// It has not begun if a busy machine took all of the time.
				servertest.Eventually(t, "the upstream stops sending", func() bool { return sending.Load() == 0 })
			})
		}
	}
}

func TestFallbackVary(t *testing.T) {
	for value, want := range map[string]string{"": "X-My-Header", "x-a": "X-A", "x-a, X-B": "X-A X-B"} {
		cfg, err := envtest.Read(map[string]string{"FALLBACK_VARY": value}, ReadConfig)
		if got := strings.Join(cfg.FallbackVary, " "); got != want || err != nil {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	for _, bad := range []string{"x a", "x-a,", "x:y"} {
		envtest.Refuses(t, map[string]string{"FALLBACK_VARY": bad}, ReadConfig, `FALLBACK_VARY: "`+bad+`": must be names of headers separated by commas`)
	}
}
