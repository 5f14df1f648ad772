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
