package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// timeLeft is the header in which Envoy tells an upstream how many milliseconds its caller waits.
const timeLeft = "X-Envoy-Expected-Rq-Timeout-Ms"

// oneAttempt makes an attempt's own request, bounds it, and tells the upstream how long it has. An
// attempt takes at most half of the time that is left, so that there is time for another, and for
// the caller's own answer: where every hop does so, the innermost gives up first.
type oneAttempt struct {
	limit time.Duration // 0: the call's alone
	usual time.Duration // how long an attempt may take
	told  []string      // limit, in the header
	tell  bool
	alone bool // net/http makes no attempts of its own beside this one
	next  http.RoundTripper
}

func newAttempt(cfg Config, next http.RoundTripper) oneAttempt {
	a := oneAttempt{limit: cfg.AttemptTimeout, usual: cfg.AttemptTimeout, told: cfg.told(), tell: cfg.inAttempts(), alone: cfg.Retry.Attempts > 1, next: next}
	if a.limit == 0 {
		a.usual = cfg.Timeout
	}
	return a
}

// told is the header of a call that has all the time of an attempt; nil without a bound.
func (c Config) told() []string {
	if c.AttemptTimeout == 0 {
		return nil
	}
	return milliseconds(c.AttemptTimeout)
}

// milliseconds is a header's value; 0 would be no limit.
func milliseconds(d time.Duration) []string {
	return []string{strconv.FormatInt(max(d.Milliseconds(), 1), 10)}
}

func (a oneAttempt) attempt(c *call) (*http.Response, error) {
	now, ctx, told := clock(), c.ctx, a.told
	left := c.deadline.Sub(now)
	limit := min(a.limit, left/2)
	if a.limit == 0 {
		limit = left
	}
	if limit <= 0 {
		return nil, hurried{context.DeadlineExceeded}
	}
	if limit != a.limit {
		told = a.says(limit)
	}
	if a.limit > 0 {
		timed, cancel := context.WithDeadline(ctx, now.Add(limit))
		defer cancel() // the whole answer has been read
		ctx = timed
	}
	r, err := a.request(c, ctx, told)
	if err != nil {
		return nil, err
	}
	resp, err := a.next.RoundTrip(r)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // says better than the broken connection what happened
		if limit < a.usual/fairShare && errors.Is(err, context.DeadlineExceeded) {
			err = hurried{err}
		}
	}
	return resp, err
}

// says is the header of an attempt that has less than its limit, or no limit; nil tells nothing.
func (a oneAttempt) says(left time.Duration) []string {
	if !a.tell {
		return nil
	}
	return milliseconds(left)
}

// An attempt that had less than this part of its usual time, since its caller had no more time, tells
// nothing about the upstream when it ends without an answer: a slow upstream that used the time up
// must not open the breaker of the next.
const fairShare = 10

// hurried is the end of such an attempt.
type hurried struct{ error }

func (h hurried) Unwrap() error { return h.error }

// request is an attempt's own: sent to its endpoint under the upstream's name. An attempt before
// it may still be on its connection, so it shares only what neither writes.
func (a oneAttempt) request(c *call, ctx context.Context, told []string) (*http.Request, error) {
	r := c.r.WithContext(ctx)
	if c.addr != "" {
		if r.Host == "" {
			r.Host = r.URL.Host
		}
		u := &c.url
		if c.tries > 1 {
			u = new(url.URL)
		}
		*u = *c.r.URL
		u.Host = c.addr
		r.URL = u
	}
	if c.tries > 1 && r.Body != nil && r.GetBody != nil {
		var err error
		if r.Body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("body, again: %w", err)
		}
	}
	if given := r.Header[timeLeft]; told != nil && (len(given) != 1 || given[0] != told[0]) {
		r.Header = with(r.Header, timeLeft, told)
	}
	if a.alone && replays(r) {
		r.GetBody = nil
		if r.Body == nil || r.Body == http.NoBody {
			r.Body, r.TransferEncoding = once{}, identity
		}
	}
	return r, nil
}

// replays tells whether net/http takes a request for one that it may send again by itself, when
// the connection breaks on which it was sent: its Request.isReplayable.
func replays(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// with is a copy of headers with one more.
func with(headers http.Header, name string, value []string) http.Header {
	h := make(http.Header, len(headers)+1)
	for k, v := range headers {
		h[k] = v
	}
	h[name] = value
	return h
}

// once is the empty body of a request that net/http must not send again. It would, as often as it
// has idle connections that turn out to be closed, where there is no body or a way to have it
// anew, and neither budget nor breaker would hear of it. On the wire it is no body at all: identity
// keeps net/http from looking whether there is one.
type once struct{}

func (once) Read([]byte) (int, error) { return 0, io.EOF }
func (once) Close() error             { return nil }

var identity = []string{"identity"}
