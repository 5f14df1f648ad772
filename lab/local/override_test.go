package local

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// TestOverride changes a variable and the number of pods of a running fleet, over its manifests.
func TestOverride(t *testing.T) {
	objects := decode(t, service("a", 1, 0, "")+"---\n"+service("b", 1, 0, ""))
	f := startFleet(t, objects, testOptions(t))
	before := pids(f)

	f.Override([]Setting{{"a", "COLOUR", "red"}}, map[string]int{"a": 2})
	change, err := f.Apply(t.Context(), objects)
	require.NoError(t, err)
	assert.Equal(t, "2 pods started, 1 ended", change.Pods(), "pods")
	change.AwaitEnd(t.Context())
	if now := pids(f); len(f.Pods()) != 3 || len(now) != 3 || now["b-0"] != before["b-0"] {
		t.Errorf("processes %v, before %v", now, before)
	}
	for _, ip := range hostsLines(t, f, "a") {
		assert.Equal(t, "red", envAt(t, ip+":8080")["COLOUR"], "colour of a")
	}

	undo := f.Override(nil, map[string]int{"nobody": 3})
	_, err = f.Apply(t.Context(), objects)
	wants.Error(t, "an unknown Deployment", err, `--replicas "nobody": must be a Deployment of the manifests: a, b…`)
	undo()
	change, err = f.Apply(t.Context(), objects)
	require.NoError(t, err)
	assert.Equal(t, "", change.Pods(), "after undo")
}
