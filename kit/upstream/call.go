package upstream

import "context"

// call is what the attempts of one call share.
type call struct {
	attempts int
	tried    []string // addresses of endpoints
	room     [4]string
}

type callKey struct{}

func withCall(ctx context.Context) context.Context {
	c := new(call)
	c.tried = c.room[:0]
	return context.WithValue(ctx, callKey{}, c)
}

// callOf is the call that an attempt belongs to; one that is not retried is a call of its own.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return new(call)
}
