package tcp

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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
