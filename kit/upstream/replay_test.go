package upstream

import (
	"cmp"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server/servertest"
)

// With retry on, an upstream that resets every connection receives only the attempts of the chain. Without it,
// net/http repeats requests that it considers safe on each idle connection, as in all Go programs.
func TestNoAttemptsBesideTheChains(t *testing.T) {
	const idle = 20
	off, on := library(t, "RESILIENCE", "off", "UPSTREAM_TIMEOUT", "2m"), library(t, patient...)
	report := []byte("a report")
	for name, tc := range map[string]struct {
		cfg          Config
		method, path string // empty path: /driver/x/1
		body         []byte
		noBody       bool   // http.NoBody instead of nil
		key          string // X-Idempotency-Key, which makes a POST safe for net/http
		least, most  int64
	}{
		"off":                        {cfg: off, method: "GET", least: 4, most: idle + 1},
		"off, a POST with a key":     {cfg: off, method: "POST", key: "1", least: 4, most: idle + 1},
		"library":                    {cfg: on, method: "GET", least: 3, most: 3},
		"library, HEAD":              {cfg: on, method: "HEAD", least: 3, most: 3},
		"library, no body":           {cfg: on, method: "GET", noBody: true, least: 3, most: 3},
		"library, OPTIONS":           {cfg: on, method: "OPTIONS", noBody: true, least: 1, most: 1},
		"library, POST":              {cfg: on, method: "POST", least: 1, most: 1},
		"library, a POST with a key": {cfg: on, method: "POST", key: "1", least: 1, most: 1},
		"library, key and body":      {cfg: on, method: "POST", body: report, key: "1", least: 1, most: 1},
		"library, key and report":    {cfg: on, method: "POST", path: "/vehicles/", body: report, key: "1", least: 3, most: 3},
		"only retry":                 {cfg: only(t, "RETRY_ATTEMPTS", "2", "UPSTREAM_TIMEOUT", "2m"), method: "GET", least: 2, most: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var resets atomic.Bool
			var arrived, got atomic.Int64
			all := make(chan struct{})
			s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				want := ""
				if r.Header["Content-Type"] != nil {
					want = string(report)
				}
				if err != nil || string(body) != want || r.ContentLength != int64(len(want)) || len(r.TransferEncoding) > 0 {
					t.Errorf("a %s has the body %q, %v, of %d bytes, %v, want %q", r.Method, body, err, r.ContentLength, r.TransferEncoding, want)
				}
				if !resets.Load() {
					if arrived.Add(1) == idle {
						close(all)
					}
					select { // so that each call opens a connection
					case <-all:
					case <-r.Context().Done():
					}
					return
				}
				got.Add(1)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			})
			ctx := t.Context()
			if tc.key != "" {
				ctx = observe.Carry(ctx, http.Header{"X-Idempotency-Key": {tc.key}})
			}
			c := newSet(t, tc.cfg).New("staff-service", servertest.Must(url.Parse(s.URL)))
			call := func() error {
				r := c.request(ctx, tc.method, cmp.Or(tc.path, "/driver/x/1"), tc.body)
				if tc.noBody {
					r.Body = http.NoBody
				}
				resp, err := c.RoundTripper().RoundTrip(r)
				if err == nil {
					resp.Body.Close()
				}
				return err
			}
			var calls sync.WaitGroup
			for range idle {
				calls.Go(func() {
					if err := call(); err != nil {
						t.Error(err)
					}
				})
			}
			calls.Wait()
			resets.Store(true)
			if err := call(); err == nil {
				t.Error("got an answer")
			}
			n := got.Load()
			t.Logf("one call made %d requests", n)
			if n < tc.least || n > tc.most {
				t.Errorf("want %d to %d", tc.least, tc.most)
			}
		})
	}
}

// As for net/http, an empty method is GET.
func TestWithoutReplayOfEmptyMethod(t *testing.T) {
	if r := withoutReplay(t.Context(), &http.Request{}); r.Body == nil {
		t.Error("net/http may send the request again")
	}
}

// The answer to a HEAD has a Content-Length and no body.
func TestHead(t *testing.T) {
	s := servertest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "5") })
	for _, traces := range []string{"none", "console"} {
		for _, mode := range []string{"off", "library"} {
			o := servertest.Must(observe.Start(t.Context(), "test", envtest.Map(map[string]string{"OTEL_TRACES_EXPORTER": traces}), io.Discard))
			c := NewSet(library(t, append([]string{"RESILIENCE", mode}, patient...)...), o, http.NewServeMux()).New("staff-service", servertest.Must(url.Parse(s.URL)))
			for range 4 { // a breaker would open after three
				if resp, err := c.Do(t.Context(), "HEAD", "/driver/x", nil); err != nil || resp.Status != 200 || len(resp.Body) != 0 {
					t.Errorf("traces %s, %s: got %v, %v", traces, mode, resp, err)
				}
			}
		}
	}
}

// A call without a body allocates no buffer to copy one: net/http's would have 32 kB. Other goroutines allocate during
// some calls, so the least of all calls counts.
func TestNoBufferForNoBody(t *testing.T) {
	s := servertest.Serve(t, func(http.ResponseWriter, *http.Request) {})
	c := newSet(t, library(t, patient...)).New("staff-service", servertest.Must(url.Parse(s.URL)))
	const most = 20 << 10
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	least := uint64(math.MaxUint64)
	for range 100 {
		before := allocated()
		if _, err := c.Do(t.Context(), "GET", "/driver/x", nil); err != nil {
			t.Fatal(err)
		}
		least = min(least, allocated()-before)
	}
	if least > most {
		t.Errorf("a call and its answer allocate %d bytes: must be at most %d", least, most)
	}
}
