// Package meshtest provides tests with the real binaries of a mesh.
package meshtest

import (
	"os"
	"path/filepath"
	"testing"

	"fleetman.example/lab/mesh/binaries"
)

// Binaries returns istiod, istioctl and Envoy for a test in a directory lab/PACKAGE. It skips the test if
// one is missing; in CI it builds and downloads them.
func Binaries(t testing.TB) binaries.Set {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	source := binaries.Source{Root: root, Getenv: os.Getenv, Progress: func(line string) { t.Log(line) }}
	if os.Getenv("CI") == "true" {
		found, err := source.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found, err := source.Have()
	if err != nil {
		t.Skip(err)
	}
	return found
}

// RejectedFilter is an EnvoyFilter that a stock Envoy rejects: only Istio's build of Envoy has its filter.
const RejectedFilter = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: stats}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: INSERT_FIRST
      value:
        name: istio.stats
        typed_config: {"@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/stats.PluginConfig, value: {}}
`
