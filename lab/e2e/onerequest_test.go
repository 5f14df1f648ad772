package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/trace"
)

// TestOneRequest follows one request, by the trace that it names, over services and proxies: each attempt of
// the library and of the mesh, each wait, and the fallback have their reason.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	store := trace.NewStore()
	receiver := httptest.NewServer(trace.NewReceiver(store, nil))
	t.Cleanup(receiver.Close)
	m, ingress := startMesh(t, manifests(t, scenarios("resilience/twice"), filepath.Join(root, "k8s/components/ingress/istio.yaml")),
		environ(trace.Environ(os.Environ(), receiver.URL)...))
	setFaults(t, m.Fleet(), "staff-service", "status=503,method=GET")
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	r := send(t, http.MethodGet, ingress+driver, "", "Traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, "placeholder", r.header.Get("X-Fallback"))
	// a line for each step: SERVICE [proxy] KIND STATUS REASON
	want := map[string]int{
		"istio-ingressgateway proxy server ok":                                 1,
		"webapp server ok":                                                     1,
		"api-gateway server ok fallback: placeholder":                          1,
		"api-gateway client error status 503, injected: status":                3, // the library's attempts
		"api-gateway internal ok status 503":                                   2, // its waits
		"api-gateway event ok status 503":                                      3, // two retries, and the fallback
		"api-gateway proxy server error retry limit reached (URX), status 503": 3,
		"api-gateway proxy client error status 503":                            9, // three attempts of the mesh for each of the library
		"staff-service proxy server error status 503":                          9,
		"staff-service server error status 503, injected: status":              9,
	}
	var got trace.Trace
	lines := map[string]int{}
	t.Cleanup(func() {
		text, _ := json.MarshalIndent(got, "", " ")
		t.Logf("the trace: %s", text)
	})
	await(t, "the whole trace", func() bool {
		got, _ = store.Trace(id)
		clear(lines)
		for _, span := range got.Spans {
			line := span.Service
			if span.Proxy {
				line += " proxy"
			}
			lines[strings.TrimSpace(fmt.Sprint(line, " ", span.Kind, " ", span.Status, " ", span.Reason))]++
		}
		for line, n := range want {
			if lines[line] != n {
				return false
			}
		}
		return true
	})
	assert.Equal(t, trace.Degraded, got.Status)
	assert.Equal(t, "istio-ingressgateway GET "+strings.ReplaceAll(driver, "%20", " "), got.Root)
}
