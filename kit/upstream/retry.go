package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// retry repeats calls that are safe to repeat. The first try, most often the only one, is made
// directly. When it has failed, go-retryablehttp takes the call over from that outcome on; what is
// a failure, how long to wait and whether the budget allows it is decided here.
type retry struct {
	client *retryablehttp.Client
	next   http.RoundTripper
	budget *budget
	unsafe bool
}

// newRetry makes tries of next while ready says that there is one to make.
func newRetry(cfg RetryConfig, b *budget, next http.RoundTripper, ready func() bool, random func() float64, m *instruments) *retry {
	return &retry{
		next: next, budget: b, unsafe: cfg.Unsafe,
		client: &retryablehttp.Client{
			HTTPClient: &http.Client{
				Transport:     resumed{next},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
			RetryMax:     cfg.Attempts - 1,
			RetryWaitMin: cfg.Backoff,
			RetryWaitMax: cfg.BackoffMax,
			CheckRetry:   policy{cfg.Attempts, b, ready, m}.check,
			Backoff: func(least, most time.Duration, n int, resp *http.Response) time.Duration {
				return wait(least, most, n, resp, random())
			},
			ErrorHandler: oneOf,
		},
	}
}

func (rt *retry) RoundTrip(r *http.Request) (*http.Response, error) {
	rt.budget.earn()
	if !rt.unsafe && !repeatable(r) {
		return rt.next.RoundTrip(r)
	}
	if err := makeRewindable(r); err != nil {
		return nil, err
	}
	resp, err := rt.next.RoundTrip(r)
	if good(resp, err) {
		return resp, err
	}
	return rt.resume(r, &outcome{resp, err})
}

// resume lets go-retryablehttp go on with a call whose first try has failed.
func (rt *retry) resume(r *http.Request, first *outcome) (*http.Response, error) {
	callOf(r.Context()).first = first
	deadline, _ := r.Context().Deadline()
	ctx, cancel := context.WithDeadline(r.Context(), deadline) // waits end with the call's time, too
	defer cancel()                                             // the whole answer has been read
	r = r.WithContext(ctx)                                     // a copy: the first try's connection may still hold the other
	r.RequestURI = ""                                          // of a request that a proxy passes on; http.Client refuses it
	if r.GetBody != nil {
		r.Body, _ = r.GetBody() // a buffer's, which has no errors
	}
	req, err := retryablehttp.FromRequest(r)
	if err != nil {
		return nil, err
	}
	resp, err := rt.client.Do(req)
	if told, ok := errors.AsType[*url.Error](err); ok {
		err = told.Err // http.Client's, of what the caller knows
	}
	return resp, err
}

// outcome is what has become of a try.
type outcome struct {
	resp *http.Response
	err  error
}

// resumed makes the tries after the first, whose outcome it only tells.
type resumed struct{ next http.RoundTripper }

func (t resumed) RoundTrip(r *http.Request) (*http.Response, error) {
	call := callOf(r.Context())
	if first := call.first; first != nil {
		call.first = nil
		return first.resp, first.err
	}
	return t.next.RoundTrip(r)
}

// makeRewindable keeps a body that can be sent once only, such as one that a proxy passes on.
func makeRewindable(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody || r.GetBody != nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return err
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return nil
}

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

// policy decides whether an attempt is followed by another.
type policy struct {
	attempts int
	budget   *budget
	ready    func() bool
	m        *instruments
}

// check retries what may go better elsewhere or later: no answer, or a 5xx. It does not retry
// after the last try, for a caller that has gone, a refusal of this side's own, where all is open,
// or an upstream that asks for more time than is left.
func (p policy) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if good(resp, err) {
		return false, nil
	}
	call := callOf(ctx)
	call.attempts++
	if _, refused := errors.AsType[refusal](err); refused || call.attempts >= p.attempts || ctx.Err() != nil {
		return false, err
	}
	if deadline, ok := ctx.Deadline(); ok && retryAfter(resp) >= time.Until(deadline) {
		return false, err
	}
	if !p.ready() {
		return false, err // what is known of the failure says more than a refusal would
	}
	if !p.budget.spend() {
		p.m.denied(ctx)
		return false, err
	}
	p.m.retried(ctx)
	return true, nil
}

// wait is how long to wait before retry n, from 0: what the upstream asks for, else a time drawn
// evenly from 0 to least × 2ⁿ, at most most ("full jitter").
func wait(least, most time.Duration, n int, resp *http.Response, draw float64) time.Duration {
	if after := retryAfter(resp); after > 0 {
		return after
	}
	return time.Duration(draw * float64(min(most, least<<min(n, 20))))
}

// retryAfter is what an answer asks for in Retry-After, in seconds or as a date; 0 when it does
// not ask.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) { // as many as there are, then: longer than any call
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// oneOf makes the last attempt the answer: a response or an error, never both.
func oneOf(resp *http.Response, err error, _ int) (*http.Response, error) {
	if err != nil && resp != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
		_ = resp.Body.Close()
		resp = nil
	}
	return resp, err
}
