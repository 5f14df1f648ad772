package local

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"fleetman.example/lab/tcp"
)

// forwarder forwards each connection to the address that pick returns, as
// kube-proxy does for a NodePort and for a Service whose port is not the pod's.
type forwarder struct {
	listener net.Listener
	pick     func() (address string, ok bool)
	done     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newForwarder(address string, pick func() (string, bool)) (*forwarder, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := leadsHere(listener.(*net.TCPListener), listener.Addr().String(), arrivesWithin); err != nil {
		listener.Close()
		return nil, err
	}
	f := &forwarder{listener: listener, pick: pick, conns: map[net.Conn]struct{}{}}
	f.done.Go(f.accept)
	return f, nil
}

// arrivesWithin is how long a connection on this machine may take.
const arrivesWithin = 5 * time.Second

// leadsHere connects to an address and is nil when the listener is what takes
// the connection. Where a cluster on the same machine has a node port of that
// number, rules of its kube-proxy take it, though the port can be opened.
func leadsHere(listener *net.TCPListener, address string, within time.Duration) error {
	elsewhere := func(err error) error {
		return fmt.Errorf("%s does not lead to this fleet: another program takes its connections, as a cluster's kube-proxy does: take another port with --node-port or --ingress-port, or other addresses with --node-address (%w)", address, err)
	}
	conn, err := net.DialTimeout("tcp", address, within)
	if err != nil {
		return elsewhere(err)
	}
	defer conn.Close()
	if err := listener.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	for {
		arrived, err := listener.Accept()
		if err != nil {
			return elsewhere(err)
		}
		arrived.Close() // a caller who is that early tries again
		if arrived.RemoteAddr().String() == conn.LocalAddr().String() {
			return listener.SetDeadline(time.Time{})
		}
	}
}

func (f *forwarder) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				continue
			}
			if isClosed(err) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of file descriptors: some will be closed
			continue
		}
		f.done.Go(func() { f.pass(client.(*net.TCPConn)) })
	}
}

func (f *forwarder) pass(client *net.TCPConn) {
	f.track(client)
	defer f.untrack(client)
	address, ok := f.pick()
	if !ok {
		_ = client.SetLinger(0) // reset, as a port without endpoints does
		return
	}
	server, err := connect(client, address)
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	f.track(server)
	defer f.untrack(server)
	tcp.Join(client, server)
}

// connect connects to address for a client. On loopback it keeps the client's
// address, so that a hash of it works.
func connect(client *net.TCPConn, address string) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if from := client.RemoteAddr().(*net.TCPAddr).IP; from.IsLoopback() && !from.Equal(net.IPv4(127, 0, 0, 1)) {
		dialer.LocalAddr = &net.TCPAddr{IP: from}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func (f *forwarder) track(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		conn.Close()
		return
	}
	f.conns[conn] = struct{}{}
}

func (f *forwarder) untrack(conn net.Conn) {
	conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
}

// stopAccepting closes the listener and keeps the open connections.
func (f *forwarder) stopAccepting() { f.listener.Close() }

// close closes the listener and all connections.
func (f *forwarder) close() {
	f.listener.Close()
	f.mu.Lock()
	for conn := range f.conns {
		conn.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.done.Wait()
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
