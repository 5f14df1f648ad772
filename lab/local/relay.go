package local

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/tcp"
)

// relay passes the connections to a pod on to its program, or to its proxy, and
// makes them meet a ConnectFault.
type relay struct {
	address, target string
	conns           connections

	mu             sync.Mutex
	listener       net.Listener
	filling        net.Conn      // ConnectDrop: what fills the listener's queue
	fault          *ConnectFault // nil: none
	matched, fired int64
	expiry         *time.Timer
	closed         bool
}

func newRelay(address, target string) (*relay, error) {
	r := &relay{address: address, target: target}
	return r, r.listen()
}

// listen accepts connections, with the mutex held or before the relay is used.
func (r *relay) listen() (err error) {
	if r.listener, err = tcp.Listen(r.address); err != nil {
		return err
	}
	r.conns.accept(r.listener, r.pass)
	return nil
}

// set replaces the fault and resets all connections.
func (r *relay) set(fault *ConnectFault) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replace(fault)
}

// replace is set, with the mutex held.
func (r *relay) replace(fault *ConnectFault) (err error) {
	if r.closed {
		return net.ErrClosed
	}
	r.stopListening()
	r.conns.reset()
	r.fault, r.matched, r.fired = fault, 0, 0
	switch {
	case fault != nil && fault.Kind == ConnectRefuse:
	case fault != nil && fault.Kind == ConnectDrop:
		err = r.drop()
	default:
		err = r.listen()
	}
	if err == nil && fault != nil && fault.For > 0 {
		r.expiry = time.AfterFunc(fault.For, func() { r.expire(fault) })
	}
	return err
}

// expire clears a fault whose time is over.
func (r *relay) expire(fault *ConnectFault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == fault && !r.closed {
		_ = r.replace(nil)
	}
}

// stopListening refuses connections, with the mutex held.
func (r *relay) stopListening() {
	if r.expiry != nil {
		r.expiry.Stop()
	}
	if r.listener != nil {
		r.listener.Close()
	}
	if r.filling != nil {
		r.filling.Close()
	}
	r.listener, r.filling = nil, nil
}

// drop listens with a queue of one connection, and fills it: Linux drops the
// SYN of every further one.
func (r *relay) drop() error {
	listener, err := tcp.Listen(r.address)
	if err != nil {
		return err
	}
	r.listener = listener
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 0) }); err != nil {
		return err
	}
	if failed == nil {
		r.filling, failed = net.DialTimeout("tcp", r.address, time.Second)
	}
	return failed
}

// meet counts a connection of a caller and returns the fault that it meets, or nil.
func (r *relay) meet(caller net.Addr) *ConnectFault {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.fault
	if f == nil || f.From.IsValid() && f.From != caller.(*net.TCPAddr).AddrPort().Addr().Unmap() {
		return nil
	}
	r.matched++
	if f.Count > 0 && r.fired >= f.Count || rand.Float64() >= f.Rate {
		return nil
	}
	r.fired++
	return f
}

func (r *relay) state() ConnectState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == nil {
		return ConnectState{}
	}
	return ConnectState{Rule: r.fault.text, Matched: r.matched, Fired: r.fired}
}

func (r *relay) pass(client *net.TCPConn) {
	fault := r.meet(client.RemoteAddr())
	if fault != nil && fault.Kind == ConnectHang {
		_, _ = io.Copy(io.Discard, client) // until the caller closes it
		return
	}
	if fault != nil && fault.Kind == ConnectDelay {
		time.Sleep(fault.Delay) // what the caller sends meanwhile is in its socket
	}
	r.conns.dial(client, r.target, func(server *net.TCPConn) {
		if fault == nil || fault.Kind != ConnectCut {
			tcp.Join(client, server)
			return
		}
		r.conns.passing.Go(func() { _, _ = io.Copy(server, client) })
		_, _ = io.CopyN(client, server, fault.Bytes)
		_ = client.SetLinger(0)
	})
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.stopListening()
	r.mu.Unlock()
	r.conns.close()
}
