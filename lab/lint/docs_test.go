package lint

import (
	"path/filepath"
	"regexp"
	"testing"

	"fleetman.example/lab/golden"
)

// TestDocs holds docs/lint.md to the code.
func TestDocs(t *testing.T) { golden.Between(t, "../../docs/lint.md", "rules", Documentation()) }

// TestRules: each rule is complete, and can be proven or says why not.
func TestRules(t *testing.T) {
	if len(Rules()) != 23 {
		t.Errorf("%d rules, want 23", len(Rules()))
	}
	names := map[string]bool{}
	for i, r := range Rules() {
		if r.Number != i+1 || r.Name == "" || names[r.Name] || r.Finds == "" || r.Reason == "" || r.Source == "" || r.Severity != Error && r.Severity != Warning {
			t.Errorf("rule %d is not complete: %+v", i+1, r)
		}
		names[r.Name] = true
		if !r.provable() && r.NoProof == "" || r.proof != nil && r.dump {
			t.Errorf("rule %d: has a proof: %v, says why it has none: %q", r.Number, r.proof != nil, r.NoProof)
		}
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
		if got, used := settings[match[1]]; used && got != want {
			t.Errorf("%s: %+v, want %+v", match[1], got, want)
		}
	}
	for name := range settings {
		if !known[name] {
			t.Errorf("%s: is not in docs/configuration.md", name)
		}
	}
}

// TestAddresses holds the programs' addresses to the tables of their READMEs.
func TestAddresses(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+_URL)` \\| `(http://[^`]+)` \\|")
	for _, program := range programs {
		text := read(t, "../../services/"+program+"/README.md")
		found := row.FindAllStringSubmatch(text, -1)
		if len(found) != len(defaultAddresses[program]) {
			t.Errorf("%s: %d addresses, want those of its README: %v", program, len(defaultAddresses[program]), found)
		}
		for _, match := range found {
			if got := defaultAddresses[program][match[1]]; got != match[2] {
				t.Errorf("%s: %s is %s, want %s", program, match[1], got, match[2])
			}
		}
	}
	modules, err := filepath.Glob("../../services/*/go.mod")
	if err != nil || len(modules) != len(programs) {
		t.Errorf("%d programs, want %d: %v", len(programs), len(modules), err)
	}
}
