package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAttemptTimeout checks that the timeout of an attempt is the lesser of its limit and half of the time that the call
// has left, and that the upstream receives it.
func TestAttemptTimeout(t *testing.T) {
	for name, tc := range map[string]struct {
		total, limit string
		want         string // start of each attempt, and timeout in its header in milliseconds
	}{
		"always the limit":              {"9s", "1s", "0s 1000, 1s 1000, 2s 1000"},
		"at last half of the time left": {"3s", "1s", "0s 1000, 1s 1000, 2s 500"},
		"always half of the time left":  {"1s", "1s", "0s 500, 500ms 250, 750ms 125"},
	} {
		bubble(t, name, func(t *testing.T) {
			b := newBench(t, library(t, "UPSTREAM_TIMEOUT", tc.total, "ATTEMPT_TIMEOUT", tc.limit, "RETRY_BACKOFF", "0s", "BREAKER_FAILURES", "0"), hang, nil)
			b.is(b.get(), context.DeadlineExceeded.Error())
			var got []string
			for _, a := range b.take() {
				got = append(got, fmt.Sprint(a.at, " ", a.timeLeft))
			}
			b.is(strings.Join(got, ", "), tc.want)
		})
	}
}

// TestTimeLeftOfTheCaller checks that an attempt has at most half of the time until the caller's deadline, and that the
// header is never 0.
func TestTimeLeftOfTheCaller(t *testing.T) {
	for left, want := range map[time.Duration]string{time.Second: "500", 10 * time.Millisecond: "5", time.Millisecond: "1", time.Hour: "1000"} {
		bubble(t, left.String(), func(t *testing.T) {
			b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), ok, nil)
			b.is(b.getFor(left), "200 ok")
			b.is(b.tried(1)[0].timeLeft, want)
		})
	}
}

// TestTimeLeftWithoutAnAttemptTimeout checks that without an attempt timeout the header has all the time left. If no
// stage handles attempts, there is no header.
func TestTimeLeftWithoutAnAttemptTimeout(t *testing.T) {
	for stage, want := range map[string]string{"RETRY_ATTEMPTS 2": "10000, 7000", "BREAKER_FAILURES 2": "10000", "BULKHEAD 2": "10000", "FALLBACK true": ""} {
		bubble(t, stage, func(t *testing.T) {
			name, value, _ := strings.Cut(stage, " ")
			b := newBench(t, only(t, name, value, "RETRY_BACKOFF", "0s"), func(*http.Request, int) (*http.Response, error) {
				time.Sleep(3 * time.Second)
				return answer(503, ""), nil
			}, nil)
			b.is(b.get(), "503 ")
			var sent []string
			for _, a := range b.take() {
				sent = append(sent, a.timeLeft)
			}
			b.is(strings.Join(sent, ", "), want)
		})
	}
}

// TestTimeLeftLeavesTheCallersHeaders checks that each attempt gets a header of its own: the headers of the caller's
// request do not change.
func TestTimeLeftLeavesTheCallersHeaders(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var seen []http.Header
		b := newBench(t, library(t, "RETRY_BACKOFF", "0s", "BREAKER_FAILURES", "0"), func(r *http.Request, n int) (*http.Response, error) {
			seen = append(seen, r.Header)
			time.Sleep(10 * time.Millisecond)
			return answer(503, ""), nil
		}, nil)
		r := request(t.Context(), "GET", "/driver/x", "")
		r.Header.Set("X-My-Header", "canary")
		r.Header.Set(timeLeft, "77")
		b.is(b.read(b.RoundTrip(r)), "503 ")
		if r.Header.Get(timeLeft) != "77" || len(r.Header) != 2 {
			t.Errorf("the caller's headers are now %v", r.Header)
		}
		for i, h := range seen {
			if got := h.Values(timeLeft); len(got) != 1 || got[0] != "1000" || h.Get("X-My-Header") != "canary" {
				t.Errorf("attempt %d has %v", i+1, h)
			}
		}
	})
}

// TestTotalTimeout checks that a call ends when the total timeout passes, or before a wait that would end later.
func TestTotalTimeout(t *testing.T) {
	for name, tc := range map[string]struct {
		answer answerer
		want   string
		at     time.Duration
	}{
		"no answer": {hang, context.DeadlineExceeded.Error(), 2500 * time.Millisecond},
		"slow body": {crawling, context.DeadlineExceeded.Error(), 2500 * time.Millisecond},
		"long wait": {always(503, "", "Retry-After", "1"), "503 ", 2 * time.Second}, // the third wait would end after the timeout
	} {
		bubble(t, name, func(t *testing.T) {
			b := newBench(t, only(t, "UPSTREAM_TIMEOUT", "2500ms", "RETRY_ATTEMPTS", "10"), tc.answer, nil)
			if got := b.get(); got != tc.want || time.Since(epoch) != tc.at {
				t.Errorf("got %s after %s, want %s after %s", got, time.Since(epoch), tc.want, tc.at)
			}
			b.closed()
		})
	}
}

// TestTotalTimeoutWithoutAttempts checks that, with all other stages off, the total timeout limits the reading of the
// body, and its timer is stopped when the body is closed.
func TestTotalTimeoutWithoutAttempts(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var ctx context.Context
		b := newBench(t, library(t, "RESILIENCE", "off", "UPSTREAM_TIMEOUT", "5s"), crawling, nil)
		b.is(b.get(), "200, reading: context deadline exceeded, closing: <nil>")
		if time.Since(epoch) != 5*time.Second {
			t.Errorf("ended after %s", time.Since(epoch))
		}
		b.closed()
		b.answer = func(r *http.Request, n int) (*http.Response, error) { ctx = r.Context(); return ok(r, n) }
		resp, err := b.RoundTrip(request(t.Context(), "GET", "/driver/x", ""))
		if err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
		resp.Body.Close()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Error("the timer was not stopped when the body was closed")
		}
	})
}

// TestBulkhead checks that calls over the limit are refused immediately, are not retried and do not count for the
// breaker.
func TestBulkhead(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		release := make(chan struct{})
		answerAfterRelease := func(r *http.Request, n int) (*http.Response, error) { <-release; return ok(r, n) }
		b := newBench(t, library(t, "BULKHEAD", "3", "BREAKER_FAILURES", "1", "UPSTREAM_TIMEOUT", "10m", "ATTEMPT_TIMEOUT", "10m"), answerAfterRelease, nil)
		answers := make(chan string, 3)
		for range 3 {
			go func() { answers <- b.get() }()
		}
		time.Sleep(time.Second) // in the bubble: until all three calls wait
		b.tried(3)
		for range 5 {
			b.isAtOnce("too many concurrent calls")
		}
		if n := b.counted(countRefused); n != 5 {
			t.Errorf("%g refusals counted, want 5: they are not retried", n)
		}
		close(release)
		for range 3 {
			b.is(<-answers, "200 ok")
		}
		b.is(b.get(), "200 ok") // refusals do not count for the breaker
		if n := find[*bulkhead](b.RoundTripper).inFlight.Load(); n != 0 {
			t.Errorf("%d calls are counted as in flight, want 0", n)
		}
	})
}

// TestBodyIsClosed checks that a request's body is closed even if the call fails or is refused, as http.RoundTripper
// requires.
func TestBodyIsClosed(t *testing.T) {
	for _, values := range [][]string{{"BREAKER_FAILURES", "1"}, {"RESILIENCE", "off"}} {
		bubble(t, values[0], func(t *testing.T) {
			b := newBench(t, library(t, values...), reset, nil)
			for range 3 { // a breaker refuses the calls after the first one
				body := &closing{Reader: strings.NewReader("x")}
				r := request(t.Context(), "POST", "/driver/x/1", "")
				r.Body, r.ContentLength = body, 1
				if _, err := b.RoundTrip(r); err == nil || !body.closed {
					t.Errorf("got %v, closed: %t", err, body.closed)
				}
			}
		})
	}
}

// closing is a body that records whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// TestBulkheadUnderLoad checks that refused calls do not count as in flight, however many there are.
func TestBulkheadUnderLoad(t *testing.T) {
	const limit = 4
	release, entered := make(chan struct{}), make(chan bool, 1000)
	b := &bulkhead{limit: limit, refused: func(context.Context) {}, next: newWire(func(r *http.Request, n int) (*http.Response, error) {
		entered <- true
		<-release
		return ok(r, n)
	})}
	done := make(chan error, 1000)
	for range 1000 {
		go func() {
			resp, err := b.RoundTrip(get("/"))
			if err == nil {
				err = resp.Body.Close()
			}
			done <- err
		}()
	}
	for range 1000 - limit {
		if err := <-done; !errors.Is(err, errBulkhead) {
			t.Fatalf("got %v", err)
		}
	}
	if len(entered) != limit {
		t.Errorf("%d calls entered, want %d", len(entered), limit)
	}
	close(release)
	for range limit {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestNoTimeLeft checks that a lookup ends with the call's timeout, and that no wait and no attempt starts without enough
// time for it.
func TestNoTimeLeft(t *testing.T) {
	bubble(t, "a lookup that hangs", func(t *testing.T) {
		b := newNamed(t, &server{names: names{takes: never}}, "RETRY_ATTEMPTS", "0")
		b.is(b.get(), "look up staff-service:8080: "+context.DeadlineExceeded.Error())
		if time.Since(epoch) != b.cfg.Timeout || len(b.take()) != 0 {
			t.Errorf("ended after %s, want %s", time.Since(epoch), b.cfg.Timeout)
		}
		time.Sleep(lookupTimeout) // in the bubble: until the lookup ends
	})
	bubble(t, "no time for a wait", func(t *testing.T) {
		b := newBench(t, library(t, "RETRY_BACKOFF", "1m", "RETRY_BACKOFF_MAX", "1m"), statuses(503), nil)
		saved := b.budget().saved.Load()
		b.is(b.get(), "503 x")
		if time.Since(epoch) != 0 || len(b.take()) != 1 || b.budget().saved.Load() < saved {
			t.Errorf("ended after %s, want 0s, one attempt and no retry taken from the budget", time.Since(epoch))
		}
	})
	bubble(t, "no time for an attempt", func(t *testing.T) {
		w := newWire(hang)
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		if _, err := newAttemptTimeout(time.Second, 3*time.Second, w).RoundTrip(get("/").WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) || len(w.take()) != 0 {
			t.Errorf("got %v after %s", err, time.Since(epoch))
		}
	})
}
