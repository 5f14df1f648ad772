package cluster

import (
	"context"

	"k8s.io/client-go/dynamic"
)

// Read calls a function with a client of all kinds of objects. Its error is that of
// the function, explained.
func (c *Client) Read(ctx context.Context, read func(all dynamic.Interface) error) error {
	if err := c.Reach(ctx); err != nil {
		return err
	}
	return c.explain(read(c.dynamic))
}
