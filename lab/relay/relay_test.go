package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRelay(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/reset" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
			return
		}
		fmt.Fprint(w, "target's ", r.URL.Path, " for ", r.Host)
	}))
	defer target.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- Serve(ctx, listener) }()
	relayed := func(to string) func(ctx context.Context, _, _ string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				return nil, err
			}
			return Dial(ctx, conn, to)
		}
	}
	get := func(to, path string) (string, error) {
		client := http.Client{Transport: &http.Transport{DialContext: relayed(to), DisableKeepAlives: true}}
		response, err := client.Get("http://staff:8080" + path)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	text, err := get(target.Listener.Addr().String(), "/a")
	require.NoError(t, err)
	assert.Equal(t, "target's /a for staff:8080", text)
	_, err = get(target.Listener.Addr().String(), "/reset")
	require.ErrorIs(t, err, syscall.ECONNRESET, "reset")
	away, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	away.Close()
	_, err = get(away.Addr().String(), "/")
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "refused")
	_, err = get("nowhere.invalid:80", "/")
	require.ErrorContains(t, err, "nowhere.invalid", "unknown")
	response, err := http.Get("http://" + listener.Addr().String() + "/")
	require.NoError(t, err)
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	assert.Equal(t, "405 method: GET: must be CONNECT\n", fmt.Sprintf("%d %s", response.StatusCode, body), "GET")
	stop()
	require.NoError(t, <-served)
}
