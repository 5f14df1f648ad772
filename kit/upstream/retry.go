package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// retry repeats calls that are safe to repeat. go-retryablehttp makes all attempts, including the first;
// its policy decides which calls are repeated, after what wait, and within the budget.
type retry struct {
	cfg      RetryConfig
	attempts *http.Client // makes one attempt
	policies sync.Pool    // of *policy
	budget   *budget
	// begin returns the context that the attempts of one call share.
	begin func(context.Context) context.Context
	// rest returns the shortest wait after a failed attempt with the answer resp, nil for none.
	rest func(resp *http.Response) time.Duration
	// ready reports whether another attempt may be made.
	ready   func(r *http.Request) bool
	random  func() float64                           // in [0, 1)
	retried func(ctx context.Context, reason string) // called for each retry
	denied  func(ctx context.Context, reason string) // called for each retry that the budget does not allow
	// waited is called after each wait, also if the caller left during it. reason is that of the failed
	// attempt.
	waited func(ctx context.Context, began time.Time, reason string)
}

func newRetry(cfg RetryConfig, random func() float64, next http.RoundTripper) *retry {
	rt := &retry{
		cfg: cfg,
		attempts: &http.Client{
			Transport:     next,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // redirects are not followed
		},
		budget:  newBudget(cfg.BudgetPercent),
		rest:    retryAfter,
		ready:   func(*http.Request) bool { return true },
		random:  random,
		retried: func(context.Context, string) {},
		denied:  func(context.Context, string) {},
		waited:  func(context.Context, time.Time, string) {},
		begin:   func(ctx context.Context) context.Context { return ctx },
	}
	rt.policies.New = rt.newPolicy
	return rt
}

func (rt *retry) RoundTrip(r *http.Request) (*http.Response, error) {
	rt.budget.earn()
	if !rt.cfg.Unsafe && !isRepeatable(r) || !isRewindable(r) {
		return rt.attempts.Transport.RoundTrip(withoutReplay(r.Context(), r))
	}
	request, err := retryable(rt.begin(r.Context()), r)
	if err != nil {
		return nil, err
	}
	p := rt.policies.Get().(*policy)
	p.request = r
	resp, err := p.client.Do(request)
	if p.reserved { // the caller left during the wait
		rt.budget.giveBack()
		rt.waited(request.Context(), p.since, p.reason)
	}
	p.request, p.failed, p.reserved, p.reason = nil, 0, false, ""
	rt.policies.Put(p)
	if wrapped, ok := errors.AsType[*url.Error](err); ok { // added by http.Client
		err = wrapped.Err
	}
	return resp, err
}

// retryable returns r as a request of go-retryablehttp, which gets a new body for each attempt.
func retryable(ctx context.Context, r *http.Request) (*retryablehttp.Request, error) {
	request := &retryablehttp.Request{Request: withoutReplay(ctx, r)}
	request.RequestURI = "" // set by a reverse proxy, rejected by http.Client
	if r.ContentLength == 0 {
		return request, nil
	}
	err := request.SetBody(retryablehttp.ReaderFunc(func() (io.Reader, error) { return r.GetBody() }))
	request.ContentLength, request.GetBody = r.ContentLength, nil
	return request, err
}

// isRepeatable reports whether a call is safe to repeat: a GET or HEAD, or a report, which is identified by
// its name and timestamp.
func isRepeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost:
		return r.URL.Path == "/vehicles/"
	}
	return false
}

// isRewindable reports whether the body of a request can be sent again.
func isRewindable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// policy is a client of go-retryablehttp whose hooks decide on the retries of one call at a time.
type policy struct {
	*retry
	client   retryablehttp.Client
	request  *http.Request // of the call
	failed   int           // attempts of the call that have ended
	reserved bool          // a retry has been taken from the budget, but not made yet
	reason   string        // of the last failed attempt
	since    time.Time     // the begin of the last wait
}

func (rt *retry) newPolicy() any {
	p := &policy{retry: rt}
	p.client = retryablehttp.Client{
		HTTPClient:   rt.attempts,
		RetryMax:     rt.cfg.Attempts - 1,
		RetryWaitMin: rt.cfg.Backoff,
		RetryWaitMax: rt.cfg.BackoffMax,
		CheckRetry:   p.check,
		Backoff:      p.backoff,
		PrepareRetry: p.prepare,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return p
}

// check is the CheckRetry hook. It allows a retry if another attempt may succeed, the caller has not left,
// the longest wait ends before the deadline, and the budget has a retry.
func (p *policy) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	o := outcome{resp, err}
	p.failed++
	if o.succeeded() || o.isFinal() || p.failed >= p.cfg.Attempts || ctx.Err() != nil {
		return false, nil
	}
	longest := max(p.rest(resp), backoff(p.cfg.Backoff, p.cfg.BackoffMax, p.failed-1, 1))
	if deadline, ok := ctx.Deadline(); ok && longest >= time.Until(deadline) || !p.ready(p.request) {
		return false, nil
	}
	p.reason = o.reason()
	if !p.budget.spend() {
		p.denied(ctx, p.reason)
		return false, nil
	}
	p.reserved, p.since = true, time.Now()
	return true, nil
}

// backoff is the Backoff hook.
func (p *policy) backoff(least, most time.Duration, n int, resp *http.Response) time.Duration {
	return max(p.rest(resp), backoff(least, most, n, p.random()))
}

// prepare is the PrepareRetry hook, which is called after the wait.
func (p *policy) prepare(r *http.Request) error {
	p.reserved = false
	p.waited(r.Context(), p.since, p.reason)
	p.retried(r.Context(), p.reason)
	return nil
}

// backoff returns the wait before retry n, counted from 0: jitter × min(first × 2ⁿ, most). jitter is a random
// number in [0, 1) ("full jitter"), or 1 for the longest wait.
func backoff(first, most time.Duration, n int, jitter float64) time.Duration {
	return time.Duration(jitter * float64(min(most, first<<min(n, 20))))
}

// retryAfter returns the time until an answer's Retry-After, in seconds or as a date; 0 without one.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if text == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range: seconds is the largest value
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
