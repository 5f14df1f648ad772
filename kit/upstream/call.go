package upstream

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// call is one call on its way through the chain: the caller's request, which no stage writes to,
// and what its attempts share. Only its caller's goroutine touches it.
type call struct {
	r        *http.Request
	ctx      context.Context // its end ends the call, too
	deadline time.Time       // when the call has to be over

	tries   int           // as the retry stage counts them
	last    outcome       // of the latest try
	resumed bool          // go-retryablehttp has been told of the first
	refused bool          // the latest, on this side; it is not in last
	wait    time.Duration // before the next

	addr  string   // host:port of the endpoint that an attempt goes to; empty: the dialer's choice
	tried []string // endpoints that the call has been to
	room  [4]string
	url   url.URL // the first attempt's
}

// outcome is what has become of a try.
type outcome struct {
	resp *http.Response
	err  error
}

// attempter is a stage within the retry: it makes one attempt of a call.
type attempter interface {
	attempt(c *call) (*http.Response, error)
}

// newCall is r, to be over within limit and within its caller's patience.
func newCall(r *http.Request, limit time.Duration) *call {
	c := &call{r: r, ctx: r.Context(), deadline: clock().Add(limit)}
	if callers, ok := c.ctx.Deadline(); ok && callers.Before(c.deadline) {
		c.deadline = callers
	}
	c.tried = c.room[:0]
	return c
}

// timed is the call's context with a timer, for what waits.
func (c *call) timed() (context.Context, context.CancelFunc) {
	return context.WithDeadline(c.ctx, c.deadline)
}
