package upstream

import (
	"context"
	"fmt"
	"io"
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

// nobody is what a call with somebody as its placeholder returns if nothing is known.
const nobody = `200 {"name":"somebody"} (placeholder)`

func TestFallback(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "BREAKER_FAILURES", "0", "RETRY_ATTEMPTS", "0"), ok, somebody)
		fails := map[string]answerer{"502 x": statuses(502), errReset.Error(): reset, context.DeadlineExceeded.Error(): hang, io.ErrUnexpectedEOF.Error(): brokenOff}
		for failure, fail := range fails {
			b.answer = fail
			b.is(b.call("GET", "/driver/x", ""), nobody)
			b.is(b.call("GET", "/photos/1.jpg", ""), failure) // nothing is known, and there is no placeholder
			b.is(b.call("POST", "/driver/x/1", ""), failure)
		}
		if n := b.counted(countFallbacks); n != float64(len(fails)) {
			t.Errorf("%g fallbacks counted, want %d", n, len(fails))
		}

		b.answer = statuses(200)
		b.is(b.get(), "200 x")
		b.is(b.call("POST", "/driver/posted", ""), "200 x")
		b.answer = statuses(502)
		b.is(b.get(), "200 x (last-known; age=0s)")
		time.Sleep(12*time.Second + 999*time.Millisecond)
		b.is(b.get(), "200 x (last-known; age=12s)")
		b.is(b.get(), "200 x (last-known; age=12s)") // again
		b.is(b.call("GET", "/driver/y", ""), nobody)
		b.is(b.call("GET", "/driver/posted", ""), nobody) // the answer to a POST is not used for a GET
		time.Sleep(24 * time.Hour)
		b.is(b.get(), "200 x (last-known; age=86412s)")
		b.closed()
	})
}

// Which answers of an upstream replace a stored one, and which delete it. Each is passed on unchanged.
func TestWhatIsStored(t *testing.T) {
	const kept = "200 known (last-known; age=1s)"
	for name, tc := range map[string]struct {
		answer answerer
		passed string
		then   string // while the upstream fails
	}{
		"200":             {always(200, "fresh"), "200 fresh", "200 fresh (last-known; age=0s)"},
		"302":             {statuses(302), "302 x", kept},
		"400":             {statuses(400), "400 x", kept},
		"401":             {statuses(401), "401 x", kept},
		"404":             {statuses(404), "404 x", nobody},
		"410":             {statuses(410), "410 x", nobody},
		"degraded":        {always(200, "stale", FallbackHeader, "last-known; age=99s"), "200 stale (last-known; age=99s)", kept},
		"encoded":         {always(200, "zipped", "Content-Encoding", "gzip"), "200 zipped", kept},
		"an injected 200": {always(200, "", "X-Fault", "status"), "200 ", kept},
		"an injected 404": {always(404, "", "X-Fault", "status"), "404 ", kept},
	} {
		bubble(t, name, func(t *testing.T) {
			b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), inTurn(always(200, "known"), tc.answer, statuses(502)), somebody)
			b.is(b.get(), "200 known")
			time.Sleep(time.Second)
			b.is(b.get(), tc.passed)
			b.is(b.get(), tc.then)
		})
	}
}

// There is no fallback if the caller has left, but there is one after the caller's timeout.
func TestNoFallbackWithoutACaller(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), hang, somebody)
		b.is(b.getAndLeave(100*time.Millisecond), context.Canceled.Error())
		if n := b.counted(countFallbacks); n != 0 {
			t.Errorf("%g fallbacks counted", n)
		}
		b.is(b.getFor(100*time.Millisecond), nobody)
	})
}

// A refusal by the breaker or the bulkhead is replaced too, immediately.
func TestFallbackWhileOpen(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "BREAKER_FAILURES", "1"), statuses(200, 500), somebody)
		b.is(b.get(), "200 x")
		b.is(b.get(), "200 x (last-known; age=0s)")
		b.take()
		b.isAtOnce("200 x (last-known; age=0s)")
		if time.Since(epoch) != 0 {
			t.Errorf("took %s", time.Since(epoch))
		}
	})
}

// Answers to requests that differ in a header of FALLBACK_VARY are stored separately. Other headers are
// ignored.
func TestFallbackKeepsReleasesApart(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), func(r *http.Request, _ int) (*http.Response, error) {
			return answered200(r.Header.Get("X-My-Header") + r.URL.RawQuery), nil
		}, somebody)
		driver := func(query string, headers ...string) string {
			return b.read(b.RoundTrip(get("/driver/x"+query, headers...)))
		}
		b.is(driver("", "X-My-Header", "canary", "X-Request-Id", "1"), "200 canary")
		b.is(driver("?a=b"), "200 a=b")
		b.answer = statuses(502)
		b.is(driver(""), nobody)
		b.is(driver("?a=c"), nobody)
		b.is(driver("", "X-My-Header", "other"), nobody)
		b.is(driver("", "X-My-Header", "canary", "X-Other", "y"), "200 canary (last-known; age=0s)")
		b.is(driver("", "X-Request-Id", "2", "X-B3-Traceid", "3", "X-Envoy-Attempt-Count", "1", "X-Forwarded-For", "::1", "Accept", "*/*", "X-My-Header", "canary"), "200 canary (last-known; age=0s)")
		b.is(driver("?a=b"), "200 a=b (last-known; age=0s)")
	})
}

// A slow answer replaces neither an answer nor a tombstone that was requested later.
func TestSlowAnswerIsOld(t *testing.T) {
	for newer, want := range map[int]string{200: "200 x (last-known; age=1s)", 404: nobody} {
		bubble(t, fmt.Sprint(newer), func(t *testing.T) {
			b := newBench(t, library(t, "RETRY_ATTEMPTS", "0"), inTurn(always(200, "first"), late(900*time.Millisecond), statuses(newer), statuses(502)), somebody)
			b.get()
			time.Sleep(time.Second)
			slow := make(chan string)
			go func() { slow <- b.get() }()
			time.Sleep(100 * time.Millisecond)
			b.get()
			b.is(<-slow, "200 ok")
			time.Sleep(300 * time.Millisecond)
			b.is(b.get(), want)
		})
	}
}
