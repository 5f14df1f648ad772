package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// pages returns the kubeconfig of a stand-in of an API server that has these pages alone, with the context a.
func pages(t *testing.T, texts map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		text := texts[r.URL.Path]
		if text == "" {
			w.WriteHeader(http.StatusNotFound)
			text = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return write(t, "config", "apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: '"+server.URL+"'}}]\n")
}

// TestCheckAgrees: check asks for objects in other namespaces before the first promise, and a missing --yes is a usage
// error.
func TestCheckAgrees(t *testing.T) {
	config := pages(t, map[string]string{"/version": `{"gitVersion":"v1.36.3"}`})
	code, out, errs := fleetman(t, "check", "--context", "a", "--kubeconfig", config, "plain", "circuit-breaking-everywhere/mesh-default")
	assert.Equal(t, exitUsage, code, errs)
	assert.Empty(t, out, "checked promises")
	assert.Contains(t, errs, "\nfleetman: --yes: missing: must be given to apply objects in other namespaces, or answered at a terminal\n")
	assert.Contains(t, errs, "istio-system/")
}

// TestCheckGateways: check does not begin beside a Gateway that may receive its requests.
func TestCheckGateways(t *testing.T) {
	config := pages(t, map[string]string{
		"/version": `{"gitVersion":"v1.36.3"}`,
		"/api":     `{"kind":"APIVersions","versions":["v1"]}`,
		"/api/v1":  `{"kind":"APIResourceList","groupVersion":"v1","resources":[]}`,
		"/apis": `{"kind":"APIGroupList","groups":[{"name":"networking.istio.io","versions":[{"groupVersion":"networking.istio.io/v1","version":"v1"}],
			"preferredVersion":{"groupVersion":"networking.istio.io/v1","version":"v1"}}]}`,
		"/apis/networking.istio.io/v1": `{"kind":"APIResourceList","groupVersion":"networking.istio.io/v1","resources":[
			{"name":"gateways","kind":"Gateway","namespaced":true,"verbs":["list"]}]}`,
		"/apis/networking.istio.io/v1/gateways": `{"kind":"GatewayList","apiVersion":"networking.istio.io/v1","items":[
			{"kind":"Gateway","apiVersion":"networking.istio.io/v1","metadata":{"name":"g","namespace":"team"},
			"spec":{"selector":{"istio":"ingressgateway"},"servers":[{"port":{"number":80},"hosts":["*"]}]}}]}`,
	})
	expect(t, exitFailure, "", "fleetman: Gateway fleetman/fleetman: Gateway team/g has host *:80, too, at the same ingress gateway: "+
		"the older one receives the requests: must be deleted before check uses the ingress\n", "check", "--context", "a", "--kubeconfig", config, "canary-prefix")
}
