package kube

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMark checks the EnvoyFilter by which a proxy's configuration has the mark, for every proxy.
func TestMark(t *testing.T) {
	w := world(t, deployment)
	w.Mark = 7
	objects, notes := derive(t, w)
	assert.Empty(t, notes, "notes")
	filter := find(t, objects, "EnvoyFilter", "fleetman-mark")
	assert.Equal(t, RootNamespace, field[string](filter, "metadata", "namespace"), "namespace")
	text, err := json.Marshal(filter["spec"])
	require.NoError(t, err)
	assert.JSONEq(t, `{"configPatches": [{"applyTo": "CLUSTER", "match": {"cluster": {"name": "BlackHoleCluster"}},
		"patch": {"operation": "MERGE", "value": {"metadata": {"filter_metadata": {"fleetman": {"mark": 7}}}}}}]}`, string(text))
}
