package cluster

import (
	"context"

	"k8s.io/client-go/dynamic"
)

// Read calls a function with a client of all kinds of objects. Its error is that of
// the function, explained.
func Read[T any](ctx context.Context, c *Client, read func(context.Context, dynamic.Interface) (T, error)) (T, error) {
	if err := c.Reach(ctx); err != nil {
		var none T
		return none, err
	}
	found, err := read(ctx, c.dynamic)
	return found, c.explain(err)
}
