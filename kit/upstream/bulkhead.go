package upstream

import (
	"context"
	"net/http"
	"sync/atomic"
)

// bulkhead refuses calls while limit calls are in flight, so that one slow upstream does not take all
// resources of the service. A call is in flight until its answer has been read.
type bulkhead struct {
	limit    int64
	inFlight atomic.Int64
	refused  func(context.Context) // called for each refusal
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

// enter counts a call and reports whether it may be made. A refused call is never counted, not even for a
// short time, so it cannot cause another refusal.
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
