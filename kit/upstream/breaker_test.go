package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// failing answers by how at the addresses in bad.
type failing struct {
	bad []string
	how answerer // nil: 502
}

func (f *failing) answer(r *http.Request, n int) (*http.Response, error) {
	switch {
	case !slices.Contains(f.bad, r.URL.Host):
		return answered200("ok from " + r.URL.Host), nil
	case f.how != nil:
		return f.how(r, n)
	}
	return answer(http.StatusBadGateway, ""), nil
}

const refused = "circuit open"

// TestTrips checks that a breaker opens at exactly the nth consecutive failure of any kind.
func TestTrips(t *testing.T) {
	for how, fail := range map[string]answerer{
		"500":        always(500, "x"),
		"599":        always(599, "x"),
		"reset":      reset,
		"timeout":    hang,
		"broken off": brokenOff,
		"crawling":   crawling,
	} {
		for _, n := range []int{1, 2, 3, 5} {
			bubble(t, fmt.Sprintf("%s %d", how, n), func(t *testing.T) {
				bad := &failing{bad: []string{"a:80"}, how: fail}
				b := newBench(t, only(t, "BREAKER_FAILURES", fmt.Sprint(n), "ATTEMPT_TIMEOUT", "1s"), bad.answer, nil)
				for range n - 1 {
					b.get()
				}
				bad.bad = nil
				b.is(b.get(), "200 ok from a:80") // one good answer, and counting begins again
				bad.bad = []string{"a:80"}
				for i := range n {
					if got := b.get(); got == refused {
						t.Fatalf("refused after %d failures", i)
					}
				}
				b.take()
				b.isAtOnce(refused)
				b.closed()
			})
		}
	}
}

// Outcomes that are no evidence against the upstream do not open a breaker.
func TestDoesNotTrip(t *testing.T) {
	for name, tc := range map[string]struct {
		answer answerer
		leave  time.Duration // when the caller leaves; 0: never
	}{
		"404":                       {answer: always(404, "no")},
		"429":                       {answer: always(429, "slowly")},
		"499":                       {answer: always(499, "x")},
		"302":                       {answer: always(302, "", "Location", "/x")},
		"caller gone":               {answer: hang, leave: 300 * time.Millisecond},
		"caller gone while reading": {answer: crawling, leave: 300 * time.Millisecond},
	} {
		bubble(t, name, func(t *testing.T) {
			b := newBench(t, only(t, "BREAKER_FAILURES", "1", "ATTEMPT_TIMEOUT", "1s"), tc.answer, nil)
			for range 5 {
				if tc.leave > 0 {
					b.is(b.getAndLeave(tc.leave), context.Canceled.Error())
				} else {
					b.get()
				}
				b.tried(1)
			}
			b.closed()
		})
	}
}

// An attempt that had less than nine tenths of its time, because its caller's time was short, does not open
// a breaker, however long it took.
func TestShortenedAttemptsDoNotTrip(t *testing.T) {
	for left, trips := range map[time.Duration]bool{
		-time.Second: false, 0: false, 10 * time.Millisecond: false, 200 * time.Millisecond: false, time.Second: false,
		1799 * time.Millisecond: false, 1800 * time.Millisecond: true, 3 * time.Second: true,
	} {
		bubble(t, left.String(), func(t *testing.T) {
			b := newBench(t, only(t, "BREAKER_FAILURES", "3", "ATTEMPT_TIMEOUT", "1s"), hang, nil)
			for range 3 {
				b.is(b.getFor(left), context.DeadlineExceeded.Error())
			}
			b.answer = ok
			want := "200 ok"
			if trips {
				want = refused
			}
			b.is(b.get(), want)
		})
	}
}

// Nor does an attempt without a limit of its own, if another endpoint or the caller left it little time.
func TestShortenedWithoutAnAttemptTimeout(t *testing.T) {
	slow := late(50 * time.Millisecond)
	bubble(t, "impatient callers", func(t *testing.T) {
		b := newBench(t, only(t, "BREAKER_FAILURES", "3"), slow, nil)
		for range 3 {
			b.is(b.getFor(5*time.Millisecond), context.DeadlineExceeded.Error())
		}
		b.is(b.get(), "200 ok")
	})
	bubble(t, "time used up", func(t *testing.T) {
		b := newBench(t, library(t, "ATTEMPT_TIMEOUT", "0s", "BREAKER_FAILURES", "1", "RETRY_BACKOFF", "0s"), func(r *http.Request, n int) (*http.Response, error) {
			if r.URL.Host == "a:80" {
				time.Sleep(2990 * time.Millisecond)
				return answer(502, ""), nil
			}
			return slow(r, n)
		}, nil, "a:80", "b:80")
		b.is(b.get(), context.DeadlineExceeded.Error())
		b.is(b.get(), "200 ok")
		b.is(b.addrs(), "a:80 b:80 b:80")
	})
}

func TestOpenEndpointIsSkipped(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"b:80"}}
		b := newBench(t, library(t, "BREAKER_FAILURES", "3"), bad.answer, nil, "a:80", "b:80", "c:80")
		for range 9 {
			if got := b.get(); !strings.HasPrefix(got, "200 ok") {
				t.Errorf("got %s", got)
			}
		}
		if n := strings.Count(b.addrs(), "b:80"); n != 3 {
			t.Errorf("the bad endpoint had %d attempts before its breaker opened, want 3", n)
		}
		for range 30 {
			b.get()
		}
		if addrs := b.addrs(); strings.Contains(addrs, "b:80") || strings.Count(addrs, "a:80")+strings.Count(addrs, "c:80") != 30 {
			t.Errorf("with b open, attempts went to %s", addrs)
		}
	})
}

func TestRetryGoesToAnotherEndpoint(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80", "b:80"}}
		b := newBench(t, library(t, "BREAKER_FAILURES", "1000"), bad.answer, nil, "a:80", "b:80", "c:80")
		for range 20 {
			b.budgetFull()
			b.is(b.get(), "200 ok from c:80")
			seen := strings.Fields(b.addrs())
			slices.Sort(seen)
			if len(slices.Compact(seen)) != len(seen) {
				t.Errorf("an endpoint was tried twice: %s", seen)
			}
		}
		bad.bad = append(bad.bad, "c:80")
		b.resolvesTo("a:80", "b:80")
		b.budgetFull()
		b.is(b.get(), "502 ")
		if got := b.addrs(); got != "a:80 b:80 a:80" && got != "b:80 a:80 b:80" {
			t.Errorf("with more attempts than endpoints they went to %s", got)
		}
	})
}

// An open breaker ends the attempts at its endpoint, not the call.
func TestOpenEndsAttemptsAtTheEndpoint(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80"}}
		b := newBench(t, library(t, "BREAKER_FAILURES", "1"), bad.answer, nil, "a:80", "b:80")
		b.is(b.get(), "200 ok from b:80")
		b.is(b.addrs(), "a:80 b:80")
		bad.bad = []string{"a:80", "b:80"}
		saved := b.budget().saved.Load()
		b.is(b.get(), "502 ") // b fails and opens; no endpoint is left
		b.is(b.addrs(), "b:80")
		if time.Since(epoch) > 25*time.Millisecond || b.budget().saved.Load() < saved {
			t.Errorf("after %s, %d hundredths of a retry are left of %d", time.Since(epoch), b.budget().saved.Load(), saved)
		}
	})
}

func TestAllOpenIsRefusedImmediately(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80", "b:80"}}
		b := newBench(t, library(t, "BREAKER_FAILURES", "1"), bad.answer, nil, "a:80", "b:80")
		b.get()
		b.addrs()
		saved := b.budget().saved.Load()
		for range 10 {
			b.isAtOnce(refused)
		}
		if left := b.budget().saved.Load(); left < saved {
			t.Errorf("refusals took %d hundredths of a retry", saved-left)
		}
		_, err := b.RoundTrip(request(t.Context(), "GET", "/driver/x", ""))
		var reasoned interface{ Reason() string }
		if !errors.As(err, &reasoned) || reasoned.Reason() != refused {
			t.Errorf("got %v", err)
		}
	})
}

func TestHalfOpen(t *testing.T) {
	for _, probes := range []int{1, 2, 3} {
		for _, good := range []bool{true, false} {
			bubble(t, fmt.Sprintf("%d probes, good: %t", probes, good), func(t *testing.T) {
				hold := make(chan struct{})
				failed := false
				b := newBench(t, only(t, "BREAKER_FAILURES", "1", "BREAKER_OPEN_TIME", "10s", "BREAKER_PROBES", fmt.Sprint(probes)), reset, nil)
				b.get()
				time.Sleep(10 * time.Second)
				b.is(b.get(), refused) // open until just after the open time
				time.Sleep(time.Nanosecond)
				b.take()
				b.answer = func(r *http.Request, n int) (*http.Response, error) {
					<-hold
					if failed {
						return reset(r, n)
					}
					return ok(r, n)
				}
				answers := make(chan string, probes)
				for range probes {
					go func() { answers <- b.get() }()
				}
				wait := func() { time.Sleep(time.Millisecond) } // in the bubble: until all goroutines are blocked
				wait()
				b.is(b.get(), refused) // only probes are allowed
				b.tried(probes)
				failed = !good
				close(hold)
				for range probes {
					<-answers
				}
				b.take()
				if !good {
					b.isAtOnce(refused)
					return
				}
				b.is(b.get(), "200 ok")
				b.tried(1)
			})
		}
	}
}

// newProbed builds a chain whose breaker's open time has ended: the next call is a probe.
func newProbed(t *testing.T) *bench {
	b := newBench(t, only(t, "BREAKER_FAILURES", "1", "BREAKER_OPEN_TIME", "10s"), reset, nil)
	b.get()
	time.Sleep(11 * time.Second)
	return b
}

// A probe whose caller leaves, or that the bulkhead refuses, does not count.
func TestProbeWithoutEvidence(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newProbed(t)
		b.answer = hang
		b.is(b.getAndLeave(time.Second), context.Canceled.Error())
		b.answer = ok
		b.is(b.get(), "200 ok")
		b.is(b.get(), "200 ok")
	})
}

// After a panic in a probe the breaker is open, not half-open for ever.
func TestProbeThatPanics(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newProbed(t)
		b.answer = func(*http.Request, int) (*http.Response, error) { panic("of a test") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			b.get()
		}()
		b.is(b.get(), refused)
		time.Sleep(11 * time.Second)
		b.answer = ok
		b.is(b.get(), "200 ok")
	})
}

// The open time grows with each consecutive opening, up to the limit, until a good answer.
func TestOpenTimeGrows(t *testing.T) {
	for growth, want := range map[string][]int{"1": {10, 10, 10, 10}, "3": {10, 20, 30, 30, 30}} {
		bubble(t, growth, func(t *testing.T) {
			bad := &failing{bad: []string{"a:80"}}
			b := newBench(t, only(t, "BREAKER_FAILURES", "2", "BREAKER_OPEN_TIME", "10s", "BREAKER_OPEN_GROWTH", growth), bad.answer, nil)
			open := func(seconds int) {
				t.Helper()
				d := time.Duration(seconds) * time.Second
				time.Sleep(d - time.Nanosecond)
				b.is(b.get(), refused)
				time.Sleep(2 * time.Nanosecond)
			}
			b.get()
			for round := range 2 {
				b.get() // the second consecutive failure opens the breaker
				for _, seconds := range want {
					open(seconds)
					b.is(b.get(), "502 ") // a probe; the breaker opens again
				}
				open(want[len(want)-1])
				bad.bad = nil
				b.is(b.get(), "200 ok from a:80")
				bad.bad = []string{"a:80"}
				b.is(b.get(), "502 ")
				if round == 1 {
					b.is(b.get(), "502 ")
					open(10)
				}
			}
		})
	}
}

func TestMaxOpenPercent(t *testing.T) {
	for percent, open := range map[string]int{"0": 0, "24": 0, "25": 1, "50": 2, "74": 2, "100": 4} {
		bubble(t, percent, func(t *testing.T) {
			bad := &failing{bad: []string{"a:80", "b:80", "c:80", "d:80"}}
			b := newBench(t, only(t, "BREAKER_FAILURES", "2", "BREAKER_MAX_OPEN_PERCENT", percent), bad.answer, nil, bad.bad...)
			for range 40 {
				b.get()
			}
			b.take()
			for range 40 {
				b.get()
			}
			reached := strings.Fields(b.addrs())
			slices.Sort(reached)
			if got := 4 - len(slices.Compact(reached)); got != open {
				t.Errorf("%d are open, want %d", got, open)
			}
			b.agrees()
		})
	}
}

// The number of open endpoints is correct while breakers close and reopen and endpoints change.
func TestEndpointsComeAndGo(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80", "b:80"}}
		b := newBench(t, only(t, "BREAKER_FAILURES", "1", "BREAKER_MAX_OPEN_PERCENT", "50", "BREAKER_OPEN_TIME", "10s"), bad.answer, nil, "a:80", "b:80")
		for range 4 {
			b.get()
		}
		b.agrees() // a is open, b may not be
		b.addrs()
		b.resolvesTo("b:80", "c:80")
		for range 4 {
			b.get()
		}
		b.agrees()
		if addrs := b.addrs(); strings.Contains(addrs, "a:80") || strings.Count(addrs, "b:80") != 1 {
			t.Errorf("without a, b may open: attempts went to %s", addrs)
		}
		bad.bad = []string{"b:80"}
		b.resolvesTo("a:80", "b:80", "c:80")
		for range 6 {
			b.get()
		}
		b.agrees()
		if addrs := b.addrs(); strings.Count(addrs, "a:80") == 0 || strings.Contains(addrs, "b:80") {
			t.Errorf("a is back, b still open: attempts went to %s", addrs)
		}
		time.Sleep(11 * time.Second)
		bad.bad = nil
		for range 6 {
			b.get()
		}
		b.agrees()
		if addrs := b.addrs(); strings.Count(addrs, "b:80") != 2 {
			t.Errorf("all good: attempts went to %s", addrs)
		}
		b.resolvesTo()
		b.is(b.get(), string(errNoEndpoint))
	})
}

// An answer of a removed endpoint does not affect the others.
func TestAnswerOfARemovedEndpoint(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"a:80"}, how: func(r *http.Request, n int) (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return reset(r, n)
		}}
		b := newBench(t, only(t, "BREAKER_FAILURES", "1", "BREAKER_MAX_OPEN_PERCENT", "50"), bad.answer, nil, "a:80", "b:80")
		late := make(chan string)
		go func() { late <- b.get() }()
		time.Sleep(time.Second)
		b.resolvesTo("b:80", "c:80")
		b.is(b.get(), "200 ok from c:80")
		b.is(<-late, errReset.Error())
		b.agrees()
		for _, addr := range []string{"b", "c", "b", "c"} {
			b.is(b.get(), "200 ok from "+addr+":80")
		}
	})
}

// With the scope upstream there is one breaker, and the dialer chooses the address.
func TestScopeUpstream(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		bad := &failing{bad: []string{"staff-service:8080"}}
		b := newBench(t, library(t, "BREAKER_SCOPE", "upstream", "BREAKER_FAILURES", "2"), bad.answer, nil, "a:80", "b:80")
		b.is(b.get(), "502 ") // the second attempt opens the breaker; there is no third
		b.is(b.addrs(), "staff-service:8080 staff-service:8080")
		b.is(b.get(), refused)
		b.is(b.addrs(), "")
		time.Sleep(11 * time.Second)
		bad.bad = nil
		b.is(b.get(), "200 ok from staff-service:8080")
	})
	bubble(t, "never left out", func(t *testing.T) {
		bad := &failing{bad: []string{"staff-service:8080"}}
		b := newBench(t, library(t, "BREAKER_SCOPE", "upstream", "BREAKER_MAX_OPEN_PERCENT", "99"), bad.answer, nil)
		for range 20 {
			b.is(b.get(), "502 ")
		}
	})
}

// A call to an endpoint has the endpoint's address and the upstream's name in Host.
func TestEndpointKeepsTheName(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var host, target string
		b := newBench(t, only(t, "BREAKER_FAILURES", "1"), func(r *http.Request, _ int) (*http.Response, error) {
			host, target = r.Host, r.URL.String()
			return answered200("ok"), nil
		}, nil, "[::1]:80")
		for given, want := range map[string]string{"": "staff-service:8080", "fleet.example": "fleet.example"} {
			r := request(t.Context(), "GET", "/driver/City%20Truck?a=b", "")
			r.Host = given
			before := *r.URL
			b.is(b.read(b.RoundTrip(r)), "200 ok")
			if host != want || target != "http://[::1]:80/driver/City%20Truck?a=b" || *r.URL != before || r.Host != given {
				t.Errorf("called %s as %s, want %s; the caller's request is now for %s at %s", target, host, want, r.Host, r.URL)
			}
		}
	})
}

func TestLookupFails(t *testing.T) {
	for _, times := range []int{1, 100} { // of lookups
		bubble(t, fmt.Sprint(times), func(t *testing.T) {
			lookups := 0
			b := (&bench{t: t, wire: newWire(ok), cfg: library(t)}).build(func(context.Context) ([]string, error) {
				if lookups++; lookups <= times {
					return nil, errReset
				}
				return []string{"a:80"}, nil
			}, nil)
			want := "200 ok"
			if times > 1 {
				want = "look up staff-service:8080: " + errReset.Error()
			}
			b.is(b.get(), want)
		})
	}
}
