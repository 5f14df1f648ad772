package tcp

import (
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServeFails: the error names the address.
func TestServeFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener.Close()
	address := listener.Addr().String()
	require.EqualError(t, Serve(t.Context(), listener, http.NotFoundHandler()), "serve "+address+": accept tcp "+address+": use of closed network connection")
}

// TestListen checks that a port that is closed a moment later is no error, and that one in use is.
func TestListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, err = Listen(held.Addr().String())
		require.ErrorIs(t, err, syscall.EADDRINUSE, "in use")
		time.AfterFunc(inheritedFor/2, func() { held.Close() })
		listener, err := Listen(held.Addr().String())
		require.NoError(t, err, "free after a while")
		listener.Close()
	})
}

// listener returns its results of Accept one after the other, then net.ErrClosed.
type listener struct {
	net.Listener
	errs []error
}

func (l *listener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return nil, &net.OpError{Op: "accept", Err: net.ErrClosed}
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

func TestAcceptContinuesAfterErrors(t *testing.T) {
	served := 0
	Accept(&listener{errs: []error{nil, errors.New("too many open files"), nil}}, func(net.Conn) { served++ })
	assert.Equal(t, 2, served, "connections")
}
