package upstream

import (
	"context"
	"io"
	"net/http"
)

// withoutReplay returns r, with the context ctx, as a request that net/http does not send again by
// itself when the connection breaks on which it was sent. It would, as often as it has idle
// connections that turn out to be closed, and neither the retry budget nor a breaker would count it.
func withoutReplay(ctx context.Context, r *http.Request) *http.Request {
	r = r.WithContext(ctx)
	if !isReplayable(r) {
		return r
	}
	r.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		r.Body, r.TransferEncoding = once{}, identity
	}
	return r
}

// isReplayable reports whether net/http takes a request for one that it may send again: its
// Request.isReplayable.
func isReplayable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// once is the empty body of a request that net/http must not send again. On the wire it is no body at
// all: identity keeps net/http from probing whether there is one.
type once struct{}

func (once) Read([]byte) (int, error) { return 0, io.EOF }
func (once) Close() error             { return nil }

var identity = []string{"identity"}
