package envoy

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// The admin interface at the pod's address is read-only.
func TestReader(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	behind := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.String())
	})}}
	behind.Start()
	defer behind.Close()
	client := NewSocketClient(socket)
	defer client.Close()
	front := httptest.NewServer(Reader(client))
	defer front.Close()
	for _, test := range []struct {
		method, path, host string
		status             int
		body               string // its beginning
	}{
		{"GET", "/stats/prometheus?filter=a", "", 200, "GET /stats/prometheus?filter=a"},
		{"GET", "/ready", "localhost:15000", 200, "GET /ready"},
		{"GET", "/ready", "127.0.1.2", 200, "GET /ready"},
		{"GET", "/ready", "[::1]:15000", 200, "GET /ready"},
		{"POST", "/quitquitquit", "", 405, "method: POST: must be GET or HEAD"},
		{"PUT", "/runtime_modify", "", 405, "method: PUT: must be GET or HEAD"},
		{"DELETE", "/", "", 405, "method: DELETE: must be GET or HEAD"},
		{"GET", "/config_dump", "rebind.evil.example:15000", 403, "Host: rebind.evil.example:15000: must be an address or localhost"},
		{"GET", "/config_dump", "127.0.1.2.evil.example", 403, "Host: 127.0.1.2.evil.example: must be"},
	} {
		request, err := http.NewRequest(test.method, front.URL+test.path, nil)
		require.NoError(t, err)
		request.Host = test.host
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, test.status, response.StatusCode, "%s %s of %q", test.method, test.path, test.host)
		wants.Text(t, "the body", strings.TrimSpace(string(body)), test.body+"…")
	}
	behind.Close()
	response, err := http.Get(front.URL + "/ready")
	require.NoError(t, err)
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	assert.Equal(t, 502, response.StatusCode, "status without a proxy")
	wants.Text(t, "the body", strings.TrimSpace(string(body)), "proxy: dial unix …")
}
