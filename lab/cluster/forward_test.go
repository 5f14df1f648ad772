package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/kube"
)

// TestForward: connections to pods through an API server.
func TestForward(t *testing.T) {
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, "pod's ", r.URL.Path)
	}))
	defer pod.Close()
	away, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	away.Close()
	server := kube.NewServer(time.Now)
	server.Forward = func(namespace, name string, port int) net.Addr {
		switch {
		case namespace == "fleetman" && name == "p" && port == 9090:
			return pod.Listener.Addr()
		case port == 1:
			return away.Addr()
		}
		return nil
	}
	require.NoError(t, server.Replace([]kube.Object{{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "namespace": "fleetman"}}}))
	front := httptest.NewServer(server.Handler())
	defer front.Close()
	c, err := newClient(Options{Context: "test"}, &rest.Config{Host: front.URL}, new(atomic.Bool))
	require.NoError(t, err)
	defer c.Close()
	c.remember([]local.Pod{{Name: "p", Namespace: "fleetman", Address: "10.0.0.1"}, {Name: "q", Namespace: "fleetman"}})
	client := http.Client{Transport: c.podTransport(), Timeout: time.Minute}
	get := func(url string) (string, error) {
		response, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	for range 3 {
		if body, err := get("http://10.0.0.1:9090/a"); err != nil || body != "pod's /a" {
			t.Errorf("by address: %q, %v", body, err)
		}
		if body, err := get("http://p:9090/b"); err != nil || body != "pod's /b" {
			t.Errorf("by name: %q, %v", body, err)
		}
	}
	if _, err := get("http://10.0.0.1:1/"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that refuses: %v", err)
	}
	if _, err := get("http://10.0.0.1:2/"); err == nil || !strings.Contains(err.Error(), "pod fleetman/p has no port 2") {
		t.Errorf("no such port: %v", err)
	}
	if _, err := get("http://q:9090/"); err == nil || !strings.Contains(err.Error(), `cluster test: pod q: port-forward: `) {
		t.Errorf("no such pod: %v", err)
	}
	if _, err := get("http://10.0.0.9:9090/"); err == nil || !strings.Contains(err.Error(), "10.0.0.9:9090: must be the address of a pod of the fleet") {
		t.Errorf("an unknown address: %v", err)
	}
	conn, err := c.Dial(t.Context(), "tcp", "p:9090")
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET /hang HTTP/1.1\r\nHost: p\r\n\r\n")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline: %v", err)
	}
}

// TestForwardWrites: a write, too, says why the node has ended the connection.
func TestForwardWrites(t *testing.T) {
	here, there := net.Pipe()
	there.Close()
	c := &podConn{Conn: here, failed: make(chan struct{})}
	_, err := c.Write([]byte("x"))
	assert.ErrorIs(t, err, io.ErrClosedPipe, "no error of the node")
	c.failure = syscall.ECONNREFUSED
	close(c.failed)
	_, err = c.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "the node's error")
}
