package local

import (
	"fmt"
	"net"
	"time"

	"fleetman.example/lab/tcp"
)

// forwarder forwards each connection to the address that pick returns, as
// kube-proxy does for a NodePort and for a Service whose port is not the pod's.
type forwarder struct {
	listener net.Listener
	pick     func() (address string, ok bool)
	conns    connections
}

func newForwarder(address string, pick func() (string, bool)) (*forwarder, error) {
	listener, err := tcp.Listen(address)
	if err != nil {
		return nil, err
	}
	if err := leadsHere(listener.(*net.TCPListener), listener.Addr().String(), arrivesWithin); err != nil {
		listener.Close()
		return nil, err
	}
	f := &forwarder{listener: listener, pick: pick}
	f.conns.accept(listener, f.pass)
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

func (f *forwarder) pass(client *net.TCPConn) {
	address, ok := f.pick()
	if !ok {
		_ = client.SetLinger(0) // reset, as a port without endpoints does
		return
	}
	f.conns.dial(client, address, func(server *net.TCPConn) { tcp.Join(client, server) })
}

// stopAccepting closes the listener and keeps the open connections.
func (f *forwarder) stopAccepting() { f.listener.Close() }

// close closes the listener and all connections.
func (f *forwarder) close() {
	f.listener.Close()
	f.conns.close()
}
