package cluster

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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
		for url, want := range map[string]string{"http://10.0.0.1:9090/a": "pod's /a", "http://p:9090/b": "pod's /b"} {
			body, err := get(url)
			require.NoError(t, err)
			assert.Equal(t, want, body, url)
		}
	}
	_, err = get("http://10.0.0.1:1/")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	for url, want := range map[string]string{
		"http://10.0.0.1:2/":    "pod fleetman/p has no port 2",
		"http://q:9090/":        "cluster test: pod q: port-forward: ",
		"http://10.0.0.9:9090/": "10.0.0.9:9090: must be the address of a pod of the fleet",
	} {
		_, err := get(url)
		assert.ErrorContains(t, err, want)
	}
	conn, err := c.Dial(t.Context(), "tcp", "p:9090")
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET /hang HTTP/1.1\r\nHost: p\r\n\r\n")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
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
