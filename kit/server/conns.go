package server

import (
	"context"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"fleetman.example/kit/apierror"
)

// connLimit limits the connections of a listener, and so the memory that callers can use by opening
// connections and sending little. Requests on a connection above max are answered 503. A connection
// above 1.25 max is closed when it is accepted.
type connLimit struct {
	max  int64
	open atomic.Int64
}

// aboveKey marks the context of a connection above the limit.
type aboveKey struct{}

// accepted is http.Server's ConnContext.
func (c *connLimit) accepted(ctx context.Context, conn net.Conn) context.Context {
	open := c.open.Add(1)
	if open > c.max+c.max/4 {
		_ = conn.Close() // http.Server then calls changed
	}
	if open > c.max {
		return context.WithValue(ctx, aboveKey{}, true)
	}
	return ctx
}

// changed is http.Server's ConnState.
func (c *connLimit) changed(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		c.open.Add(-1)
	}
}

// refuse returns next, except that a request on a connection above the limit is answered 503 and its
// connection closed.
func (c *connLimit) refuse(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(aboveKey{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		apierror.Answer(w, r, apierror.New(http.StatusServiceUnavailable, "connections: %d: must be at most %d (MAX_CONNECTIONS)", c.open.Load(), c.max))
	})
}

const (
	// bodyPool is the size of the pool, in bytes, unless MAX_BODY_BYTES is larger.
	bodyPool = 16 << 20
	// freeBody is how many bytes of each body do not count.
	freeBody = 4 << 10
)

// pool limits the memory of all request bodies that are being handled, in bytes.
type pool struct {
	size int64
	used atomic.Int64
}

// take takes n bytes and reports whether they were available.
func (p *pool) take(n int64) bool {
	if p.used.Add(n) > p.size {
		p.used.Add(-n)
		return false
	}
	return true
}

// limitMemory sets the soft memory limit to nine tenths of the control group's limit, if there is one.
// GOMEMLIMIT takes precedence.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return
	}
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // an error for "max"
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
