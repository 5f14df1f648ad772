package local

import (
	"net"
	"sync"
	"time"

	"fleetman.example/lab/tcp"
)

// connections are those that a forwarder or a relay passes on. The zero value has none.
type connections struct {
	passing sync.WaitGroup

	mu     sync.Mutex
	open   map[*net.TCPConn]struct{}
	closed bool
}

// accept calls pass with each connection, in a goroutine of its own, until the listener is closed. It closes
// the connection when pass returns.
func (c *connections) accept(listener net.Listener, pass func(client *net.TCPConn)) {
	c.passing.Go(func() {
		tcp.Accept(listener, func(conn net.Conn) {
			c.passing.Go(func() {
				if client := conn.(*net.TCPConn); c.track(client) {
					defer c.untrack(client)
					pass(client)
				}
			})
		})
	})
}

// dial connects to address for a client, and calls join with the connection. If it cannot, it resets the
// client's. On loopback it keeps the client's address, so that a hash of it works.
func (c *connections) dial(client *net.TCPConn, address string, join func(server *net.TCPConn)) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if from := client.RemoteAddr().(*net.TCPAddr).IP; from.IsLoopback() && !from.Equal(net.IPv4(127, 0, 0, 1)) {
		dialer.LocalAddr = &net.TCPAddr{IP: from}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	if server := conn.(*net.TCPConn); c.track(server) {
		defer c.untrack(server)
		join(server)
	}
}

// track adds a connection. It closes it and returns false after close.
func (c *connections) track(conn *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return false
	}
	if c.open == nil {
		c.open = map[*net.TCPConn]struct{}{}
	}
	c.open[conn] = struct{}{}
	return true
}

func (c *connections) untrack(conn *net.TCPConn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// reset resets all connections.
func (c *connections) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open { // all first: closing one ends the other of its pair
		_ = conn.SetLinger(0)
	}
	for conn := range c.open {
		conn.Close()
	}
}

// close closes all connections, after the caller has closed the listener, and waits until none is passed on.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	for conn := range c.open {
		conn.Close()
	}
	c.mu.Unlock()
	c.passing.Wait()
}
