package kube

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
)

// TestRouteDefaults compares the defaults with those of the CustomResourceDefinitions of Gateway API 1.4.
func TestRouteDefaults(t *testing.T) {
	for _, test := range []struct{ kind, spec, want string }{
		{"HTTPRoute", `{}`, `{"rules":[{"matches":[{"path":{"type":"PathPrefix","value":"/"}}]}]}`},
		{
			"HTTPRoute",
			`{"parentRefs":[{"name":"a"},{"group":"","kind":"Service","name":"b"}],"rules":[{"matches":[{"headers":[{"name":"x","value":"y"}]},{"path":{"type":"Exact","value":"/z"}}],"backendRefs":[{"name":"c","weight":90},{"name":"d"}],"filters":[{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"e"}}}]}]}`,
			`{"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"a"},{"group":"","kind":"Service","name":"b"}],"rules":[{"backendRefs":[{"group":"","kind":"Service","name":"c","weight":90},{"group":"","kind":"Service","name":"d","weight":1}],"filters":[{"requestMirror":{"backendRef":{"group":"","kind":"Service","name":"e"}},"type":"RequestMirror"}],"matches":[{"headers":[{"name":"x","type":"Exact","value":"y"}],"path":{"type":"PathPrefix","value":"/"}},{"path":{"type":"Exact","value":"/z"}}]}]}`,
		},
		{
			"GRPCRoute", `{"rules":[{"matches":[{"method":{"service":"s"}}],"backendRefs":[{"name":"c"}]}]}`,
			`{"rules":[{"backendRefs":[{"group":"","kind":"Service","name":"c","weight":1}],"matches":[{"method":{"service":"s","type":"Exact"}}]}]}`,
		},
		{"ReferenceGrant", `{}`, `{}`},
	} {
		var spec map[string]any
		require.NoError(t, json.Unmarshal([]byte(test.spec), &spec))
		version := "v1"
		if test.kind == "ReferenceGrant" {
			version = "v1beta1"
		}
		routeDefaults(KindOf(manifest.GatewayGroup+"/"+version, test.kind), spec)
		got, err := json.Marshal(spec)
		require.NoError(t, err)
		assert.Equal(t, test.want, string(got), "%s %s", test.kind, test.spec)
	}
}
