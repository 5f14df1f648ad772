package k8stest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fleetman.example/lab/manifest"
)

// component is what k8s/README.md's table says of one.
type component struct {
	name  string
	not   []string // cannot be used with
	needs []string // has to be used with, and stands after
}

// components, in the order in which a kustomization names them.
var components = []component{
	{name: "sidecars"},
	{name: "ingress"},
	{name: "staff-canary"},
	{name: "one-bad-replica", not: []string{"staff-canary"}},
	{name: "webapp-experimental"},
	{name: "no-header-propagation"},
	{name: "staff-node-port"},
	{name: "driver-monitoring"},
	{name: "network-policies", not: []string{"staff-node-port"}},
	{name: "mesh-policies"},
	{name: "library"},
	{name: "library-endpoints", needs: []string{"library"}, not: []string{"mesh-policies"}},
	{name: "library-beside-mesh", needs: []string{"library", "mesh-policies"}},
}

var every = flag.Bool("all", false, "build all allowed combinations, in some minutes, instead of the pairs and the largest")

// combinations are the sets of components that are allowed: all of them, or
// those of two, with what they need, and those to which nothing can be added.
func combinations(every bool) (all [][]string) {
	for bits := range 1 << len(components) {
		set := setOf(bits)
		if allowed(set) && (every || len(set) <= 2+needed(set) || largest(bits)) {
			all = append(all, set)
		}
	}
	return all
}

func setOf(bits int) (set []string) {
	for i, c := range components {
		if bits>>i&1 == 1 {
			set = append(set, c.name)
		}
	}
	return set
}

// needed is how many of a set are there because others need them.
func needed(set []string) int {
	names := map[string]bool{}
	for _, c := range components {
		if slices.Contains(set, c.name) {
			for _, name := range c.needs {
				names[name] = true
			}
		}
	}
	return len(names)
}

func largest(bits int) bool {
	for i := range components {
		if bits>>i&1 == 0 && allowed(setOf(bits|1<<i)) {
			return false
		}
	}
	return true
}

func allowed(set []string) bool {
	for _, c := range components {
		if !slices.Contains(set, c.name) {
			continue
		}
		for _, other := range c.not {
			if slices.Contains(set, other) {
				return false
			}
		}
		for _, other := range c.needs {
			if !slices.Contains(set, other) {
				return false
			}
		}
	}
	return true
}

// combine loads base with a set of components, as a user's own kustomization.
func combine(t *testing.T, root string, set []string) (*manifest.Objects, error) {
	t.Helper()
	dir, err := os.MkdirTemp(root, "own-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text := "resources: [../base]\ncomponents:\n"
	for _, name := range set {
		text += "  - ../components/" + name + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return manifest.Load(dir)
}

// copyOf is k8s/base and k8s/components in a directory of the test's own.
func copyOf(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, part := range []string{"base", "components"} {
		if err := os.CopyFS(filepath.Join(root, part), os.DirFS(filepath.Join(k8s, part))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestComponents: the table of this test has every component, and each alone
// (with what it needs) changes something and is accepted by istioctl.
func TestComponents(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(k8s, "components"))
	if err != nil {
		t.Fatal(err)
	}
	root := copyOf(t)
	base := string(render(t, load(t, filepath.Join(root, "base")), nil))
	for _, entry := range entries {
		name := entry.Name()
		if name == "parts" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(components, func(c component) bool { return c.name == name })
			if i < 0 {
				t.Fatal("not in this test's table")
			}
			c := components[i]
			with, err := combine(t, root, append(slices.Clone(c.needs), name))
			if err != nil {
				t.Fatal(err)
			}
			without, err := combine(t, root, c.needs)
			if err != nil {
				t.Fatal(err)
			}
			text := string(render(t, with, nil))
			if text == base || text == string(render(t, without, nil)) {
				t.Error("changes nothing")
			}
			for _, line := range dangling(t, with) {
				t.Error(line)
			}
			if istioctl() == "" {
				return // TestIstioAccepts says so
			}
			if said := accepted(t, with); said != "" {
				t.Errorf("istioctl: %s", said)
			}
		})
	}
}

// TestCombinations builds the allowed sets of components. Istio's objects of
// a set are those of its components, unchanged, so istioctl is asked about each
// different set of them once.
func TestCombinations(t *testing.T) {
	all := combinations(*every)
	root := copyOf(t)
	asked := map[string]bool{}
	for _, set := range all {
		objects, err := combine(t, root, set)
		if err != nil {
			t.Errorf("%v: %v", set, err)
			continue
		}
		for _, line := range dangling(t, objects) {
			t.Errorf("%v: %s", set, line)
		}
		key := rules(objects)
		if istioctl() == "" || asked[key] {
			continue
		}
		asked[key] = true
		if said := accepted(t, objects); said != "" {
			t.Errorf("%v: istioctl: %s", set, said)
		}
	}
	t.Logf("%d combinations, istioctl asked about %d", len(all), len(asked))
}

// rules is the text of Istio's objects.
func rules(objects *manifest.Objects) string {
	var text strings.Builder
	for _, object := range objects.All {
		if object.Typed == nil {
			fmt.Fprintln(&text, string(object.JSON))
		}
	}
	return text.String()
}

// TestRefusedCombinations: what the table forbids is a clear error where
// kustomize or the manifests can tell.
func TestRefusedCombinations(t *testing.T) {
	root := copyOf(t)
	for _, test := range []struct {
		set  []string
		want string
	}{
		{[]string{"library-endpoints"}, `does not exist; cannot merge or replace`},
		{[]string{"staff-canary", "staff-canary"}, "already registered id: Deployment.v1.apps/staff-service-risky"},
	} {
		_, err := combine(t, root, test.set)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %q", test.set, err, test.want)
		}
	}
}
