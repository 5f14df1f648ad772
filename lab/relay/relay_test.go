package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

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
	if body, err := get(target.Listener.Addr().String(), "/a"); err != nil || body != "target's /a for staff:8080" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := get(target.Listener.Addr().String(), "/reset"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	away, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	away.Close()
	if _, err := get(away.Addr().String(), "/"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	if _, err := get("nowhere.invalid:80", "/"); err == nil || !strings.Contains(err.Error(), "nowhere.invalid") {
		t.Errorf("unknown: %v", err)
	}
	response, err := http.Get("http://" + listener.Addr().String() + "/")
	require.NoError(t, err)
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 405 || strings.TrimSpace(string(body)) != "method: GET: must be CONNECT" {
		t.Errorf("GET: %d %s", response.StatusCode, body)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
