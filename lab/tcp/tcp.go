// Package tcp listens, joins connections, and serves HTTP on them.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Serve serves HTTP at a listener until ctx ends, which the contexts of all requests do then, too.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %v: %w", listener.Addr(), err)
	}
	return nil
}

// inheritedFor is how long Listen tries again: fifty times what the start of a process takes on a busy machine.
const inheritedFor = time.Second

// Listen listens at an address. A process that this program starts has copies of its listeners until it executes
// another program, so a port that this program has just closed may be in use for some milliseconds.
func Listen(address string) (net.Listener, error) {
	for end := time.Now().Add(inheritedFor); ; time.Sleep(time.Millisecond) {
		listener, err := net.Listen("tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return listener, err
		}
	}
}

// Accept calls serve with each connection until the listener is closed. After another error, such as too many open
// files, it tries again: some will be closed.
func Accept(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			serve(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Accepts reports whether an address accepts a connection within a time.
func Accepts(ctx context.Context, address string, within time.Duration) bool {
	conn, err := (&net.Dialer{Timeout: within}).DialContext(ctx, "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// Join copies between two connections until both have ended. A reset of one resets the other.
func Join(a, b *net.TCPConn) {
	var both sync.WaitGroup
	for _, direction := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		both.Go(func() {
			from, to := direction[0], direction[1]
			if _, err := io.Copy(to, from); err != nil {
				if errors.Is(err, syscall.ECONNRESET) {
					_ = from.SetLinger(0)
					_ = to.SetLinger(0)
				}
				from.Close()
				to.Close()
			}
			_ = to.CloseWrite() // the other direction may have more to say
		})
	}
	both.Wait()
}
