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

// crowd bounds the connections of a listener, and so the memory that callers can take by opening
// many and sending little. A request on a connection above most is answered 503; a connection above
// most and a quarter is closed as soon as it is accepted.
type crowd struct {
	most int64
	open atomic.Int64
}

// aboveKey marks the context of a connection above the bound.
type aboveKey struct{}

// accepted is http.Server's ConnContext.
func (c *crowd) accepted(ctx context.Context, conn net.Conn) context.Context {
	open := c.open.Add(1)
	if open > c.most+c.most/4 {
		_ = conn.Close() // http.Server sees that, and calls changed
	}
	if open > c.most {
		return context.WithValue(ctx, aboveKey{}, true)
	}
	return ctx
}

// changed is http.Server's ConnState.
func (c *crowd) changed(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		c.open.Add(-1)
	}
}

// refuse answers requests on connections above the bound, and closes these.
func (c *crowd) refuse(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(aboveKey{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		apierror.Answer(w, r, apierror.New(http.StatusServiceUnavailable, "connections: %d: must be at most %d (MAX_CONNECTIONS)", c.open.Load(), c.most))
	})
}

// Bodies that are being read may take bodyPool bytes in all, or the largest one where that is more;
// the first freeBody bytes of each are not counted.
const (
	bodyPool = 16 << 20
	freeBody = 4 << 10
)

// pool counts the bytes of all bodies under way.
type pool struct {
	size int64
	used atomic.Int64
}

// take reports whether there was room for n more bytes.
func (p *pool) take(n int64) bool {
	if p.used.Add(n) > p.size {
		p.used.Add(-n)
		return false
	}
	return true
}

// limitMemory has the collector work harder near the limit of the process's control group, as
// GOMEMLIMIT would, which wins. Without a limit it does nothing.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return
	}
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // "max" is no limit
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
