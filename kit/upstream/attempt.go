package upstream

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// timeLeft is the header in which Envoy sends an upstream how long the caller waits, in milliseconds.
const timeLeft = "X-Envoy-Expected-Rq-Timeout-Ms"

// attemptTimeout limits the time of one attempt and sends the limit to the upstream. An attempt with a
// limit takes at most half of the time that the call has left. The other half is for another attempt and
// for the answer to the caller. If every hop does so, the innermost one gives up first.
type attemptTimeout struct {
	limit time.Duration // 0: the time that the call has left
	full  time.Duration // longest time of an attempt by configuration
	sent  []string      // value of the header for limit, the most frequent one
	next  http.RoundTripper
}

// newAttemptTimeout returns the stage for calls that take at most total. If limit is 0, an attempt may
// take all the time that its call has left.
func newAttemptTimeout(limit, total time.Duration, next http.RoundTripper) attemptTimeout {
	a := attemptTimeout{limit: limit, full: limit, sent: milliseconds(limit), next: next}
	if limit == 0 {
		a.full = total
	}
	return a
}

// milliseconds returns the header's value for d: at least 1, because 0 means no limit.
func milliseconds(d time.Duration) []string {
	return []string{strconv.FormatInt(max(d.Milliseconds(), 1), 10)}
}

// shortenedPercent is the part of its full time below which an attempt is shortened. It is not 100,
// because nested timeouts of equal length take some time of each other.
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
		err = cause // more precise than the error of the connection
	} else if !time.Now().Before(end) {
		err = context.DeadlineExceeded // the upstream closed the connection at its timeout, before this timer fired
	}
	if limit < a.full*shortenedPercent/100 && errors.Is(err, context.DeadlineExceeded) {
		err = shortened{err}
	}
	return nil, err
}

// limitAt returns the longest time of an attempt that begins at now. Above 1 ms it is truncated to
// milliseconds, the unit of the header, so that the upstream does not give up before this side.
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
