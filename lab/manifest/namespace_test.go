package manifest

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/wants"
)

// TestIn: whatever names the default namespace follows, and nothing else does.
func TestIn(t *testing.T) {
	objects := load(t, "testdata/in.yaml")
	moved, err := objects.In("team")
	require.NoError(t, err)
	var got strings.Builder
	for _, o := range moved.All {
		got.WriteString(o.Ref() + " " + string(o.JSON) + "\n")
	}
	golden.Compare(t, "testdata/in.golden", got.String())
	_, err = objects.In("A")
	wants.Error(t, "namespace A", err, `namespace: "A": must be lower-case letters, digits, '-' and '.'`)
}

// TestScenariosIn: no scenario names the default namespace once it is moved.
func TestScenariosIn(t *testing.T) {
	files, err := filepath.Glob("../../k8s/scenarios/*/kustomization.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files, "scenarios")
	arms, err := filepath.Glob("../../k8s/scenarios/*/*/kustomization.yaml")
	require.NoError(t, err)
	for _, file := range append(files, arms...) {
		objects := load(t, filepath.Dir(file))
		before := len(objects.All)
		moved, err := objects.In("team")
		require.NoError(t, err)
		assert.Len(t, moved.All, before, file)
		for _, o := range moved.All {
			inDefault := bytes.Contains(o.JSON, []byte(".default.")) || bytes.Contains(o.JSON, []byte("ns/default")) || o.Namespace == DefaultNamespace
			assert.False(t, inDefault, "%s: %s: %s", file, o.Ref(), o.JSON)
		}
	}
	assert.FileExists(t, "../../k8s/components/sidecars/namespace.yaml") // the Namespace that the test moves
}
