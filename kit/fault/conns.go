package fault

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns closes connections that are idle, for the fault Idle.
type conns struct{ closing sync.Map } // net.Conn: *idleClose

// idleClose closes one connection after one request.
type idleClose struct {
	after time.Duration
	fires func() bool // reports whether the connection is to be closed

	mu    sync.Mutex
	timer *time.Timer // nil: the request is not yet answered
	over  bool        // the connection is closed or serves the next request
}

type connKey struct{}

// ConnContext must be called by the http.Server's function of this name, or be it.
func (s *Set) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// ConnState must be called by the http.Server's function of this name, or be it.
func (s *Set) ConnState(conn net.Conn, state http.ConnState) {
	value, ok := s.conns.closing.Load(conn)
	if !ok {
		return
	}
	c := value.(*idleClose)
	if state == http.StateIdle {
		c.start(conn)
		return
	}
	s.conns.closing.Delete(conn)
	c.stop()
}

// closeAfter closes the connection of r when it has been idle for a time, if fires then returns true. Of
// several times, the shortest counts. The server sends no Connection: close, so a caller that sends its
// next request at that moment loses it: the race behind a proxy's 503 with the flag UC.
func (c *conns) closeAfter(r *http.Request, after time.Duration, fires func() bool) {
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok { // not a net/http server's request
		return
	}
	if other, ok := c.closing.Load(conn); ok && other.(*idleClose).after <= after {
		return
	}
	c.closing.Store(conn, &idleClose{after: after, fires: fires})
}

func (c *idleClose) start(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(c.after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.over && c.fires() {
			_ = conn.Close()
		}
		c.over = true
	})
}

func (c *idleClose) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
