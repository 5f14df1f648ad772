package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
)

// bulkhead refuses a call at once when limit calls are under way, so that one slow upstream does
// not hold everything that its callers have.
type bulkhead struct {
	limit    int64
	inFlight atomic.Int64
	next     attempter
	refused  func(context.Context)
}

func (b *bulkhead) attempt(c *call) (*http.Response, error) {
	if !b.enter() {
		b.refused(c.ctx)
		return nil, errBulkhead
	}
	defer b.inFlight.Add(-1)
	return b.next.attempt(c)
}

// enter counts a call that may be made. One that may not is never counted, so that it keeps no
// other out.
func (b *bulkhead) enter() bool {
	for {
		n := b.inFlight.Load()
		if n >= b.limit {
			return false
		}
		if b.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// refusal is a call that this side did not make.
type refusal string

func (e refusal) Error() string { return string(e) }

func isRefusal(err error) bool {
	_, refused := errors.AsType[refusal](err)
	return refused
}

// Reason is what metrics and callers are told (see observe.Reason).
func (e refusal) Reason() string { return string(e) }

const (
	errBulkhead = refusal("too many concurrent calls") // the bulkhead's
	errOpen     = refusal("circuit open")              // the breakers': no endpoint may be called
)
