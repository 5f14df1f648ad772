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

// retry repeats calls that are safe to repeat, by go-retryablehttp, which makes every attempt from the
// first on. What is repeated, after what wait and within which budget is decided here.
type retry struct {
	cfg      RetryConfig
	attempts *http.Client // makes one attempt
	policies sync.Pool    // of *policy
	budget   *budget
	// begin returns the context that the attempts of one call share.
	begin func(context.Context) context.Context
	// rest returns how long a call has to wait after a failed attempt, resp nil where it had no answer;
	// ready reports whether there is any use in another.
	rest    func(resp *http.Response) time.Duration
	ready   func(r *http.Request) bool
	random  func() float64
	retried func(context.Context) // is called for each retry
	denied  func(context.Context) // is called for each retry that the budget did not allow
}

func newRetry(cfg RetryConfig, random func() float64, next http.RoundTripper) *retry {
	rt := &retry{
		cfg: cfg,
		attempts: &http.Client{
			Transport:     next,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it is an answer as any other
		},
		budget:  newBudget(cfg.BudgetPercent),
		rest:    retryAfter,
		ready:   func(*http.Request) bool { return true },
		random:  random,
		retried: func(context.Context) {},
		denied:  func(context.Context) {},
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
	if p.reserved { // the caller left in the wait
		rt.budget.giveBack()
	}
	p.request, p.failed, p.reserved = nil, 0, false
	rt.policies.Put(p)
	if wrapped, ok := errors.AsType[*url.Error](err); ok { // http.Client's
		err = wrapped.Err
	}
	return resp, err
}

// retryable returns r as go-retryablehttp takes it, its body to be had anew for each attempt.
func retryable(ctx context.Context, r *http.Request) (*retryablehttp.Request, error) {
	request := &retryablehttp.Request{Request: withoutReplay(ctx, r)}
	request.RequestURI = "" // a proxy's request has one, which http.Client refuses
	if r.ContentLength == 0 {
		return request, nil
	}
	err := request.SetBody(retryablehttp.ReaderFunc(func() (io.Reader, error) { return r.GetBody() }))
	request.ContentLength, request.GetBody = r.ContentLength, nil
	return request, err
}

// isRepeatable reports whether a call does no harm when it arrives twice: a GET, or a position, whose
// name and timestamp identify it.
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

// policy is go-retryablehttp's client with the hooks of one call at a time: they decide on its retries.
type policy struct {
	*retry
	client   retryablehttp.Client
	request  *http.Request
	failed   int  // attempts of the call
	reserved bool // the budget's retry for one that has not been made yet
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

// check is the CheckRetry hook. It allows a retry where another attempt may end better, the caller is
// there, the longest wait before it ends in time, and the budget has one.
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
	if !p.budget.spend() {
		p.denied(ctx)
		return false, nil
	}
	p.reserved = true
	return true, nil
}

// backoff is the Backoff hook.
func (p *policy) backoff(least, most time.Duration, n int, resp *http.Response) time.Duration {
	return max(p.rest(resp), backoff(least, most, n, p.random()))
}

// prepare is the PrepareRetry hook, called when the wait is over.
func (p *policy) prepare(r *http.Request) error {
	p.reserved = false
	p.retried(r.Context())
	return nil
}

// backoff returns the wait before retry n, from 0: draw × first × 2ⁿ, at most draw × most ("full
// jitter").
func backoff(first, most time.Duration, n int, draw float64) time.Duration {
	return time.Duration(draw * float64(min(most, first<<min(n, 20))))
}

// retryAfter returns what an answer asks for in Retry-After, in seconds or as a date; 0 when it asks
// for nothing.
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
		return max(0, time.Until(at))
	}
	return 0
}
