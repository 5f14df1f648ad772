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

	undo, err := f.Override(objects, []Setting{{"a", "COLOUR", "red"}}, map[string]int{"a": 2})
	require.NoError(t, err)
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

	const must = "must be a Deployment of the manifests: a, b"
	for _, test := range []struct {
		set      []Setting
		replicas map[string]int
		want     string
	}{
		{nil, map[string]int{"nobody": 3}, `set "nobody": ` + must},
		{[]Setting{{"a", "A", ""}, {"nobody", "A", ""}}, nil, `set "nobody": ` + must},
		{[]Setting{{"a", "1A", ""}}, nil, `set a: "1A": must be the name of a variable, and its value without NUL`},
	} {
		_, err := f.Override(objects, test.set, test.replicas)
		wants.Error(t, "a mistake", err, test.want)
	}
	change, err = f.Apply(t.Context(), objects)
	require.NoError(t, err)
	assert.Equal(t, "", change.Pods(), "after mistakes")
	undo()
	change, err = f.Apply(t.Context(), objects)
	require.NoError(t, err)
	assert.Equal(t, "1 pod started, 2 ended", change.Pods(), "after undo")
}
