package upstream

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// retry repeats calls that are safe to repeat. The first try, most often the only one, is made
// directly. When it has failed, go-retryablehttp takes the call over from that outcome on: its loop
// makes the tries and the waits. What is a failure, how long to wait and whether the budget allows
// it is decided here.
type retry struct {
	cfg       RetryConfig
	client    *retryablehttp.Client
	next      attempter
	budget    *budget
	endpoints *breakers // nil: there is nowhere else to go
	random    func() float64
	m         *instruments
}

func newRetry(cfg RetryConfig, b *budget, next attempter, endpoints *breakers, random func() float64, m *instruments) *retry {
	rt := &retry{cfg: cfg, next: next, budget: b, endpoints: endpoints, random: random, m: m}
	rt.client = &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: resumed{rt}},
		RetryMax:   cfg.Attempts - 1,
		CheckRetry: func(ctx context.Context, _ *http.Response, _ error) (bool, error) {
			return rt.another(callOf(ctx)), nil
		},
		Backoff: func(_, _ time.Duration, _ int, told *http.Response) time.Duration {
			return callOf(told.Request.Context()).wait
		},
	}
	return rt
}

func (rt *retry) attempt(c *call) (*http.Response, error) {
	rt.budget.earn()
	c.tries++
	resp, err := rt.next.attempt(c)
	if good(resp, err) || !rt.cfg.Unsafe && !repeatable(c.r) || !rewinds(c.r) {
		return resp, err
	}
	c.last = outcome{resp, err}
	return rt.resume(c)
}

// resume lets go-retryablehttp go on with a call whose first try has failed.
func (rt *retry) resume(c *call) (*http.Response, error) {
	ctx, cancel := c.timed() // waits end with the call's time, too
	defer cancel()           // the whole answer has been read
	r, err := retryablehttp.FromRequest((&http.Request{URL: c.r.URL}).WithContext(context.WithValue(ctx, callKey{}, c)))
	if err != nil {
		return nil, err
	}
	if _, err := rt.client.Do(r); err != nil { // the caller left in a wait, or the time was over
		rt.budget.giveBack()
		return nil, err
	}
	return c.last.resp, c.last.err
}

// resumed makes the tries after the first. go-retryablehttp is only told that there was one: what
// has become of it stays with the call.
type resumed struct{ *retry }

func (rt resumed) RoundTrip(r *http.Request) (*http.Response, error) {
	c := callOf(r.Context())
	if c.resumed {
		rt.again(c)
	}
	c.resumed = true
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// again makes another try. One that this side refuses is none: what is known of the failure before
// it says more.
func (rt *retry) again(c *call) {
	c.tries++
	resp, err := rt.next.attempt(c)
	if isRefusal(err) {
		rt.budget.giveBack()
		c.refused = true
		return
	}
	rt.m.retried(c.ctx)
	c.last = outcome{resp, err}
}

type callKey struct{}

// callOf is the call that go-retryablehttp is at.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// good tells whether an answer ends its call: any but a 5xx or a 429.
func good(resp *http.Response, err error) bool {
	return err == nil && resp.StatusCode < http.StatusInternalServerError && resp.StatusCode != http.StatusTooManyRequests
}

// repeatable tells whether a call does no harm when it arrives twice: a GET, or a position, which
// its name and timestamp tell from another.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost:
		return r.URL.Path == "/vehicles/"
	}
	return false
}

// rewinds tells whether a request's body can be sent again.
func rewinds(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// another decides whether the last try is followed by one more, and after what wait. It retries
// what may go better elsewhere or later: no answer, a 5xx or a 429. It does not retry after the last
// try, for a caller that has gone, what was refused or given up on this side, where all is open, or
// where there is no time for the wait.
func (rt *retry) another(c *call) bool {
	resp, err := c.last.resp, c.last.err
	if good(resp, err) || c.tries >= rt.cfg.Attempts || c.ctx.Err() != nil || c.refused || final(err) {
		return false
	}
	c.wait = max(rt.rest(c), backoff(rt.cfg, c.tries-1, rt.random()))
	if c.wait >= c.deadline.Sub(clock()) {
		return false
	}
	if rt.endpoints != nil && !rt.endpoints.ready() {
		return false // what is known of the failure says more than a refusal would
	}
	if !rt.budget.spend() {
		rt.m.denied(c.ctx)
		return false
	}
	return true
}

// rest is how long the endpoint that answered last, and all others, ask to be left alone.
func (rt *retry) rest(c *call) time.Duration {
	asked := retryAfter(c.last.resp)
	if asked > 0 && rt.endpoints != nil {
		return rt.endpoints.leastRest(c.addr, asked)
	}
	return asked
}

// final tells whether an attempt that failed would fail again.
func final(err error) bool {
	_, large := errors.AsType[tooLarge](err)
	return large || isRefusal(err)
}

// backoff is the wait before retry n, from 0: drawn evenly from 0 to cfg.Backoff × 2ⁿ, at most
// cfg.BackoffMax ("full jitter").
func backoff(cfg RetryConfig, n int, draw float64) time.Duration {
	return time.Duration(draw * float64(min(cfg.BackoffMax, cfg.Backoff<<min(n, 20))))
}

// retryAfter is what an answer asks for in Retry-After, in seconds or as a date; 0 when it does
// not ask.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if text == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) { // as many as there are, then: longer than any call
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(clock()))
	}
	return 0
}
