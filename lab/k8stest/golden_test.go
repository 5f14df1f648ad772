package k8stest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

var update = flag.Bool("update", false, "write what k8s/ renders to into testdata/golden")

// TestGolden compares the rendered scenarios with their golden files. An object that is equal in base is only
// named, so a change in base changes one golden file.
func TestGolden(t *testing.T) {
	base := load(t, filepath.Join(k8s, "base"))
	compare(t, "base", render(t, base, nil))
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			compare(t, name, render(t, load(t, filepath.Join(k8s, "scenarios", name)), base))
		})
	}
}

func render(t *testing.T, objects, base *manifest.Objects) []byte {
	t.Helper()
	known := map[string][]byte{}
	if base != nil {
		for _, object := range base.All {
			known[object.Ref()] = object.JSON
		}
	}
	var out bytes.Buffer
	for _, object := range objects.All {
		if bytes.Equal(object.JSON, known[object.Ref()]) {
			fmt.Fprintf(&out, "# as in base: %s\n", object.Ref())
			continue
		}
		text, err := yaml.JSONToYAML(object.JSON)
		require.NoError(t, err)
		fmt.Fprintf(&out, "---\n%s", text)
	}
	return out.Bytes()
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", filepath.FromSlash(name)+".yaml")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./lab/k8stest -run Golden -update writes it", err)
	}
	gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := lineAt(gotLines, i), lineAt(wantLines, i)
		if g != w {
			t.Fatalf("%s:%d: want %q, rendered %q; to accept it: go test ./lab/k8stest -run Golden -update", path, i+1, w, g)
		}
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}
