package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// timeLeft is the header in which Envoy tells an upstream how many milliseconds its caller waits.
const timeLeft = "X-Envoy-Expected-Rq-Timeout-Ms"

// totalTimeout bounds a call with all its attempts and the reading of its answer.
type totalTimeout struct {
	limit time.Duration
	next  attempter
	// Every attempt, its answer included, ends within what is left of the call's time, and so does
	// all else that takes time. A deadline is then enough, without a timer of the call's own.
	bounded bool
}

func (t totalTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	c := newCall(r, t.limit)
	if t.bounded {
		resp, err := t.next.attempt(c)
		return resp, reason(r.Context(), err)
	}
	ctx, cancel := c.timed()
	c.ctx = ctx
	resp, err := t.next.attempt(c)
	if err != nil {
		err = reason(ctx, err)
		cancel()
		return nil, err
	}
	if _, read := resp.Body.(*answered); read {
		cancel()
	} else {
		resp.Body = &cancelOnClose{resp.Body, cancel}
	}
	return resp, nil
}

// reason is why ctx has ended, which says better than the broken connection what happened; err
// where it has not.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// cancelOnClose frees a call's timer when its answer has been read.
type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelOnClose) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// oneAttempt makes an attempt's own request, bounds it, and tells the upstream how long it has. An
// attempt takes at most half of the time that is left, so that there is time for another, and for
// the caller's own answer: where every hop does so, the innermost gives up first.
type oneAttempt struct {
	limit time.Duration // 0: the call's alone
	told  []string      // limit, in the header
	tell  bool
	alone bool // net/http makes no attempts of its own beside this one
	next  http.RoundTripper
}

func newAttempt(cfg Config, next http.RoundTripper) oneAttempt {
	return oneAttempt{cfg.AttemptTimeout, cfg.told(), cfg.inAttempts(), cfg.Retry.Attempts > 1, next}
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
	now := clock()
	left := c.deadline.Sub(now)
	if a.limit == 0 {
		return a.next.RoundTrip(a.request(c, c.ctx, a.says(left)))
	}
	limit, told := a.limit, a.told
	if limit > left/2 {
		limit = left / 2
		told = a.says(limit)
	}
	if limit <= 0 {
		return nil, hurried{context.DeadlineExceeded}
	}
	ctx, cancel := context.WithDeadline(c.ctx, now.Add(limit))
	defer cancel() // the whole answer has been read
	resp, err := a.next.RoundTrip(a.request(c, ctx, told))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // says better than the broken connection what happened
		if limit < a.limit/fairShare && errors.Is(err, context.DeadlineExceeded) {
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

// An attempt that had less than this part of its limit, since its caller had no more time, tells
// nothing about the upstream when it ends without an answer: a slow upstream that used the time up
// must not open the breaker of the next.
const fairShare = 10

// hurried is the end of such an attempt.
type hurried struct{ error }

func (h hurried) Unwrap() error { return h.error }

// request is an attempt's own: sent to its endpoint under the upstream's name. An attempt before
// it may still be on its connection, so it shares only what neither writes.
func (a oneAttempt) request(c *call, ctx context.Context, told []string) *http.Request {
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
	if r.GetBody != nil && c.tries > 1 {
		r.Body, _ = r.GetBody() // a buffer's, which has no errors
	}
	if given := r.Header[timeLeft]; told != nil && (len(given) != 1 || given[0] != told[0]) {
		r.Header = with(r.Header, timeLeft, told)
	}
	if a.alone {
		r.GetBody = nil
		if r.Body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			r.Body, r.TransferEncoding = once{}, identity
		}
	}
	return r
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
