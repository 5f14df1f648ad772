package k8stest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/wants"
)

// component is a row of k8s/README.md's table.
type component struct {
	name  string
	not   []string // components with which it cannot be used
	needs []string // components that it needs, listed before it
	// apart is true for a component that changes no field that another one changes: it is combined in pairs,
	// and in the largest sets, alone.
	apart bool
}

// components are in the order in which a kustomization lists them, those with versions first.
var components = []component{
	{name: "staff-canary"},
	{name: "one-bad-replica", not: []string{"staff-canary"}},
	{name: "webapp-experimental"},
	{name: "sidecars"},
	{name: "ambient", not: []string{"sidecars", "mesh-tuned"}},
	{name: "ingress"},
	{name: "no-header-propagation"},
	{name: "staff-node-port"},
	{name: "driver-monitoring"},
	{name: "network-policies", not: []string{"staff-node-port"}},
	{name: "library"},
	{name: "library-endpoints", needs: []string{"library"}},
	{name: "mesh-policies", not: []string{"library-endpoints"}},
	{name: "mesh-tuned", needs: []string{"mesh-policies"}},
	{name: "library-beside-mesh", needs: []string{"library", "mesh-policies"}},
	{name: "telemetry", apart: true},
}

var every = flag.Bool("all", false, "check all allowed combinations instead of the pairs and the largest")

// combinations returns the allowed sets of components: all of them or, when every is false, those of two with
// the ones that they need, and the maximal ones.
func combinations(every bool) (all [][]string) {
	for bits := range 1 << len(components) {
		set := setOf(bits)
		if allowed(set) && (every && !anyApart(set) || len(set) <= 2+needed(set) || largest(bits)) {
			all = append(all, set)
		}
	}
	return all
}

func anyApart(set []string) bool {
	return slices.ContainsFunc(components, func(c component) bool { return c.apart && slices.Contains(set, c.name) })
}

func setOf(bits int) (set []string) {
	for i, c := range components {
		if bits>>i&1 == 1 {
			set = append(set, c.name)
		}
	}
	return set
}

// needed returns the number of components of a set that others need.
func needed(set []string) int {
	names := sets.New[string]()
	for _, c := range components {
		if slices.Contains(set, c.name) {
			names.Insert(c.needs...)
		}
	}
	return names.Len()
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
	names := sets.New(set...)
	return !slices.ContainsFunc(components, func(c component) bool {
		return names.Has(c.name) && (names.HasAny(c.not...) || !names.HasAll(c.needs...))
	})
}

// combine loads a resource, or none, with a set of components, as in a user's own kustomization.
func combine(t *testing.T, root, resource string, set []string) (*manifest.Objects, error) {
	t.Helper()
	dir, err := os.MkdirTemp(root, "own-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	text := "resources: [" + resource + "]\ncomponents:\n"
	for _, name := range set {
		text += "  - ../components/" + name + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644))
	return manifest.Load(dir)
}

// copyOf copies k8s/base, k8s/components and k8s/dashboards to a directory of the test.
func copyOf(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, part := range []string{"base", "components", "dashboards"} {
		require.NoError(t, os.CopyFS(filepath.Join(root, part), os.DirFS(filepath.Join(k8s, part))))
	}
	return root
}

// TestComponents checks that the table of this test has every component, that each alone (with those that it
// needs) changes an object, and that istioctl accepts it.
func TestComponents(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(k8s, "components"))
	require.NoError(t, err)
	root := copyOf(t)
	base := string(render(t, load(t, filepath.Join(root, "base")), nil))
	for _, entry := range entries {
		name := entry.Name()
		if name == "parts" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(components, func(c component) bool { return c.name == name })
			require.GreaterOrEqual(t, i, 0, "in this test's table")
			c := components[i]
			objects := with(t, root, append(slices.Clone(c.needs), name)...)
			text := string(render(t, objects, nil))
			assert.False(t, text == base || text == string(render(t, with(t, root, c.needs...), nil)), "changes nothing")
			assert.Empty(t, dangling(t, objects))
			if istioctl() != "" { // without it, TestIstioAccepts fails
				assert.Empty(t, accepted(t, objects), "messages of istioctl")
			}
		})
	}
}

// TestCombinations checks the allowed sets of components. A component that has resources alone, without Deployments, adds
// the same objects to every set, so sets that differ in such components alone are built once. The pairs and the largest
// sets are also built as a whole, which shows that no other component changes these objects. The Istio objects of a set
// are those of its components, unchanged, so istioctl validates each different set of Istio objects once.
func TestCombinations(t *testing.T) {
	// kustomize allocates much; collecting garbage less often saves a fifth of the time
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	root := copyOf(t)
	added := map[string]*manifest.Objects{}
	for _, c := range components {
		if !resourcesAlone(t, c.name) {
			continue
		}
		objects, err := combine(t, root, "", []string{c.name})
		require.NoError(t, err)
		if len(manifest.Of[*appsv1.Deployment](objects)) == 0 { // others change these
			added[c.name] = objects
		}
	}
	assert.GreaterOrEqual(t, len(added), 3, "components that have resources alone")
	whole := map[string]bool{}
	for _, set := range combinations(false) {
		whole[strings.Join(set, "+")] = true
	}
	all := combinations(*every)
	without := func(set []string) []string {
		return slices.DeleteFunc(slices.Clone(set), func(name string) bool { return added[name] != nil })
	}
	groups := map[string][][]string{}
	for _, set := range all {
		name := strings.Join(without(set), "+")
		groups[name] = append(groups[name], set)
	}
	var asked sync.Map
	for name, sets := range groups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed, err := combine(t, root, "../base", without(sets[0]))
			require.NoError(t, err)
			for _, set := range sets {
				t.Run(strings.Join(set, "+"), func(t *testing.T) {
					objects := &manifest.Objects{All: slices.Clone(changed.All)}
					for _, name := range set {
						if added[name] != nil {
							objects.All = append(objects.All, added[name].All...)
						}
					}
					if whole[strings.Join(set, "+")] {
						built, err := combine(t, root, "../base", set)
						require.NoError(t, err)
						assert.Equal(t, byName(t, built), byName(t, objects), "the objects, by name")
					}
					assert.Empty(t, dangling(t, objects))
					if _, twice := asked.LoadOrStore(rules(objects), true); !twice && istioctl() != "" {
						assert.Empty(t, accepted(t, objects), "messages of istioctl")
					}
				})
			}
		})
	}
	t.Logf("%d combinations of %d changes", len(all), len(groups))
}

// resourcesAlone reports whether a component has resources, and neither patches nor anything else.
func resourcesAlone(t *testing.T, name string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(k8s, "components", name, "kustomization.yaml"))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, yaml.Unmarshal(text, &fields))
	return slices.Equal(slices.Sorted(maps.Keys(fields)), []string{"apiVersion", "kind", "resources"})
}

// byName returns the text of each object by its name. An object of a name that another one has is an error.
func byName(t *testing.T, objects *manifest.Objects) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, object := range objects.All {
		name := object.APIVersion + " " + object.Ref()
		assert.Empty(t, found[name], "%s: is there twice", name)
		found[name] = string(object.JSON)
	}
	return found
}

// TestVersionsFirst checks that in the table's order a component's change of a service also changes the version
// that another component adds. In the other order it does not, without an error.
func TestVersionsFirst(t *testing.T) {
	root := copyOf(t)
	environment := func(set ...string) map[string]map[string]string {
		found := map[string]map[string]string{}
		for _, d := range manifest.Of[*appsv1.Deployment](with(t, root, set...)) {
			found[d.Name] = map[string]string{}
			for _, e := range d.Spec.Template.Spec.Containers[0].Env {
				found[d.Name][e.Name] = e.Value
			}
			for _, e := range d.Spec.Template.Spec.Containers[0].EnvFrom {
				found[d.Name]["all of"] += " " + e.ConfigMapRef.Name
			}
			delete(found[d.Name], "VARIANT") // it distinguishes the versions
		}
		return found
	}
	reached := 0
	for _, version := range []struct{ component, added, to string }{
		{"staff-canary", "staff-service-risky", "staff-service"},
		{"one-bad-replica", "staff-service-bad", "staff-service"},
		{"webapp-experimental", "webapp-experimental", "webapp"},
	} {
		before := environment(version.component)
		for _, c := range components {
			if !allowed(append(slices.Clone(c.needs), version.component, c.name)) || c.name == version.component {
				continue
			}
			after := environment(append(append([]string{version.component}, c.needs...), c.name)...)
			assert.Equal(t, after[version.to], after[version.added], "%s, %s: %s", version.component, c.name, version.added)
			if maps.Equal(after[version.to], before[version.to]) {
				continue // the component changes other services
			}
			reached++
			late := environment(append(slices.Clone(c.needs), c.name, version.component)...)
			assert.NotEqual(t, late[version.to], late[version.added], "%s, %s: reaches %s too: then the order is free, and k8s/README.md need not tell it", c.name, version.component, version.added)
		}
	}
	assert.GreaterOrEqual(t, reached, 5, "changes of a service with an added version")
}

// rules returns the text of the Istio objects, in the order of their texts.
func rules(objects *manifest.Objects) string {
	var texts []string
	for _, object := range objects.All {
		if object.Typed == nil {
			texts = append(texts, string(object.JSON))
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
}

// TestRefusedCombinations checks that a combination that the table excludes is an error, where kustomize or the
// manifests can detect it.
func TestRefusedCombinations(t *testing.T) {
	root := copyOf(t)
	for _, test := range []struct {
		set  []string
		want string
	}{
		{[]string{"library-endpoints"}, "(the component that creates it must be listed before the one that merges)"},
		{[]string{"staff-canary", "one-bad-replica"}, "testing value /metadata/labels/version failed"},
		{[]string{"one-bad-replica", "staff-canary"}, "testing value /metadata/labels/version failed"},
		{[]string{"staff-canary", "staff-canary"}, "may not add resource with an already registered id: Deployment.v1.apps/staff-service-risky"},
	} {
		_, err := combine(t, root, "../base", test.set)
		wants.Error(t, fmt.Sprint(test.set), err, "…"+test.want+"…") // in one line
	}
}
