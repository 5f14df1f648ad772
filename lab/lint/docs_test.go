package lint

import (
	"maps"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
)

// TestDocs holds docs/lint.md to the code.
func TestDocs(t *testing.T) { golden.Between(t, "../../docs/lint.md", "rules", Documentation()) }

// TestRules: each rule is complete, and can be proven or says why not.
func TestRules(t *testing.T) {
	require.Len(t, Rules(), 23)
	names := map[string]bool{}
	for i, r := range Rules() {
		if r.Number != i+1 || r.Name == "" || names[r.Name] || r.Finds == "" || r.Reason == "" || r.Source == "" || r.Severity != Error && r.Severity != Warning {
			t.Errorf("rule %d is not complete: %+v", i+1, r)
		}
		names[r.Name] = true
		assert.True(t, r.provable() || r.NoProof != "", "rule %d says why it has no proof", r.Number)
		assert.False(t, r.proof != nil && r.dump, "rule %d has two proofs", r.Number)
	}
}

// TestSettings holds the library's defaults to docs/configuration.md.
func TestSettings(t *testing.T) {
	text := read(t, "../../docs/configuration.md")
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `([^`]+)` \\| (.*) \\|$")
	inLibrary := regexp.MustCompile("\\(library: `([^`]+)`\\)")
	known := map[string]bool{}
	for _, match := range row.FindAllStringSubmatch(text, -1) {
		known[match[1]] = true
		want := setting{plain: match[2]}
		if library := inLibrary.FindStringSubmatch(match[3]); library != nil {
			want.library = library[1]
		}
		if got, used := settings[match[1]]; used {
			assert.Equal(t, want, got, match[1])
		}
	}
	for name := range settings {
		assert.Contains(t, known, name)
	}
}

// TestAddresses holds the programs' addresses to the tables of their READMEs.
func TestAddresses(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+_URL)` \\| `(http://[^`]+)` \\|")
	modules, err := filepath.Glob("../../services/*/go.mod")
	require.NoError(t, err)
	require.NotEmpty(t, modules, "services")
	for _, module := range modules {
		program, want := filepath.Base(filepath.Dir(module)), map[string]string{}
		for _, match := range row.FindAllStringSubmatch(read(t, "../../services/"+program+"/README.md"), -1) {
			want[match[1]] = match[2]
		}
		got := defaultAddresses[program]
		assert.True(t, maps.Equal(want, got), "%s: %v, want %v", program, got, want)
	}
}
