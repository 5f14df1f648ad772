package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// portForwardProtocol is the protocol over SPDY.
const portForwardProtocol = "portforward.k8s.io"

// forwards connects to ports of pods through the API server. All connections to one pod share a tunnel.
type forwards struct {
	client *Client
	config *rest.Config

	mu     sync.Mutex
	open   map[string]*slot // by NAMESPACE/POD
	closed bool
}

// slot has the tunnel to one pod.
type slot struct {
	opening sync.Mutex
	tunnel  *tunnel // nil: none yet
}

// tunnel is a connection to the port-forward of one pod.
type tunnel struct {
	conn httpstream.Connection
	next atomic.Int64 // request ID
}

func (t *tunnel) works() bool {
	select {
	case <-t.conn.CloseChan():
		return false
	default:
		return true
	}
}

// DialPod connects to a port of a pod, inside the pod's network: what listens on the pod's loopback
// interface is reached, too, and no proxy is in between.
func (c *Client) DialPod(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	for tries := 0; ; tries++ {
		t, err := c.forwards.to(ctx, namespace, pod)
		if err != nil {
			return nil, err
		}
		conn, err := t.dial(pod, port)
		if err == nil {
			return conn, nil
		}
		t.conn.Close() // and the next one opens another
		if tries > 0 {
			return nil, fmt.Errorf("pod %s: port-forward to %d: %w", pod, port, err)
		}
	}
}

// to returns the tunnel to a pod. It opens one if there is none that works.
func (f *forwards) to(ctx context.Context, namespace, pod string) (*tunnel, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, net.ErrClosed
	}
	key := namespace + "/" + pod
	at := f.open[key]
	if at == nil {
		at = &slot{}
		f.open[key] = at
	}
	f.mu.Unlock()
	at.opening.Lock()
	defer at.opening.Unlock()
	if at.tunnel != nil && at.tunnel.works() {
		return at.tunnel, nil
	}
	conn, err := f.connect(ctx, namespace, pod)
	if err != nil {
		return nil, f.client.about("pod "+pod+": port-forward", err)
	}
	at.tunnel = &tunnel{conn: conn}
	return at.tunnel, nil
}

// connect opens a tunnel. The library's dialer has no context, so it may go on for a while after an error.
func (f *forwards) connect(ctx context.Context, namespace, pod string) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, err
	}
	target := f.client.core.RESTClient().Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	type result struct {
		conn httpstream.Connection
		err  error
	}
	made := make(chan result, 1)
	go func() {
		conn, _, err := dialer.Dial(portForwardProtocol)
		made <- result{conn, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, firstContact)
	defer cancel()
	select {
	case r := <-made:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-made; r.err == nil {
				r.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func (f *forwards) close() {
	f.mu.Lock()
	all := f.open
	f.open, f.closed = nil, true
	f.mu.Unlock()
	for _, at := range all {
		at.opening.Lock()
		if at.tunnel != nil {
			at.tunnel.conn.Close()
		}
		at.opening.Unlock()
	}
}

// dial opens the two streams of a connection: one for its data, one for the node's error.
func (t *tunnel) dial(pod string, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(t.next.Add(1), 10))
	failures, err := t.conn.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	failures.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.conn.CreateStream(headers)
	if err != nil {
		t.conn.RemoveStreams(failures)
		return nil, err
	}
	here, there := net.Pipe()
	c := &podConn{Conn: here, address: podAddress{pod, port}, tunnel: t, data: data, failures: failures, failed: make(chan struct{})}
	go c.watch(failures)
	go c.receive(there)
	go func() {
		_, _ = io.Copy(data, there)
		data.Close() // the pod sees the end, and may still send
	}()
	return c, nil
}

// podConn is a connection to a port of a pod. The pipe gives it deadlines, which streams do not have.
type podConn struct {
	net.Conn
	address        podAddress
	tunnel         *tunnel
	data, failures httpstream.Stream
	failed         chan struct{} // closed when the node's error stream ends
	failure        error         // the node's error, once failed is closed
	once           sync.Once
}

// watch reads the node's error.
func (c *podConn) watch(failures io.Reader) {
	text, err := io.ReadAll(failures)
	if err == nil && len(text) > 0 {
		c.failure = nodeError(c.address, string(text))
		if !errors.Is(c.failure, syscall.ECONNREFUSED) && !errors.Is(c.failure, syscall.ECONNRESET) {
			c.tunnel.conn.Close() // the pod's network is gone: the next connection opens another tunnel
		}
	}
	close(c.failed)
}

// errorGrace is how long the end of the data waits for the node's error, which comes by another stream.
const errorGrace = 200 * time.Millisecond

// receive copies the pod's data into the pipe.
func (c *podConn) receive(there net.Conn) {
	_, _ = io.Copy(there, c.data)
	select {
	case <-c.failed:
	case <-time.After(errorGrace):
	}
	there.Close()
}

// Read returns the node's error in place of io.EOF.
func (c *podConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	return n, c.cause(err)
}

// Write returns the node's error in place of io.ErrClosedPipe.
func (c *podConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	return n, c.cause(err)
}

// cause returns the node's error, if it has ended the connection, in place of the pipe's.
func (c *podConn) cause(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		select {
		case <-c.failed:
			return cmp.Or(c.failure, err)
		default:
		}
	}
	return err
}

func (c *podConn) Close() error {
	c.once.Do(func() {
		_ = c.data.Reset()
		c.tunnel.conn.RemoveStreams(c.data, c.failures)
	})
	return c.Conn.Close()
}

func (c *podConn) RemoteAddr() net.Addr { return c.address }

// podAddress is the address of a pod's port.
type podAddress struct {
	pod  string
	port int
}

func (podAddress) Network() string  { return "tcp" }
func (a podAddress) String() string { return net.JoinHostPort(a.pod, strconv.Itoa(a.port)) }

// nodeError returns the error of a connection that the node could not open, or that broke.
func nodeError(address podAddress, text string) error {
	op := &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: errors.New(oneLineText(text))}
	switch {
	case strings.Contains(text, "connection refused"):
		op.Err = syscall.ECONNREFUSED
	case strings.Contains(text, "reset by peer"):
		op.Op, op.Err = "read", syscall.ECONNRESET
	}
	return op
}
