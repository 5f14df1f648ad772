package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
)

// TestStateGolden compares the answer of GET /resilience after a bad endpoint, a refusal and retries.
func TestStateGolden(t *testing.T) {
	var got bytes.Buffer
	bubble(t, "", func(t *testing.T) {
		cfg := library(t, "BREAKER_FAILURES", "2", "BULKHEAD", "5", "RETRY_BACKOFF", "0s")
		bad := &failing{bad: []string{"10.0.0.2:8080"}}
		b := newBench(t, cfg, bad.answer, nil, "10.0.0.1:8080", "10.0.0.2:8080")
		for range 6 {
			b.is(b.get(), "200 ok from 10.0.0.1:8080")
		}
		b.set.newChain(Config{Timeout: time.Second, Breaker: BreakerConfig{Scope: scopeUpstream, Failures: 1, OpenTime: time.Second, Growth: 1, MaxOpenPercent: 100, Probes: 1}}, newInstruments("vehicle-telemetry", b.o), b.wire, nil, nil)
		b.set.newChain(Config{Timeout: time.Second}, newInstruments("off", b.o), b.wire, nil, nil)
		time.Sleep(11 * time.Second)
		b.get()
		b.get()
		w := httptest.NewRecorder()
		b.set.shown.ServeHTTP(w, httptest.NewRequest("GET", "/resilience", nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
		if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
	})
	const path = "testdata/resilience.json"
	if flag.Lookup("update").Value.String() == "true" { // defined in envtest
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := servertest.Must(os.ReadFile(path)); !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: out of date: run the test with -update; got\n%s", path, &got)
	}
}

// Without state the answer has empty lists, not null.
func TestEmptyState(t *testing.T) {
	admin := http.NewServeMux()
	newChains().mount(admin)
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest("GET", "/resilience", nil))
	if got := strings.TrimSpace(w.Body.String()); got != `{"upstreams":[],"transitions":[]}` {
		t.Errorf("got %s", got)
	}
}

func TestTransitionsAreBounded(t *testing.T) {
	s := newChains()
	for i := range 250 {
		s.record(transition{Upstream: fmt.Sprint(i)})
	}
	if n := len(s.transitions); n != keptTransitions || s.transitions[0].Upstream != "150" || s.transitions[n-1].Upstream != "249" {
		t.Errorf("%d kept, from %s to %s", n, s.transitions[0].Upstream, s.transitions[n-1].Upstream)
	}
}

// The stream sends transitions immediately, and removes a listener that leaves.
func TestEvents(t *testing.T) {
	b := newBench(t, only(t, "BREAKER_FAILURES", "1", "UPSTREAM_TIMEOUT", "2m"), statuses(502), nil, "a:80", "b:80")
	shown := b.set.shown
	s := servertest.Serve(t, shown.Events)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	resp, err := http.DefaultTransport.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", s.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	b.get()
	b.get()
	lines := bufio.NewScanner(resp.Body)
	for _, endpoint := range []string{"a:80", "b:80"} {
		var event [3]string
		for i := range event {
			if !lines.Scan() {
				t.Fatal(lines.Err())
			}
			event[i] = lines.Text()
		}
		var received transition
		data, ok := strings.CutPrefix(event[1], "data: ")
		if event[0] != "event: transition" || event[2] != "" || !ok || json.Unmarshal([]byte(data), &received) != nil {
			t.Fatalf("got %q", event)
		}
		if received.Endpoint != endpoint || received.Upstream != "staff-service" || received.From != "closed" || received.To != "open" || received.Cause != "status 502 Bad Gateway" || time.Since(received.Time) > time.Minute {
			t.Errorf("got %+v", received)
		}
	}
	leave()
	_, _ = io.Copy(io.Discard, resp.Body)
	servertest.Eventually(t, "no listener is left", func() bool {
		shown.mu.Lock()
		defer shown.mu.Unlock()
		return len(shown.listeners) == 0
	})
}

// A slow listener does not delay calls.
func TestSlowListener(t *testing.T) {
	s := newChains()
	l := make(chan transition, 1)
	s.listeners[l] = struct{}{}
	for range 3 {
		s.record(transition{})
	}
	if len(l) != 1 || len(s.transitions) != 3 {
		t.Errorf("%d received, %d kept", len(l), len(s.transitions))
	}
}

// /metrics has the current state of GET /resilience, with the same names in all services.
func TestGauges(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80"}}
		b := newBench(t, library(t, "BREAKER_FAILURES", "1"), bad.answer, nil, "a:80", "b:80")
		is := func(open, saved, inFlight float64) {
			t.Helper()
			for metric, want := range map[string]float64{gaugeOpen: open, gaugeBudget: saved, gaugeInFlight: inFlight} {
				if got := b.shown(metric); got != want {
					t.Errorf("%s is %g, want %g", metric, got, want)
				}
			}
		}
		is(0, burst, 0)
		b.get()
		is(1, burst-1, 0)
		b.answer = func(r *http.Request, _ int) (*http.Response, error) { is(1, burst-1, 1); return answered200("ok"), nil }
		b.get()
	})
}
