// Package envtest keeps the configuration table of a README equal to the code that reads it.
package envtest

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what is generated from the code")

const begin, end = "<!-- config -->\n", "<!-- /config -->"

// CheckReadme fails when the text between the config marks of the file at path is not table.
// With -update it writes table there.
func CheckReadme(t *testing.T, path, table string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s: expected the marks %q and %q around the configuration table", path, strings.TrimSpace(begin), end)
	}
	if old == table {
		return
	}
	if !*update {
		t.Fatalf("%s: the configuration table is not what the code reads; run the test with -update. Expected:\n%s", path, table)
	}
	if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Map is a getenv over fixed values.
func Map(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}
