package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
)

func TestRepeatableCalls(t *testing.T) {
	for _, tc := range []struct {
		method, path, body string
		unsafe             bool
		attempts           int
	}{
		{"GET", "/driver/x", "", false, 3},
		{"HEAD", "/driver/x", "", false, 3},
		{"GET", "/vehicles/", "", false, 3},
		{"POST", "/vehicles/", `{"name":"x"}`, false, 3},
		{"POST", "/vehicles/", "", false, 3},
		{"POST", "/vehicles", `{"name":"x"}`, false, 1},
		{"POST", "/vehicles/x", `{"name":"x"}`, false, 1},
		{"POST", "/driver/x/12.5", "", false, 1},
		{"POST", "/driver/x/12.5", `{"a":1}`, false, 1},
		{"PUT", "/vehicles/", "{}", false, 1},
		{"DELETE", "/vehicles/", "", false, 1},
		{"POST", "/driver/x/12.5", `{"a":1}`, true, 3},
		{"DELETE", "/vehicles/", "", true, 3},
	} {
		bubble(t, fmt.Sprintf("%s %s %s %t", tc.method, tc.path, tc.body, tc.unsafe), func(t *testing.T) {
			b := newBench(t, library(t, "RETRY_UNSAFE", fmt.Sprint(tc.unsafe), "BREAKER_FAILURES", "0"), statuses(503), nil)
			want := "503 x"
			if tc.method == "HEAD" {
				want = "503 "
			}
			b.is(b.call(tc.method, tc.path, tc.body), want)
			for i, a := range b.tried(tc.attempts) {
				if a.method != tc.method || a.body != tc.body {
					t.Errorf("attempt %d: %s %q", i+1, a.method, a.body)
				}
			}
			b.closed()
		})
	}
}

func TestRetriedOutcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		answer   answerer
		attempts int
		want     string
	}{
		"200":                {statuses(200), 1, "200 x"},
		"302, a bad address": {always(302, "x", "Location", "/elsewhere"), 1, "302 x"},
		"307":                {always(307, "x", "Location", "http://elsewhere/"), 1, "307 x"},
		"404":                {statuses(404), 1, "404 x"},
		"429":                {statuses(429), 3, "429 x"},
		"500, then 200":      {statuses(500, 200), 2, "200 x"},
		"502, 503, then 200": {statuses(502, 503, 200), 3, "200 x"},
		"502 for good":       {statuses(502), 3, "502 x"},
		"reset for good":     {reset, 3, errReset.Error()},
		"too large": {func(*http.Request, int) (*http.Response, error) {
			resp := answer(200, "x")
			resp.ContentLength = maxAnswer + 1
			return resp, nil
		}, 1, "answer of more than 67108864 bytes"},
		"broken off, then 200": {inTurn(brokenOff, ok), 2, "200 ok"},
	} {
		bubble(t, name, func(t *testing.T) {
			b := newBench(t, library(t, "BREAKER_FAILURES", "0"), tc.answer, nil)
			b.is(b.get(), tc.want)
			b.tried(tc.attempts)
			if retries := b.counted(countRetries); retries != float64(tc.attempts-1) {
				t.Errorf("%g retries counted, want %d", retries, tc.attempts-1)
			}
			if want := min(int64(burst*100), burst*100-int64(tc.attempts-1)*100); b.budget().saved.Load() != want {
				t.Errorf("%d hundredths saved, want %d: the last attempt takes none", b.budget().saved.Load(), want)
			}
			b.closed()
		})
	}
}

// The number of retries is at most the burst plus a share of all calls.
func TestBudget(t *testing.T) {
	for _, percent := range []int{0, 10, 20, 100} {
		bubble(t, fmt.Sprint(percent), func(t *testing.T) {
			b := newBench(t, only(t, "RETRY_ATTEMPTS", "3", "RETRY_BUDGET_PERCENT", fmt.Sprint(percent)), statuses(503), nil)
			const calls = 500
			for range calls {
				b.is(b.get(), "503 x")
			}
			retries, bound := len(b.take())-calls, burst+calls*percent/100
			if percent == 0 {
				bound = 0
			}
			if retries > bound || retries < bound-burst {
				t.Errorf("%d retries of %d calls, want at most %d and hardly less", retries, calls, bound)
			}
			if counted := b.counted(countRetries); counted != float64(retries) {
				t.Errorf("%g retries counted, %d made", counted, retries)
			}
			if denied := b.counted(countDenied); (denied == 0) != (percent == 100) && percent < 100 {
				t.Errorf("%g retries denied", denied)
			}
		})
	}
}

// Calls that are not repeated earn retries too; the number of saved retries is limited.
func TestBudgetIsEarnedByAllCalls(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, only(t, "RETRY_ATTEMPTS", "2", "RETRY_BUDGET_PERCENT", "20"), statuses(503), nil)
		b.budget().saved.Store(0)
		b.is(b.get(), "503 x")
		b.tried(1)
		for range 4 {
			b.call("POST", "/driver/x/1", "")
		}
		b.take()
		b.is(b.get(), "503 x")
		b.tried(2) // with a fifth of five calls
		for range 1000 {
			b.call("POST", "/driver/x/1", "")
		}
		if saved := b.budget().saved.Load(); saved != burst*100 {
			t.Errorf("%d hundredths saved up, want %d", saved, burst*100)
		}
	})
}

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		n    int
		draw float64
		want time.Duration
	}{
		{0, 0, 0},
		{0, .5, 12500 * time.Microsecond},
		{1, .5, 25 * ms},
		{2, .5, 50 * ms},
		{3, .5, 100 * ms},
		{4, .5, 125 * ms}, // the longest is 250 ms
		{63, .5, 125 * ms},
		{9, 0, 0},
	} {
		if got := backoff(25*ms, 250*ms, tc.n, tc.draw); got != tc.want {
			t.Errorf("retry %d, drawn %g: %s, want %s", tc.n, tc.draw, got, tc.want)
		}
	}
	if got := backoff(0, 0, 3, .9); got != 0 {
		t.Errorf("without back-off: %s", got)
	}
	if got := backoff(time.Minute, 10*time.Minute, 30, .999); got < 9*time.Minute || got >= 10*time.Minute {
		t.Errorf("retry with a large number: %s", got)
	}
}

// Waits are uniform from 0 to their limit, which doubles.
func TestFullJitter(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, only(t, "RETRY_ATTEMPTS", "4", "RETRY_BACKOFF", "100ms", "RETRY_BACKOFF_MAX", "200ms"), statuses(503), nil)
		var low, high [3]int
		const calls = 300
		for range calls {
			b.budgetFull()
			b.get()
			made := b.take()
			for i, bound := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 200 * time.Millisecond} {
				gap := made[i+1].at - made[i].at
				if gap < 0 || gap >= bound {
					t.Fatalf("retry %d after %s, want below %s", i+1, gap, bound)
				}
				if gap < bound/10 {
					low[i]++
				}
				if gap > bound*9/10 {
					high[i]++
				}
			}
		}
		for i := range low { // a tenth is 30 of 300; four standard deviations are 20.8
			if low[i] < 10 || low[i] > 50 || high[i] < 10 || high[i] > 50 {
				t.Errorf("retry %d: %d in the lowest tenth, %d in the highest, of %d", i+1, low[i], high[i], calls)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	in := func(d time.Duration) string { return epoch.Add(d).Format(http.TimeFormat) }
	for name, tc := range map[string]struct {
		header string
		gap    time.Duration // before the retry; -1: not retried; back-off: at most 100 ms
	}{
		"seconds":                     {"2", 2 * time.Second},
		"a date":                      {in(3 * time.Second), 3 * time.Second},
		"a date in the past":          {in(-time.Hour), 0},
		"now":                         {"0", 0},
		"nonsense":                    {"soon", 0},
		"negative":                    {"-5", 0},
		"just within the time left":   {"9", 9 * time.Second},
		"exactly the time left":       {"10", -1},
		"more than the time left":     {"3600", -1},
		"a date beyond the time left": {in(time.Hour), -1},
		"an age":                      {"99999999999999999999", -1},
	} {
		for _, status := range []int{429, 503} {
			bubble(t, fmt.Sprint(name, " ", status), func(t *testing.T) {
				b := newBench(t, only(t, "RETRY_ATTEMPTS", "2", "RETRY_BACKOFF", "100ms"), inTurn(always(status, "x", "Retry-After", tc.header), ok), nil)
				got := b.get()
				if tc.gap < 0 {
					b.is(got, fmt.Sprintf("%d x", status))
					b.tried(1)
					if time.Since(epoch) != 0 {
						t.Errorf("answered after %s, want immediately", time.Since(epoch))
					}
					return
				}
				b.is(got, "200 ok")
				if gap := b.tried(2)[1].at; tc.gap > 0 && gap != tc.gap || tc.gap == 0 && gap >= 100*time.Millisecond {
					t.Errorf("retried after %s, want %s", gap, tc.gap)
				}
			})
		}
	}
}

// Retry-After applies to one endpoint: the retry goes to another one after the back-off, and calls prefer the
// other for that time, at most the open time.
func TestRetryAfterAppliesToOneEndpoint(t *testing.T) {
	for _, status := range []int{429, 503} {
		bubble(t, fmt.Sprint(status), func(t *testing.T) {
			busy := &failing{bad: []string{"a:80"}, how: always(status, "later", "Retry-After", "3600")}
			b := newBench(t, library(t), busy.answer, nil, "a:80", "b:80")
			for range 30 {
				b.is(b.get(), "200 ok from b:80")
			}
			if took := time.Since(epoch); took >= b.cfg.Retry.Backoff {
				t.Errorf("took %s, want one back-off at most", took)
			}
			if n := strings.Count(b.addrs(), "a:80"); n != 1 {
				t.Errorf("%d attempts meanwhile, want one", n)
			}
			time.Sleep(b.cfg.Breaker.OpenTime)
			b.get()
			b.get()
			if n := strings.Count(b.addrs(), "a:80"); n != 1 {
				t.Errorf("%d attempts after the open time, want one", n)
			}
			busy.bad = []string{"a:80", "b:80"}
			b.is(b.get(), fmt.Sprint(status, " later")) // all rest for longer than the time left
			b.addrs()
			busy.bad = nil
			b.get()
			if b.addrs() == "" {
				t.Error("no attempt while all endpoints rest")
			}
		})
	}
}

// A caller that leaves during an attempt or a wait ends the call immediately.
func TestCallerLeavesDuringAttempts(t *testing.T) {
	for name, answers := range map[string]answerer{
		"in an attempt": hang,
		"in a wait":     always(503, "", "Retry-After", "2"),
	} {
		bubble(t, name, func(t *testing.T) {
			b := newBench(t, library(t, "BREAKER_FAILURES", "1", "ATTEMPT_TIMEOUT", "3s", "BREAKER_MAX_OPEN_PERCENT", "0"), answers, nil)
			b.is(b.getAndLeave(500*time.Millisecond), context.Canceled.Error())
			b.tried(1)
			if time.Since(epoch) != 500*time.Millisecond {
				t.Errorf("ended after %s", time.Since(epoch))
			}
			if retries, saved := b.counted(countRetries), b.budget().saved.Load(); retries != 0 || saved != burst*100 {
				t.Errorf("%g retries counted, %d hundredths left", retries, saved)
			}
			b.closed()
		})
	}
}

// A request from a reverse proxy is retried like any other.
func TestRetryOfAProxysRequest(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t, "RETRY_BACKOFF", "1ms"), statuses(502, 200), nil)
		proxy := httputil.ReverseProxy{Transport: b, Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "x:80" }}
		for _, method := range []string{"GET", "HEAD", "POST"} {
			r := httptest.NewRequest(method, "/vehicles/", nil)
			if method == "POST" {
				SetBody(r, []byte("a report"))
			}
			w := httptest.NewRecorder()
			proxy.ServeHTTP(w, r)
			servertest.Recorded(w).Is(t, 200, map[string]string{"GET": "x", "POST": "x"}[method])
		}
		if made := b.tried(4); made[3].body != "a report" {
			t.Errorf("sent %v", made)
		}
	})
}

// A POST with an empty body and GetBody, as from a reverse proxy, has no body in the second attempt.
func TestEmptyPostStaysEmpty(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), func(r *http.Request, n int) (*http.Response, error) {
			if r.Body != nil || r.ContentLength != 0 {
				t.Errorf("attempt %d has a body, of %d bytes", n, r.ContentLength)
			}
			return statuses(502, 200)(r, n)
		}, nil)
		r := request(t.Context(), "POST", "/vehicles/", "")
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
		b.is(b.read(b.RoundTrip(r)), "200 x")
	})
}

// If GetBody fails, the call ends with its error, and nothing is sent.
func TestGetBodyFails(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), statuses(502), nil)
		r := request(t.Context(), "POST", "/vehicles/", "a report")
		r.GetBody = func() (io.ReadCloser, error) { return nil, errReset }
		b.is(b.read(b.RoundTrip(r)), errReset.Error())
		b.tried(0)
	})
}

// If all endpoints rest, the call waits for the first one.
func TestLeastRest(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		asks := map[string]string{"a:80": "1", "b:80": "2"}
		b := newBench(t, library(t), func(r *http.Request, _ int) (*http.Response, error) {
			if after := asks[r.URL.Host]; after != "" {
				return answer(503, "", "Retry-After", after), nil
			}
			return answered200("ok from " + r.URL.Host), nil
		}, nil, "a:80", "b:80")
		asks["b:80"] = ""
		b.is(b.get(), "200 ok from b:80") // a rests for 1 s
		time.Sleep(900*time.Millisecond - time.Since(epoch))
		asks = map[string]string{"b:80": "2"}
		begin := time.Now()
		b.is(b.get(), "200 ok from a:80")
		if took := time.Since(begin); took < 100*time.Millisecond || took > 100*time.Millisecond+b.cfg.Retry.BackoffMax {
			t.Errorf("waited %s, want until a's second is over", took)
		}
	})
}

// A streamed body can be sent only once.
func TestBodyThatDoesNotRewindIsSentOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, library(t), statuses(502, 200), nil)
		r := request(t.Context(), "POST", "/vehicles/", "a report")
		r.GetBody = nil
		b.is(b.read(b.RoundTrip(r)), "502 x")
		if made := b.tried(1); made[0].body != "a report" {
			t.Errorf("sent %v", made)
		}
	})
}
