package manifest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/wants"
)

const (
	service    = "apiVersion: v1\nkind: Service\nmetadata: {name: staff}\nspec: {ports: [{port: 8080}]}\n"
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: staff}
spec:
  selector: {matchLabels: {app: staff}}
  template:
    metadata: {labels: {app: staff}}
    spec: {containers: [{name: staff, image: fleetman/staff-service:6}]}
`
	component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
)

// write writes files, by their paths in a new directory, and returns the directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// load returns the objects of valid manifests.
func load(t *testing.T, paths ...string) *Objects {
	t.Helper()
	objects, err := Load(paths...)
	require.NoError(t, err)
	return objects
}

// decode returns the objects of a valid file.
func decode(t *testing.T, text string) *Objects {
	t.Helper()
	all, err := Decode("x.yaml", []byte(text))
	require.NoError(t, err)
	return &Objects{All: all}
}

// loadError returns the error of Load for invalid files in a new directory, which the error names as DIR.
func loadError(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := write(t, files)
	objects, err := Load(dir)
	require.Error(t, err, "%+v", objects)
	return strings.ReplaceAll(err.Error(), dir, "DIR")
}

// names returns the kinds and names of the objects, in their order.
func names(objects *Objects) string {
	var refs []string
	for _, object := range objects.All {
		refs = append(refs, object.Ref())
	}
	return strings.Join(refs, ", ")
}

// TestLoad checks which files Load reads, and in which order.
func TestLoad(t *testing.T) {
	plain := write(t, map[string]string{"a.yaml": service, "b.yml": deployment, "README.md": "no: [manifest", "sub/c.yaml": "no: [manifest"})
	kustomized := write(t, map[string]string{
		"kustomization.yaml": "resources: [a.yaml]\nnamePrefix: fleetman-\n", "a.yaml": service, "b.yaml": "no: [manifest",
	})
	for _, test := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"a directory of plain files", []string{plain}, "Service staff, Deployment staff"},
		{"a kustomization", []string{kustomized}, "Service fleetman-staff"},
		{"files", []string{filepath.Join(plain, "b.yml"), filepath.Join(plain, "a.yaml")}, "Deployment staff, Service staff"},
		{"both", []string{plain, kustomized}, "Service staff, Deployment staff, Service fleetman-staff"},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, names(load(t, test.paths...)))
		})
	}
}

func TestLoadDevice(t *testing.T) {
	_, err := Load(os.DevNull)
	assert.EqualError(t, err, os.DevNull+": must be a regular file")
}

// TestLoadBadInput checks that each error is one line. The files that kustomize reads must be local, and
// their size is limited like that of plain files. Without these limits, kustomize would fetch files, or
// take minutes or all memory.
func TestLoadBadInput(t *testing.T) {
	change := func(text, old, replacement string) string {
		require.Contains(t, text, old)
		return strings.Replace(text, old, replacement, 1)
	}
	const mustBeLocal = ": must be a local path: fleetman fetches nothing (kubectl kustomize does: give fleetman what it prints)"
	large := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: " + strings.Repeat("x", 1<<20) + "}\n"
	doubling := map[string]string{"l0/kustomization.yaml": "resources: [a.yaml]", "l0/a.yaml": "# " + strings.Repeat("x", 100_000) + "\n" + service}
	for i := 1; i < 20; i++ { // each level reads the one below twice
		twice := fmt.Sprintf("resources: [../l%d]\n", i-1)
		doubling[fmt.Sprintf("l%d/kustomization.yaml", i)] = "resources: [a, b]"
		doubling[fmt.Sprintf("l%d/a/kustomization.yaml", i)] = "namePrefix: a\n" + strings.Replace(twice, "..", "../..", 1)
		doubling[fmt.Sprintf("l%d/b/kustomization.yaml", i)] = "namePrefix: b\n" + strings.Replace(twice, "..", "../..", 1)
	}
	doubling["kustomization.yaml"] = "resources: [l19]"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"an empty directory", nil, "DIR: must have a kustomization.yaml, or .yaml, .yml or .json files with objects"},
		{"two Services with one name", map[string]string{"a.yaml": service + "---\n" + service}, "DIR/a.yaml: Service staff: must be there once only"},
		{"a misspelt field in a file of a kustomization", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": change(service, "ports", "prots")}, `DIR: Service staff: unknown field "spec.prots"`},
		{"a port out of range", map[string]string{"a.yaml": change(service, "8080", "80800")}, "DIR/a.yaml: Service staff: spec.ports[0].port: 80800: must be between 1 and 65535"},
		{"a targetPort out of range", map[string]string{"a.yaml": change(service, "8080", "8080, targetPort: -1")}, "DIR/a.yaml: Service staff: spec.ports[0].targetPort: -1: must be between 1 and 65535, or the name of a port"},
		{"a nodePort out of range", map[string]string{"a.yaml": change(service, "spec: {ports: [{port: 8080", "spec: {type: NodePort, ports: [{nodePort: 8080, port: 8080")}, "DIR/a.yaml: Service staff: spec.ports[0].nodePort: 8080: must be between 30000 and 32767"},
		{
			"two Services with one nodePort",
			map[string]string{
				"a.yaml": change(service, "spec: {ports: [{port: 8080", "spec: {type: NodePort, ports: [{nodePort: 30080, port: 8080"),
				"b.yaml": change(change(service, "spec: {ports: [{port: 8080", "spec: {type: NodePort, ports: [{nodePort: 30080, port: 8080"), "staff", "tracker"),
			},
			"DIR/b.yaml: Service tracker: spec.ports[0].nodePort: 30080: must be another than that of Service staff",
		},
		{"negative replicas", map[string]string{"a.yaml": change(deployment, "selector:", "replicas: -1\n  selector:")}, "DIR/a.yaml: Deployment staff: spec.replicas: -1: must be at least 0"},
		{"a variable without a name", map[string]string{"a.yaml": change(deployment, "image:", "env: [{name: A=B}], image:")}, `DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].env[0].name: "A=B": must be a name without '=', and a value without NUL`},
		// files that kustomize reads
		{"aliases of aliases", map[string]string{"kustomization.yaml": "resources: [b]", "b/kustomization.yaml": "resources: [a.yaml]", "b/a.yaml": aliasBomb}, "DIR/b/a.yaml:1: more than 1000000 values, with aliases: must be fewer"},
		{"a large resource", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": large}, "DIR/a.yaml: 1048639 bytes: must be at most 1048576 in a kustomization"},
		{"a large file of a generator", map[string]string{"kustomization.yaml": "configMapGenerator: [{name: a, files: [a.txt]}]", "a.txt": large}, "DIR/a.txt: 1048639 bytes: must be at most 1048576 in a kustomization"},
		{"a tree that doubles at each level", doubling, "DIR/kustomization.yaml: kustomize: reads more than 8388608 bytes: must be fewer"},
		{"text after ---", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": service + "--- a: b\n"}, `DIR/a.yaml:5: "a: b" after ---: must be a comment, or on the next line`},
		{"a document after the end of another", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": service + "...\n" + deployment}, "DIR/a.yaml:5: a second document after the end of this one: must come after a line with ---"},
		{"a kustomization that is not YAML", map[string]string{"kustomization.yaml": "resources: [b]", "b/kustomization.yaml": "resources: ["}, "DIR/b/kustomization.yaml: not YAML: yaml: line 1: did not find expected node content"},
		{
			"a key that is a number",
			map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {portLevelMtls: {8080: {mode: STRICT}}}\n"},
			`DIR/a.yaml: spec.portLevelMtls: 8080: must be a string, as in "8080": kustomize writes no object with another key`,
		},
		{"a URL", map[string]string{"kustomization.yaml": "resources: ['https://example.com/a.yaml']"}, "DIR/kustomization.yaml: resources: https://example.com/a.yaml" + mustBeLocal},
		{"a repository", map[string]string{"kustomization.yaml": "components: [b]", "b/kustomization.yaml": component + "resources: ['github.com/a/b?ref=main']"}, "DIR/b/kustomization.yaml: resources: github.com/a/b?ref=main" + mustBeLocal},
		{"a remote patch", map[string]string{"kustomization.yaml": "patches: [{path: 'http://example.com/a.yaml'}]"}, "DIR/kustomization.yaml: path: http://example.com/a.yaml" + mustBeLocal},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, loadError(t, test.files))
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "none"))
	wants.Error(t, "a missing path", err, "read manifests: stat …")
}

// TestLaterFile checks that, as with kubectl apply, an object replaces the object with the same name from
// an earlier file. If the two differ, there is a note.
func TestLaterFile(t *testing.T) {
	other := strings.Replace(service, "8080", "8081", 1)
	dir := write(t, map[string]string{"a.yaml": service, "b.yaml": service, "c.yaml": other})
	objects := load(t, dir)
	require.Equal(t, "Service staff", names(objects))
	assert.EqualValues(t, 8081, Of[*corev1.Service](objects)[0].Spec.Ports[0].Port, "port of the last file")
	assert.Equal(t, []string{fmt.Sprintf("%[1]s/c.yaml: Service staff: replaces the one of %[1]s/b.yaml", dir)}, objects.Notes, "notes")
}

// TestKustomizeErrors checks that an error of kustomize becomes one line that begins with the
// kustomization's file and names the cause. The rest of the text is kustomize's and is not checked.
func TestKustomizeErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"a cycle", map[string]string{"kustomization.yaml": "resources: [sub]", "sub/kustomization.yaml": "resources: [..]"}, []string{"cycle detected", "DIR/sub"}},
		{"a misspelt field", map[string]string{"kustomization.yaml": "resource: [a.yaml]", "a.yaml": service}, []string{`unknown field "resource"`}},
		{"a missing resource", map[string]string{"kustomization.yaml": "resources: [b.yaml]"}, []string{"b.yaml", "(each entry must be an existing file or directory, relative to the kustomization that lists it)"}},
		{"a resource without a name", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": "kind: Service"}, []string{"a.yaml", "missing metadata.name"}},
		{"a null where kustomize panics", map[string]string{"kustomization.yaml": "resources: [a.yaml]\nreplacements: [{sourceValue: x, targets: [null]}]", "a.yaml": service}, []string{"panic: "}},
		{"two objects with one name", map[string]string{"kustomization.yaml": "resources: [a.yaml, b.yaml]", "a.yaml": service, "b.yaml": service}, []string{"b.yaml", "already registered id", "staff"}},
		{
			"a component without the component that it needs",
			map[string]string{"kustomization.yaml": "resources: [a.yaml]\ncomponents: [b]", "a.yaml": service, "b/kustomization.yaml": component + "configMapGenerator: [{name: c, behavior: merge, literals: [A=1]}]"},
			[]string{"DIR/b", "(the component that creates it must be listed before the one that merges)"},
		},
		{
			"a patch without a target",
			map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: b.yaml}]", "a.yaml": service, "b.yaml": deployment},
			[]string{"staff", "(the resources must have an object of the patch's kind and name)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := loadError(t, test.files)
			for _, part := range test.want {
				wants.Text(t, "the error", got, "DIR/kustomization.yaml: kustomize: …"+part+"…")
			}
		})
	}
}

// TestKustomizeTimeout checks that a build ends with its context.
func TestKustomizeTimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := write(t, map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": service})
	_, err := kustomize(ctx, dir)
	assert.Error(t, err, "after the end of the context")
}
