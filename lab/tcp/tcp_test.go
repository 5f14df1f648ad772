package tcp

import (
	"net"
	"net/http"
	"testing"

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
