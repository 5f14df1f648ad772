package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// pages returns the kubeconfig of a stand-in of an API server that has these pages alone, YAML by path, with the context a.
func pages(t *testing.T, text string) string {
	t.Helper()
	var bodies map[string]json.RawMessage
	require.NoError(t, yaml.Unmarshal([]byte(text), &bodies))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body, found := bodies[r.URL.Path]
		if !found {
			w.WriteHeader(http.StatusNotFound)
			body = []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return write(t, "config", "apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: '"+server.URL+"'}}]\n")
}

// TestCheckAgrees: check asks for objects in other namespaces before the first promise, and a missing --yes is a usage
// error.
func TestCheckAgrees(t *testing.T) {
	config := pages(t, "/version: {gitVersion: v1.36.3}")
	code, out, errs := fleetman(t, "check", "--context", "a", "--kubeconfig", config, "plain", "circuit-breaking-everywhere/mesh-default")
	assert.Equal(t, exitUsage, code, errs)
	assert.Empty(t, out, "checked promises")
	assert.Contains(t, errs, "\nfleetman: --yes: missing: must be given to apply objects in other namespaces, or answered at a terminal\n")
	assert.Contains(t, errs, "istio-system/")
}

// TestCheckGateways: check does not begin beside a Gateway that may receive its requests.
func TestCheckGateways(t *testing.T) {
	config := pages(t, read(t, "testdata/gateways.yaml"))
	expect(t, exitFailure, "", "fleetman: Gateway fleetman/fleetman: Gateway team/g has host *:80, too, at the same ingress gateway: "+
		"the older one receives the requests: must be deleted before check uses the ingress\n", "check", "--context", "a", "--kubeconfig", config, "canary-prefix")
}
