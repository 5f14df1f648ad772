package kube

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// client-go's port-forward, to a port that the pod has and to one that it does not have.
func TestPortForward(t *testing.T) {
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "pod's ", r.URL.Path) }))
	t.Cleanup(pod.Close)
	f := newFront(t)
	s := f.behind.Load()
	s.Forward = func(namespace, name string, port int) net.Addr {
		if namespace == "default" && name == "p" && port == 15000 {
			return pod.Listener.Addr()
		}
		return nil
	}
	f.replace(t, Object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "namespace": "default"}})
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{Host: f.URL})
	require.NoError(t, err)
	open := func(name string, port int) (*portforward.PortForwarder, *bytes.Buffer, error) {
		target, err := url.Parse(f.URL + "/api/v1/namespaces/default/pods/" + name + "/portforward")
		require.NoError(t, err)
		dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
		stop, ready, failures := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		var complaints bytes.Buffer
		forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, &complaints)
		require.NoError(t, err)
		ended := make(chan struct{})
		go func() { defer close(ended); failures <- forwarder.ForwardPorts() }()
		t.Cleanup(func() { close(stop); <-ended })
		select {
		case <-ready:
			return forwarder, &complaints, nil
		case err := <-failures:
			return nil, nil, err
		}
	}
	get := func(forwarder *portforward.PortForwarder, path string) (string, error) {
		ports, err := forwarder.GetPorts()
		require.NoError(t, err)
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", ports[0].Local, path))
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	forwarder, _, err := open("p", 15000)
	require.NoError(t, err)
	for _, path := range []string{"/ready", "/stats"} {
		body, err := get(forwarder, path)
		require.NoError(t, err)
		assert.Equal(t, "pod's "+path, body)
	}
	forwarder, _, err = open("p", 7)
	require.NoError(t, err)
	_, err = get(forwarder, "/")
	assert.Error(t, err, "a port that the pod does not have")
	_, _, err = open("q", 15000)
	assert.ErrorContains(t, err, `pods "q" not found`, "an unknown pod")
}
