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
	find := func() (binaries.Set, error) { return source(t).Have() }
	if inCI() {
		find = func() (binaries.Set, error) { return source(t).Find(t.Context()) }
	}
	return must(t, find)
}

// EnvoyPath returns the path of a real Envoy, like Binaries.
func EnvoyPath(t testing.TB) string {
	t.Helper()
	find := source(t).EnvoyAtHand
	if inCI() {
		find = func() (binaries.Binary, error) { return source(t).Envoy(t.Context()) }
	}
	return must(t, find).Path
}

func inCI() bool { return os.Getenv("CI") == "true" }

// must returns what a function finds. Without it the test is skipped, except in CI.
func must[T any](t testing.TB, find func() (T, error)) T {
	t.Helper()
	found, err := find()
	if err != nil {
		skip.Without(t, err)
	}
	return found
}

// source finds the binaries of this repository.
func source(t testing.TB) binaries.Source {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	for ; root != "/"; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			break
		}
	}
	return binaries.Source{Root: root, Getenv: os.Getenv, Progress: func(line string) { t.Log(line) }}
}

// RejectedFilter is an EnvoyFilter that a stock Envoy rejects: only Istio's build of Envoy has its filter.
//
//go:embed rejected.yaml
var RejectedFilter string
