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

// with returns base with a set of components, as combine does.
func with(t *testing.T, root string, set ...string) *manifest.Objects {
	t.Helper()
	objects, err := combine(t, root, set)
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
		if !strings.Contains(readme, "](scenarios/"+name+")") {
			t.Errorf("k8s/README.md has no row for scenarios/%s", name)
		}
	}
	entries, err := os.ReadDir(filepath.Join(k8s, "components"))
	require.NoError(t, err)
	for _, entry := range entries {
		if !strings.Contains(readme, "](components/"+entry.Name()+")") {
			t.Errorf("k8s/README.md has no row for components/%s", entry.Name())
		}
	}
	if sets := fmt.Sprintf("every set, %d of them", len(combinations(true))); !strings.Contains(readme, sets) {
		t.Errorf("k8s/README.md does not say %q", sets)
	}
	last := 0
	for _, c := range components {
		at := strings.Index(readme, "](components/"+c.name+")")
		if at < last {
			t.Errorf("k8s/README.md: components/%s is not in the order of TestVersionsFirst", c.name)
		}
		last = at
	}
}

// TestScenarios checks each scenario's README, and its promises against its manifests.
func TestScenarios(t *testing.T) {
	all := scenarios(t)
	if len(all) < 22 {
		t.Errorf("%d scenarios, want 22 at least", len(all))
	}
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(k8s, "scenarios", name)
			objects := load(t, dir)
			checkReadme(t, name, objects)
			expect, err := scenario.Load(filepath.Join(dir, "expect.yaml"))
			require.NoError(t, err)
			if err := expect.CheckAgainst(objects); err != nil {
				t.Error(err)
			}
			for _, p := range expect.Promises {
				if p.Control.Scenario != "" && !slices.Contains(all, p.Control.Scenario) {
					t.Errorf("%q: its control is the unknown scenario %q", p.Promise, p.Control.Scenario)
				}
			}
		})
	}
}
