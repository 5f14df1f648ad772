package upstream

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// timeLeft is the header in which Envoy sends an upstream how many milliseconds its caller waits.
const timeLeft = "X-Envoy-Expected-Rq-Timeout-Ms"

// attemptTimeout bounds one attempt and sends the bound to the upstream. An attempt takes at most half
// of the time that the call has left, so that there is time for another and for the caller's own
// answer: where every hop does so, the innermost gives up first.
type attemptTimeout struct {
	limit time.Duration // 0: only what the call has left
	full  time.Duration // how long an attempt is configured to take
	sent  []string      // the header of an attempt that has all of limit, as most have
	next  http.RoundTripper
}

// newAttemptTimeout returns the stage for calls that take total at most; without a limit of its own an
// attempt has all that its call has left.
func newAttemptTimeout(limit, total time.Duration, next http.RoundTripper) attemptTimeout {
	a := attemptTimeout{limit: limit, full: limit, sent: milliseconds(limit), next: next}
	if limit == 0 {
		a.full = total
	}
	return a
}

// milliseconds returns a value of the header; 0 would be no limit.
func milliseconds(d time.Duration) []string {
	return []string{strconv.FormatInt(max(d.Milliseconds(), 1), 10)}
}

// An attempt with less than this part of its full time is shortened. The last tenth is what the nesting
// of equal time-outs takes away, and no caller's doing.
const shortenedPercent = 90

func (a attemptTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	begin := time.Now()
	limit := a.limitAt(r.Context(), begin)
	if limit <= 0 {
		return nil, shortened{context.DeadlineExceeded}
	}
	end := begin.Add(limit)
	ctx, cancel := context.WithDeadline(r.Context(), end)
	attempt := r.WithContext(ctx)
	sent := a.sent
	if limit != a.limit {
		sent = milliseconds(limit)
	}
	attempt.Header = with(r.Header, timeLeft, sent)
	resp, err := a.next.RoundTrip(attempt)
	if err == nil {
		whenRead(resp, cancel)
		return resp, nil
	}
	defer cancel()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = cause // more precise than the broken connection
	} else if !time.Now().Before(end) {
		err = context.DeadlineExceeded // the upstream gave up in time, and its end of the connection was faster than the timer
	}
	if limit < a.full*shortenedPercent/100 && errors.Is(err, context.DeadlineExceeded) {
		err = shortened{err}
	}
	return nil, err
}

// limitAt returns how long an attempt that begins now may take: whole milliseconds where there are
// any, as the header says them, so that the upstream never gives up before this side does.
func (a attemptTimeout) limitAt(ctx context.Context, now time.Time) time.Duration {
	limit := a.limit
	if deadline, ok := ctx.Deadline(); ok {
		left := deadline.Sub(now)
		if limit == 0 {
			limit = left
		} else {
			limit = min(limit, left/2)
		}
	}
	if limit > time.Millisecond {
		limit = limit.Truncate(time.Millisecond)
	}
	return limit
}

// with returns a copy of headers with name set to value.
func with(headers http.Header, name string, value []string) http.Header {
	h := make(http.Header, len(headers)+1)
	maps.Copy(h, headers)
	h[name] = value
	return h
}
