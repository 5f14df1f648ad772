package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func somebody(r *http.Request) []byte {
	if !strings.HasPrefix(r.URL.Path, "/driver/") {
		return nil
	}
	return []byte(`{"name":"somebody"}`)
}

func TestFallback(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		answers := statuses(200)
		b := newBench(t, library(t, "BREAKER_FAILURES", "0", "RETRY_ATTEMPTS", "0"), newWire(func(r *http.Request, n int) (*http.Response, error) { return answers(r, n) }), somebody)
		fails := map[string]func(*http.Request, int) (*http.Response, error){
			"status":     statuses(502),
			"no answer":  func(*http.Request, int) (*http.Response, error) { return nil, errReset },
			"timeout":    func(r *http.Request, _ int) (*http.Response, error) { return hang(r) },
			"broken off": func(*http.Request, int) (*http.Response, error) { return brokenOff(), nil },
		}
		for name, fail := range fails {
			answers = fail
			b.is(b.call("GET", "/driver/x", ""), `200 {"name":"somebody"} (placeholder)`)
			if got := b.call("GET", "/photos/1.jpg", ""); strings.Contains(got, "(") || strings.HasPrefix(got, "200") {
				t.Errorf("%s: with nothing known and no placeholder: %s", name, got)
			}
			if got := b.call("POST", "/driver/x/1", ""); strings.Contains(got, "(") || strings.HasPrefix(got, "200") {
				t.Errorf("%s: a POST: %s", name, got)
			}
		}
		if n := b.counted(countFallbacks); n != float64(len(fails)) {
			t.Errorf("%g fallbacks counted, want %d", n, len(fails))
		}

		answers = statuses(200)
		b.is(b.get(), "200 x")
		b.is(b.call("POST", "/driver/posted", ""), "200 x")
		answers = statuses(502)
		b.is(b.get(), "200 x (last-known; age=0s)")
		time.Sleep(12*time.Second + 999*time.Millisecond)
		b.is(b.get(), "200 x (last-known; age=12s)")
		b.is(b.get(), "200 x (last-known; age=12s)") // again
		b.is(b.call("GET", "/driver/y", ""), `200 {"name":"somebody"} (placeholder)`)
		b.is(b.call("GET", "/driver/posted", ""), `200 {"name":"somebody"} (placeholder)`) // the answer to a POST is not used for a GET
		time.Sleep(24 * time.Hour)
		b.is(b.get(), "200 x (last-known; age=86412s)")

		answers = func(*http.Request, int) (*http.Response, error) { return answered200("fresh"), nil }
		b.is(b.get(), "200 fresh")
		answers = statuses(503)
		b.is(b.get(), "200 fresh (last-known; age=0s)")
		b.closed()
	})
}

// Which answers are stored, and which delete a stored one.
func TestForgetting(t *testing.T) {
	for status, want := range map[int]string{
		404: `200 {"name":"somebody"} (placeholder)`,
		410: `200 {"name":"somebody"} (placeholder)`,
		400: "200 known (last-known; age=1s)",
		401: "200 known (last-known; age=1s)",
		302: "200 known (last-known; age=1s)",
	} {
		bubble(t, fmt.Sprint(status), func(t *testing.T) {
			b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), newWire(func(_ *http.Request, n int) (*http.Response, error) {
				return answer([]int{200, status, 502}[n-1], "known"), nil
			}), somebody)
			b.is(b.get(), "200 known")
			time.Sleep(time.Second)
			b.is(b.get(), fmt.Sprintf("%d known", status))
			b.is(b.get(), want)
		})
	}
}

// A degraded answer of the upstream is passed on unchanged and not stored.
func TestDegradedAnswersAreNotStored(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), newWire(func(_ *http.Request, n int) (*http.Response, error) {
			switch n {
			case 1:
				return answered200("fresh"), nil
			case 2:
				return answer(200, "stale", FallbackHeader, "last-known; age=99s"), nil
			}
			return nil, errReset
		}), somebody)
		b.is(b.get(), "200 fresh")
		time.Sleep(3 * time.Second)
		b.is(b.get(), "200 stale (last-known; age=99s)")
		b.is(b.get(), "200 fresh (last-known; age=3s)")
	})
}

// There is no fallback if the caller has left, but there is one after the caller's timeout.
func TestNoFallbackWithoutACaller(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), newWire(func(r *http.Request, _ int) (*http.Response, error) { return hang(r) }), somebody)
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, leave)
		b.is(b.callAs(ctx, "GET", "/driver/x", ""), context.Canceled.Error())
		if n := b.counted(countFallbacks); n != 0 {
			t.Errorf("%g fallbacks counted", n)
		}
		ctx, leave = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		b.is(b.callAs(ctx, "GET", "/driver/x", ""), `200 {"name":"somebody"} (placeholder)`)
	})
}

// A refusal by the breaker or the bulkhead is replaced too, immediately.
func TestFallbackWhileOpen(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "BREAKER_FAILURES", "1"), newWire(statuses(200, 500)), somebody)
		b.is(b.get(), "200 x")
		b.is(b.get(), "200 x (last-known; age=0s)")
		b.take()
		b.is(b.get(), "200 x (last-known; age=0s)")
		if made := b.take(); len(made) != 0 || time.Since(epoch) != 0 {
			t.Errorf("%d attempts, %s", len(made), time.Since(epoch))
		}
	})
}

// Answers to requests that differ in a header of FALLBACK_VARY are stored separately. Other headers are
// ignored.
func TestFallbackKeepsReleasesApart(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		works := true
		b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), newWire(func(r *http.Request, n int) (*http.Response, error) {
			if !works {
				return answer(502, ""), nil
			}
			return answered200(r.Header.Get("X-My-Header") + r.URL.RawQuery), nil
		}), somebody)
		get := func(query string, headers ...string) string {
			r := b.request(t.Context(), "GET", "/driver/x"+query, "")
			for i := 0; i < len(headers); i += 2 {
				r.Header.Add(headers[i], headers[i+1])
			}
			return b.read(b.RoundTrip(r))
		}
		const nobody = `200 {"name":"somebody"} (placeholder)`
		b.is(get("", "X-My-Header", "canary", "X-Request-Id", "1"), "200 canary")
		b.is(get("?a=b"), "200 a=b")
		works = false
		b.is(get(""), nobody)
		b.is(get("?a=c"), nobody)
		b.is(get("", "X-My-Header", "other"), nobody)
		b.is(get("", "X-My-Header", "canary", "X-Other", "y"), "200 canary (last-known; age=0s)")
		b.is(get("", "X-Request-Id", "2", "X-B3-Traceid", "3", "X-Envoy-Attempt-Count", "1", "X-Forwarded-For", "::1", "Accept", "*/*", "X-My-Header", "canary"), "200 canary (last-known; age=0s)")
		b.is(get("?a=b"), "200 a=b (last-known; age=0s)")
	})
}

// A slow answer replaces neither an answer nor a tombstone that was requested later.
func TestSlowAnswerIsOld(t *testing.T) {
	for newer, want := range map[*http.Response]string{
		answered200("new"): "200 new (last-known; age=1s)",
		answer(404, ""):    `200 {"name":"somebody"} (placeholder)`,
	} {
		bubble(t, newer.Status, func(t *testing.T) {
			b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), newWire(func(_ *http.Request, n int) (*http.Response, error) {
				switch n {
				case 1:
					return answered200("first"), nil
				case 2:
					time.Sleep(900 * time.Millisecond)
					return answered200("old"), nil
				case 3:
					return newer, nil
				}
				return answer(502, ""), nil
			}), somebody)
			b.get()
			time.Sleep(time.Second)
			slow := make(chan string)
			go func() { slow <- b.get() }()
			time.Sleep(100 * time.Millisecond)
			b.get()
			b.is(<-slow, "200 old")
			time.Sleep(300 * time.Millisecond)
			b.is(b.get(), want)
		})
	}
}

// A stored answer has the memory of its length and can be read concurrently.
func TestStoredAnswers(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), newWire(func(r *http.Request, _ int) (*http.Response, error) {
			resp := answered200(strings.Repeat("x", 20))
			resp.ContentLength = -1
			if r.URL.Path == "/driver/zipped" {
				resp.Header.Set("Content-Encoding", "gzip")
			}
			return resp, nil
		}), somebody)
		b.get()
		b.call("GET", "/driver/zipped", "")
		s := find[*fallback](b.RoundTripper).known
		if kept, ok := s.peek("/driver/x"); !ok || s.recent.lru.Len()+s.frequent.lru.Len() != 1 || cap(kept.body) > 32 {
			t.Errorf("kept %d and %d, of %d bytes", s.recent.lru.Len(), s.frequent.lru.Len(), cap(kept.body))
		}
	})
}

// An injected answer is not stored.
func TestInjectedAnswersAreNotStored(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), newWire(func(_ *http.Request, n int) (*http.Response, error) {
			return []*http.Response{answered200("real"), answer(200, "", "X-Fault", "status"), answer(404, "", "X-Fault", "status"), answer(502, "")}[n-1], nil
		}), somebody)
		for _, want := range []string{"200 real", "200 ", "404 ", "200 real (last-known; age=0s)"} {
			b.is(b.get(), want)
		}
	})
}
