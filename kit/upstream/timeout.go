package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// timeLeft is the header in which Envoy tells an upstream how many milliseconds its caller waits.
const timeLeft = "X-Envoy-Expected-Rq-Timeout-Ms"

// totalTimeout bounds a call with all its attempts and the reading of its answer.
type totalTimeout struct {
	limit time.Duration
	next  http.RoundTripper
	// Every attempt, its answer included, ends within what is left of the call's time, and so does
	// all else that takes time. A deadline is then enough, without a timer of the call's own.
	bounded bool
}

func (t totalTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.bounded {
		resp, err := t.next.RoundTrip(r.WithContext(newCall(r.Context(), t.until(r.Context()))))
		return resp, reason(r.Context(), err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), t.limit)
	resp, err := t.next.RoundTrip(r.WithContext(newCall(ctx, time.Time{}))) // from here on the request is the chain's own
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

// until is when a call that begins now has to be over, for its caller too.
func (t totalTimeout) until(ctx context.Context) time.Time {
	end := clock().Add(t.limit)
	if callers, ok := ctx.Deadline(); ok && callers.Before(end) {
		return callers
	}
	return end
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

// attemptTimeout bounds one attempt, and tells the upstream how long that is. An attempt takes at
// most half of the time that is left, so that there is time for another, and for the caller's own
// answer: where every hop does so, the innermost gives up first.
type attemptTimeout struct {
	limit time.Duration
	told  []string // limit, in the header
	next  http.RoundTripper
}

func newAttemptTimeout(limit time.Duration, next http.RoundTripper) attemptTimeout {
	return attemptTimeout{limit, milliseconds(limit), next}
}

// milliseconds is a header's value; 0 would be no limit.
func milliseconds(d time.Duration) []string {
	return []string{strconv.FormatInt(max(d.Milliseconds(), 1), 10)}
}

func (t attemptTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	limit, now := t.limit, clock()
	if deadline, ok := r.Context().Deadline(); ok {
		limit = min(limit, deadline.Sub(now)/2)
	}
	if limit <= 0 { // the context of a call without a timer would not end
		return nil, hurried{context.DeadlineExceeded}
	}
	// By the same clock reading: later, the call's own deadline might be the earlier one, and WithDeadline
	// would leave the timer to a call that has none.
	ctx, cancel := context.WithDeadline(r.Context(), now.Add(limit))
	defer cancel() // the whole answer has been read
	told := t.told
	if limit < t.limit {
		told = milliseconds(limit)
	}
	resp, err := t.next.RoundTrip(withHeader(r.WithContext(ctx), timeLeft, told))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // says better than the broken connection what happened
		if limit < t.limit/fairShare && errors.Is(err, context.DeadlineExceeded) {
			err = hurried{err}
		}
	}
	return resp, err
}

// An attempt that had less than this part of its limit, since its caller had no more time, tells
// nothing about the upstream when it ends without an answer: a slow upstream that used the time up
// must not open the breaker of the next.
const fairShare = 10

// hurried is the end of such an attempt.
type hurried struct{ error }

func (h hurried) Unwrap() error { return h.error }

// withHeader sets a header of a request that is already this stage's own copy; the headers are
// copied, since attempts share them.
func withHeader(r *http.Request, name string, value []string) *http.Request {
	h := make(http.Header, len(r.Header)+1)
	for k, v := range r.Header {
		h[k] = v
	}
	h[name] = value
	r.Header = h
	return r
}
