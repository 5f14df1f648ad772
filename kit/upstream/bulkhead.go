package upstream

import (
	"context"
	"net/http"
	"sync/atomic"
)

// bulkhead refuses a call at once when limit calls are in flight, so that one slow upstream does not
// hold everything that its callers have. A call is in flight until its answer has been read.
type bulkhead struct {
	limit    int64
	inFlight atomic.Int64
	refused  func(context.Context) // is called for each refusal
	next     http.RoundTripper
}

func (b *bulkhead) RoundTrip(r *http.Request) (*http.Response, error) {
	if !b.enter() {
		b.refused(r.Context())
		return nil, errBulkhead
	}
	entered := true
	defer func() {
		if entered {
			b.leave()
		}
	}()
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if _, read := resp.Body.(*answered); !read {
		entered = false
		whenRead(resp, b.leave)
	}
	return resp, nil
}

// enter counts a call that may be made. A refused one is never counted, so that it keeps no other out.
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

func (b *bulkhead) leave() { b.inFlight.Add(-1) }
