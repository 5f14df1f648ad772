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

// idleClose closes one connection once it has been idle for a time.
type idleClose struct {
	after time.Duration
	fires func() bool // reports whether the connection is to be closed

	mu    sync.Mutex
	timer *time.Timer // nil: a request is being served
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
	switch state {
	case http.StateIdle:
		c.start(conn)
	case http.StateActive:
		c.stop()
	default:
		s.conns.closing.Delete(conn)
		c.stop()
	}
}

// closeAfter closes the connection of r when it has been idle for a time, if fires then returns true. Of
// several times, the shortest counts. The next request, whoever sends it on this connection, stops the time,
// and its answer starts it again. The server sends no Connection: close, so a caller that sends its next
// request at the moment of closing loses it: the race behind a proxy's 503 with the flag UC.
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
	var timer *time.Timer
	timer = time.AfterFunc(c.after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer == timer && c.fires() {
			_ = conn.Close()
		}
	})
	c.timer = timer
}

func (c *idleClose) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.timer = nil
}
