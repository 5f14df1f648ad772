package lint

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fleetman.example/lab/manifest"
)

// TestProve: each rule that can be proven has a valid experiment for its failing
// example, whose repair ends the finding.
func TestProve(t *testing.T) {
	proven := 0
	for _, rule := range Rules() {
		file := filepath.Join("testdata", fmt.Sprintf("%02d", rule.Number), "bad.yaml")
		m, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := m.Prove(rule.Name, Options{}, []string{file})
		if rule.proof == nil {
			if err == nil || !strings.Contains(err.Error(), rule.NoProof) {
				t.Errorf("%s: %v, want why it is not proven", rule.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", rule.Name, err)
			continue
		}
		proven++
		if err := e.Check(nil); err != nil || len(e.Figures) == 0 || e.Finding.Rule != strconv.Itoa(rule.Number) {
			t.Errorf("%s: %v, %+v", rule.Name, err, e.Finding)
		}
		patch := e.Arms[1].Patches[0]
		for i, object := range m.Objects.All {
			if object.Kind != patch["kind"] || object.Name != patch["metadata"].(map[string]any)["name"] {
				continue
			}
			text, err := json.Marshal(patch)
			if err != nil {
				t.Fatal(err)
			}
			repaired, err := manifest.Decode(file, text)
			if err != nil {
				t.Fatal(err)
			}
			m.Objects.All[i] = repaired[0]
		}
		if left := found(m.Check(Options{})); slices.Contains(left, strconv.Itoa(rule.Number)) {
			t.Errorf("%s is found after its repair: %v", rule.Name, patch)
		}
	}
	if proven != 2 {
		t.Errorf("%d rules are proven, want 2", proven)
	}
	m, err := Load("testdata/01/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"1":  "rule 1 never-opens: no finding in a rule of the mesh: must have one",
		"24": "24: must be the number or the name of a rule",
	} {
		if _, err := m.Prove(name, Options{}, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
