package upstream

import (
	"cmp"
	"context"
	"io"
	"net/http"
)

// withoutReplay returns r with the context ctx, changed so that net/http does not send it again after a
// broken connection. net/http repeats some requests once for each idle connection that turns out to be
// closed, which neither the retry budget nor a breaker would count. net/http may still move a request of which it
// has written nothing to another connection.
func withoutReplay(ctx context.Context, r *http.Request) *http.Request {
	r = r.WithContext(ctx)
	if !isReplayable(r) {
		return r
	}
	r.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		r.Body, r.TransferEncoding = unreplayable{}, identity
	}
	return r
}

// isReplayable reports whether net/http may send a request again. It has the methods and headers of
// net/http's Request.isReplayable; withoutReplay sees to the body.
func isReplayable(r *http.Request) bool {
	switch cmp.Or(r.Method, http.MethodGet) {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// unreplayable is an empty body that keeps net/http from sending its request again. With the transfer
// encoding identity, net/http neither reads the body to find out whether it is empty, nor sends one. Without
// WriteTo, it would allocate a buffer of 32 kB to copy the body.
type unreplayable struct{}

func (unreplayable) Read([]byte) (int, error)         { return 0, io.EOF }
func (unreplayable) WriteTo(io.Writer) (int64, error) { return 0, nil }
func (unreplayable) Close() error                     { return nil }

var identity = []string{"identity"}
