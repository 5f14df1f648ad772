package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Each test here needs one stage only.

func TestBreakerAlone(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		mayOpen, changes := true, ""
		b := newBreaker(BreakerConfig{Failures: 2, OpenTime: time.Second, Growth: 2, Probes: 1}, func() bool { return mayOpen },
			func(from, to gobreaker.State, cause string) {
				changes += from.String() + ">" + to.String() + ": " + cause + "\n"
			})
		fail := func() { b.take(b.allow(), badStatus{502}) }
		fail()
		b.take(b.allow(), errNoEvidence) // counts neither way
		mayOpen = false
		fail()
		if b.state() != gobreaker.StateClosed {
			t.Error("opened although mayOpen is false")
		}
		mayOpen = true
		fail()
		if b.allow() != nil || b.state() != gobreaker.StateOpen {
			t.Error("not open")
		}
		time.Sleep(time.Second + 1)
		fail() // the probe: open for twice the time
		time.Sleep(2*time.Second - 1)
		if b.allow() != nil {
			t.Error("the second open time did not grow")
		}
		time.Sleep(2 * time.Nanosecond)
		probe := b.allow()
		if probe == nil || b.allow() != nil {
			t.Error("half-open: want one probe")
		}
		b.take(probe, nil)
		want := "closed>open: status 502 Bad Gateway\nopen>half-open: open time over\nhalf-open>open: status 502 Bad Gateway\nopen>half-open: open time over\nhalf-open>closed: good answer\n"
		if changes != want {
			t.Errorf("got\n%swant\n%s", changes, want)
		}
	})
}

func TestBalancerAlone(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBalancer(BreakerConfig{Scope: scopeEndpoint, Failures: 1, OpenTime: time.Second, Growth: 1, MaxOpenPercent: 100, Probes: 1},
			func(context.Context) ([]string, error) { return []string{"a:80", "b:80"}, nil },
			func(r *http.Request) bool { return r.URL.Path == "/refused" }, func(transition) {}, nil)
		pick := func(path string) (picked, error) { return b.Pick(get(path)) }
		for _, want := range []string{"a:80", "b:80", "a:80"} {
			p, err := pick("/")
			if err != nil || p.addr != want {
				t.Fatalf("got %v, %v, want %s", p.endpoint, err, want)
			}
			p.Done(t.Context(), outcome{resp: answered200("ok")})
		}
		for range 2 {
			p, err := pick("/")
			if err != nil {
				t.Fatal(err)
			}
			p.Done(t.Context(), outcome{err: errReset})
		}
		if b.Ready() || b.Open() != 2 {
			t.Errorf("%d are open, want 2", b.Open())
		}
		if _, err := pick("/refused"); !errors.Is(err, errOpen) {
			t.Errorf("got %v, want %v", err, errOpen)
		}
		if p, err := pick("/"); err != nil || p.endpoint == nil {
			t.Errorf("got %v, want an endpoint", err)
		}
	})
}

// A call prefers endpoints that it has not tried, and any that does not rest, at every turn of the round robin.
func TestRank(t *testing.T) {
	addrs := []string{"a:80", "b:80"}
	for _, tc := range []struct{ tried, rests, want string }{
		{"a:80", "", "b:80"},
		{"", "a:80", "b:80"},
		{"a:80", "b:80", "a:80"},
		{"a:80", "a:80 b:80", "b:80"},
		{"a:80 b:80", "a:80", "b:80"},
	} {
		b := newBalancer(BreakerConfig{Scope: scopeEndpoint, Failures: 1}, nil, nil, nil, nil)
		b.resolve(addrs)
		for _, e := range b.endpoints {
			if strings.Contains(tc.rests, e.addr) {
				e.rests = time.Now().Add(time.Hour)
			}
		}
		for turn := range addrs {
			b.turn = turn
			got := "none"
			if p, ok := b.pick(&history{addrs: strings.Fields(tc.tried)}, false); ok {
				got = p.addr
			}
			if got != tc.want {
				t.Errorf("tried %q, resting %q, turn %d: got %s, want %s", tc.tried, tc.rests, turn, got, tc.want)
			}
		}
	}
}

func TestRetryAlone(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		w := newWire(statuses(502, 503, 200))
		rt := newRetry(RetryConfig{Attempts: 3, Backoff: 10 * time.Millisecond, BackoffMax: time.Second, BudgetPercent: 20}, func() float64 { return .5 }, w)
		retries := 0
		rt.retried = func(context.Context, string) { retries++ }
		resp, err := rt.RoundTrip(request(t.Context(), "POST", "/vehicles/", "a report"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		made := w.take()
		if len(made) != 3 || retries != 2 || made[2].at != 15*time.Millisecond { // 5 ms and 10 ms
			t.Errorf("%d retries, attempts %v", retries, made)
		}
		for _, a := range made {
			if a.body != "a report" {
				t.Errorf("sent %q", a.body)
			}
		}
	})
}

func TestAttemptTimeoutAlone(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		_, err := newAttemptTimeout(time.Second, time.Minute, newWire(hang)).RoundTrip(get("/"))
		if err != context.DeadlineExceeded || time.Since(epoch) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(epoch))
		}
		// The timeout applies to the body too, if no inner stage has read it.
		resp, err := newAttemptTimeout(time.Second, time.Minute, newWire(crawling)).RoundTrip(get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != context.DeadlineExceeded || time.Since(epoch) != 2*time.Second {
			t.Errorf("reading: got %v after %s", err, time.Since(epoch))
		}
		resp.Body.Close()
	})
}

func TestTotalTimeoutAlone(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		_, err := totalTimeout{time.Second, newWire(hang)}.RoundTrip(get("/"))
		if err != context.DeadlineExceeded || time.Since(epoch) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(epoch))
		}
	})
}

func TestWholeAlone(t *testing.T) {
	if _, err := (whole{newWire(brokenOff)}).RoundTrip(get("/")); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want a failed attempt", err)
	}
}

func TestFallbackAlone(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		kinds := ""
		f := &fallback{next: newWire(statuses(200, 503, 503)), known: newStore(nil), fellBack: func(_ context.Context, kind, _, _ string) { kinds += kind }}
		for _, want := range []string{"", "last-known; age=0s"} {
			resp, err := f.RoundTrip(get("/driver/x"))
			if err != nil || resp.StatusCode != 200 || resp.Header.Get(FallbackHeader) != want {
				t.Fatal(resp, err)
			}
		}
		if resp, err := f.RoundTrip(get("/driver/y")); err != nil || resp.StatusCode != 503 || kinds != "last-known" {
			t.Errorf("got %v, %v, fell back to %q", resp, err, kinds)
		}
	})
}
