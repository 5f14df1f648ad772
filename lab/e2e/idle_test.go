package e2e

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

// TestIdleObjects compares the notes of objects that change no proxy with istiod: with and without such an
// object it generates the same configuration.
func TestIdleObjects(t *testing.T) {
	t.Parallel()
	base := manifests(t, scenarios("canary-weighted"))
	m, _ := startMesh(t, base)
	before := generated(t, m)
	objects, err := manifest.Decode("idle.yaml", []byte(read(t, "testdata/idle.yaml")))
	require.NoError(t, err)
	for _, object := range objects {
		what := object.Kind + " " + string(object.JSON)
		applied, err := m.Apply(t.Context(), &manifest.Objects{All: append(slices.Clone(base.All), object)})
		if !assert.NoError(t, err, what) {
			continue
		}
		noted := slices.ContainsFunc(applied.Notes, func(note string) bool { return strings.Contains(note, "changes no proxy") })
		idle, same := object.Name == "idle", bytes.Equal(generated(t, m), before)
		assert.Equal(t, []bool{idle, idle}, []bool{same, noted}, "%s: the same configuration, and a note; notes %q", what, applied.Notes)
	}
}

// generated returns istiod's configuration of all proxies, without its version.
func generated(t testing.TB, m *mesh.Mesh) []byte {
	t.Helper()
	status := m.Status(t.Context())
	var all []any
	for _, p := range status.Proxies {
		pod := p.Name
		if p.Gateway {
			pod += "-0"
		}
		var dump any
		if !get(t, "http://"+status.Istiod.HTTP+"/debug/config_dump?proxyID="+pod+"."+p.Namespace+"&include_eds=true", &dump) {
			t.Fatalf("no configuration of %s", p.Name)
		}
		strip(dump)
		all = append(all, dump)
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return text
}

// strip removes times, versions, names of objects and the mark from a configuration, and sorts its lists, because istiod
// generates listeners and virtual hosts in any order.
func strip(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			strip(element)
		}
		text := func(element any) string { written, _ := json.Marshal(element); return string(written) }
		slices.SortFunc(value, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	case map[string]any:
		for _, key := range []string{"last_updated", "lastUpdated", "version_info", "versionInfo", "fleetman"} {
			delete(value, key)
		}
		if from, _ := value["config"].(string); strings.HasPrefix(from, "/apis/") {
			delete(value, "config")
		}
		for _, element := range value {
			strip(element)
		}
	}
}
