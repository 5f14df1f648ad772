package k8stest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/manifest"
)

// TestGolden compares the rendered scenarios with their golden files. An object that is equal in base is only
// named, so a change in base changes one golden file. -update writes them.
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
	golden.Compare(t, filepath.Join("testdata", "golden", filepath.FromSlash(name)+".yaml"), string(got))
}
