package upstream

import (
	"context"
	"time"
)

// call is one call's context, and what its attempts share.
type call struct {
	context.Context
	deadline time.Time // zero: the context's
	attempts int
	first    *outcome // of the first attempt, while the retry stage takes over
	tried    []string // addresses of endpoints
	room     [4]string
}

type callKey struct{}

// Deadline is when the call's time is over. Where a call's attempts are bounded nothing else ends
// it then: see totalTimeout.
func (c *call) Deadline() (time.Time, bool) {
	if c.deadline.IsZero() {
		return c.Context.Deadline()
	}
	return c.deadline, true
}

func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// newCall makes ctx a call's, with a deadline of its own unless that is zero.
func newCall(ctx context.Context, deadline time.Time) *call {
	c := &call{Context: ctx, deadline: deadline}
	c.tried = c.room[:0]
	return c
}

// callOf is the call that an attempt belongs to.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.(*call); ok {
		return c
	}
	return ctx.Value(callKey{}).(*call) // the total time-out, which is always there, makes it
}
