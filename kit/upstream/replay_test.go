package upstream

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// With retry on, an upstream that resets every connection gets the tries of the chain and no more.
// Without, net/http repeats a GET on one idle connection after another, as in any Go program.
func TestNoAttemptsBesideTheChains(t *testing.T) {
	const idle = 50
	for _, tc := range []struct {
		name        string
		cfg         Config
		least, most int64
	}{
		{"off", library(t, "RESILIENCE", "off"), 4, idle + 1},
		{"library", library(t), 3, 3},
		{"only retry", only(t, "RETRY_ATTEMPTS", "2"), 2, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var resets atomic.Bool
			var got atomic.Int64
			var all sync.WaitGroup
			all.Add(idle)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(r.TransferEncoding) > 0 || r.ContentLength != 0 || r.Header.Get("Content-Length") != "" {
					t.Errorf("a GET has a body: %v, %d bytes", r.TransferEncoding, r.ContentLength)
				}
				if !resets.Load() {
					all.Done()
					all.Wait() // so that each call has a connection
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
			}))
			defer s.Close()
			base, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			c := New("staff-service", base, tc.cfg, testObserver(t))
			var calls sync.WaitGroup
			for range idle {
				calls.Go(func() {
					if _, err := c.Do(t.Context(), "GET", "/driver/x", nil); err != nil {
						t.Error(err)
					}
				})
			}
			calls.Wait()
			resets.Store(true)
			if _, err := c.Do(t.Context(), "GET", "/driver/x", nil); err == nil {
				t.Error("got an answer")
			}
			n := got.Load()
			t.Logf("%d requests came of one call", n)
			if n < tc.least || n > tc.most {
				t.Errorf("want %d to %d", tc.least, tc.most)
			}
		})
	}
}
