// Package relay passes connections on to other addresses, as an HTTP proxy for CONNECT does. In the network of
// a pod it makes connections that are the pod's own: its proxy routes them, and they have its identity.
package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"fleetman.example/lab/tcp"
)

// dialTimeout bounds a connection to the target.
const dialTimeout = 10 * time.Second

// Serve accepts connections until the context ends.
func Serve(ctx context.Context, listener net.Listener) error {
	return tcp.Serve(ctx, listener, http.HandlerFunc(connect))
}

func connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.Header().Set("Allow", http.MethodConnect)
		http.Error(w, fmt.Sprintf("method: %.20s: must be CONNECT", r.Method), http.StatusMethodNotAllowed)
		return
	}
	target, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		status := http.StatusBadGateway
		if errors.Is(err, syscall.ECONNREFUSED) {
			status = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), status)
		return
	}
	defer target.Close()
	caller, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the connection is gone
	}
	defer caller.Close()
	if _, err := io.WriteString(caller, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	tcp.Join(caller.(*net.TCPConn), target.(*net.TCPConn))
}

// Dial connects to a target through a relay: conn is a connection to the relay.
func Dial(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
		defer func() { _ = conn.SetDeadline(time.Time{}) }()
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	// byte by byte: what follows the response is the target's
	response, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return conn, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
	op := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New(string(text))}
	if response.StatusCode == http.StatusServiceUnavailable {
		op.Err = syscall.ECONNREFUSED
	}
	return nil, op
}

// oneByte reads one byte at a time.
type oneByte struct{ io.Reader }

func (o oneByte) Read(data []byte) (int, error) {
	if len(data) > 1 {
		data = data[:1]
	}
	return o.Reader.Read(data)
}
