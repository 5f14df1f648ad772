package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestCheckAgrees: check asks for objects in other namespaces before the first promise, and a missing --yes is a usage
// error.
func TestCheckAgrees(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{"gitVersion":"v1.36.3"}`))
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
	}))
	defer server.Close()
	config := write(t, "config", "apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: '"+server.URL+"'}}]\n")
	code, out, errs := fleetman(t, "check", "--context", "a", "--kubeconfig", config, "plain", "circuit-breaking-everywhere/mesh-default")
	assert.Equal(t, exitUsage, code, errs)
	assert.Empty(t, out, "checked promises")
	assert.Contains(t, errs, "\nfleetman: --yes: missing: must be given to apply objects in other namespaces, or answered at a terminal\n")
	assert.Contains(t, errs, "istio-system/")
}
