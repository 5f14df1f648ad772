// Package k8stest tests the manifests of k8s/: every scenario and every combination of components builds, is
// decoded strictly, is accepted by istioctl, and equals its golden file.
package k8stest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

const k8s = "../../k8s"

// scenarios returns the directories below k8s/scenarios that can be applied, as paths there.
func scenarios(t *testing.T) []string {
	t.Helper()
	root := filepath.Join(k8s, "scenarios")
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "kustomization.yaml" {
			name, _ := filepath.Rel(root, filepath.Dir(path))
			found = append(found, name)
		}
		return err
	})
	require.NoError(t, err)
	return found
}

var loaded sync.Map // of *manifest.Objects by path, because kustomize is slow

// load returns a copy of a scenario's objects, which the caller may change.
func load(t *testing.T, path string) *manifest.Objects {
	t.Helper()
	known, ok := loaded.Load(path)
	if !ok {
		objects, err := manifest.Load(path)
		require.NoError(t, err)
		known, _ = loaded.LoadOrStore(path, objects)
	}
	return &manifest.Objects{All: slices.Clone(known.(*manifest.Objects).All)}
}

// with returns base with a set of components.
func with(t *testing.T, root string, set ...string) *manifest.Objects {
	t.Helper()
	objects, err := combine(t, root, "../base", set)
	require.NoError(t, err)
	return objects
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(text)
}

// TestTable checks that each row of the README's tables has a directory, and each directory a row.
func TestTable(t *testing.T) {
	readme := read(t, k8s, "README.md")
	for _, name := range scenarios(t) {
		assert.Contains(t, readme, "](scenarios/"+name+")", "a row")
	}
	entries, err := os.ReadDir(filepath.Join(k8s, "components"))
	require.NoError(t, err)
	for _, entry := range entries {
		assert.Contains(t, readme, "](components/"+entry.Name()+")", "a row")
	}
	assert.Contains(t, readme, fmt.Sprintf("every set, %d of them", len(combinations(true))))
	last := 0
	for _, c := range components {
		at := strings.Index(readme, "](components/"+c.name+")")
		assert.GreaterOrEqual(t, at, last, "components/%s: must be in the order of TestVersionsFirst", c.name)
		last = at
	}
}

// TestScenarios checks each scenario's README, and its promises against its manifests.
func TestScenarios(t *testing.T) {
	all := scenarios(t)
	assert.GreaterOrEqual(t, len(all), 22, "scenarios")
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(k8s, "scenarios", name)
			objects := load(t, dir)
			checkReadme(t, name, objects)
			expect, err := scenario.Load(filepath.Join(dir, "expect.yaml"))
			require.NoError(t, err)
			assert.NoError(t, expect.CheckAgainst(objects))
			for _, p := range expect.Promises {
				if p.Control.Scenario != "" {
					assert.Contains(t, all, p.Control.Scenario, "%q: its control", p.Promise)
				}
			}
		})
	}
}
