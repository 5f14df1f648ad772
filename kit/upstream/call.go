package upstream

import "context"

// call is one call's context, and what its attempts share.
type call struct {
	context.Context
	attempts int
	tried    []string // addresses of endpoints
	room     [4]string
}

type callKey struct{}

func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// newCall makes ctx a call's.
func newCall(ctx context.Context) *call {
	c := &call{Context: ctx}
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
