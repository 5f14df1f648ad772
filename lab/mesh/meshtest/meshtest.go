// Package meshtest provides tests with the real binaries of a mesh.
package meshtest

import (
	_ "embed"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/skip"
)

// Binaries returns istiod, istioctl and Envoy. It skips the test if one is missing; in CI it builds and
// downloads them.
func Binaries(t testing.TB) binaries.Set {
	t.Helper()
	found, err := source(t).Find(t.Context())
	if err != nil {
		skip.Without(t, err)
	}
	return found
}

// EnvoyPath returns the path of a real Envoy, like Binaries.
func EnvoyPath(t testing.TB) string {
	t.Helper()
	found, err := source(t).Envoy(t.Context())
	if err != nil {
		skip.Without(t, err)
	}
	return found.Path
}

// source finds the binaries of this repository; in CI it makes those that are missing.
func source(t testing.TB) binaries.Source {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	for ; root != "/"; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			break
		}
	}
	found := binaries.Source{Root: root, Getenv: os.Getenv, Progress: func(line string) { t.Log(line) }}
	if os.Getenv("CI") == "true" {
		return found
	}
	return found.AtHand()
}

// RejectedFilter is an EnvoyFilter that a stock Envoy rejects: only Istio's build of Envoy has its filter.
//
//go:embed rejected.yaml
var RejectedFilter string
