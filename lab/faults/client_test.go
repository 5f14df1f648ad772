package faults

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/wants"
)

// podOf returns a pod whose port and admin listener are a test server.
func podOf(t *testing.T, handler http.HandlerFunc) local.Pod {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return podAt(server.Listener.Addr().String())
}

func podAt(address string) local.Pod {
	at := netip.MustParseAddrPort(address)
	port := int(at.Port())
	return local.Pod{Name: "staff-service-0", Deployment: "staff-service", Program: "staff-service", Address: at.Addr().String(), Port: port, AdminPort: port, Ready: true, PID: 1}
}

func TestClient(t *testing.T) {
	var requests []string
	pod := podOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests = append(requests, fmt.Sprintf("%s %s %s%s", r.Method, r.URL.Path, body, r.Header.Get("Authorization")))
		_, _ = w.Write([]byte(`{"seed":7,"rules":[{"rule":"reset,rate=0.5","matched":4,"fired":2},{"rule":"hang","matched":0,"fired":0}]}`))
	})
	var client Client
	want := State{Seed: 7, Rules: []Rule{{"reset,rate=0.5", 4, 2}, {"hang", 0, 0}}}
	state, err := client.Get(t.Context(), pod)
	require.NoError(t, err)
	assert.Equal(t, want, state)
	assert.Equal(t, "reset,rate=0.5;hang", state.Text())
	_, err = client.Set(t.Context(), pod, "reset;hang")
	require.NoError(t, err)
	_, err = client.Clear(t.Context(), pod)
	require.NoError(t, err)
	pod.AdminTokenFile = filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(pod.AdminTokenFile, []byte("secret\n"), 0o600))
	_, err = client.Get(t.Context(), pod)
	require.NoError(t, err)
	pod.AdminTokenFile += "x"
	_, err = client.Get(t.Context(), pod)
	wants.Error(t, "no token", err, "pod staff-service-0: read the admin token: open …")
	assert.Equal(t, []string{"GET /faults ", "PUT /faults reset;hang", "DELETE /faults ", "GET /faults Bearer secret"}, requests)
}

func TestClientErrors(t *testing.T) {
	var client Client
	for name, test := range map[string]struct {
		status     int
		body, want string
	}{
		"a message":  {400, `{"status":400,"message":"rule 1 (x): \"x\": must be delay or status"}`, `pod staff-service-0: rule 1 (x): "x": must be delay or status`},
		"no message": {500, `oops`, "pod staff-service-0: admin listener: status 500"},
		"no faults":  {404, `404 page not found`, "pod staff-service-0: it does not support faults"},
		"no JSON":    {200, `oops`, "pod staff-service-0: read its faults: invalid character 'o' looking for beginning of value"},
	} {
		pod := podOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = w.Write([]byte(test.body))
		})
		_, err := client.Set(t.Context(), pod, "x")
		wants.Error(t, name, err, test.want)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	listener.Close()
	_, err = client.Get(t.Context(), podAt(address))
	wants.Error(t, "away", err, "pod staff-service-0: admin listener: dial tcp "+address+": connect: connection refused")
}

func TestFind(t *testing.T) {
	pods := []local.Pod{
		{Name: "staff-0", Deployment: "fleetman-staff", Program: "staff-service", Services: []string{"fleetman-drivers"}},
		{Name: "staff-1", Deployment: "fleetman-staff", Program: "staff-service", Services: []string{"fleetman-drivers"}},
		{Name: "drivers-0", Deployment: "drivers", Program: "staff-service"},
		{Name: "drivers-bad-0", Deployment: "drivers-bad", Program: "staff-bad", Services: []string{"fleetman-drivers", "other"}},
		{Name: "web-0", Deployment: "web", Program: "webapp"},
	}
	for name, want := range map[string]int{"staff-1": 1, "fleetman-staff": 2, "staff": 2, "staff-service": 3, "fleetman-staff-service": 3, "drivers": 3, "fleetman-drivers": 3, "other": 1, "drivers-bad": 1, "web": 1, "webapp": 1} {
		found, err := Find(pods, name)
		require.NoError(t, err)
		assert.Len(t, found, want, name)
	}
	_, err := Find(pods, "stuff")
	wants.Error(t, "an unknown name", err, `"stuff": must be a service (drivers, drivers-bad, fleetman-staff, web) or a pod (staff-0, staff-1, drivers-0, drivers-bad-0, web-0)`)
}
