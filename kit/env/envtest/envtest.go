// Package envtest tests what a configuration accepts, and that its table in a README is the one that the code
// generates.
package envtest

import (
	"flag"
	"os"
	"strings"
	"testing"

	"fleetman.example/kit/env"
)

var update = flag.Bool("update", false, "write the generated tables into the READMEs")

const begin, end = "<!-- config -->\n", "<!-- /config -->"

// Read returns what read reads from values.
func Read[C any](values map[string]string, read func(*env.Reader) C) (C, error) {
	r := env.New(Map(values))
	cfg := read(r)
	return cfg, r.Err()
}

// Refuses fails the test unless the error of reading values has every one of want.
func Refuses[C any](t testing.TB, values map[string]string, read func(*env.Reader) C, want ...string) {
	t.Helper()
	_, err := Read(values, read)
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got  %v\nwant %s", err, text)
		}
	}
}

// CheckReadme compares the table of README.md with the variables that read reads: see CheckTable.
func CheckReadme[C any](t *testing.T, read func(*env.Reader) C) {
	t.Helper()
	r := env.New(Map(nil))
	read(r)
	CheckTable(t, "README.md", r.Table())
}

// CheckTable fails the test if the text between the config marks of the file at path is not table.
// With -update it replaces the text by table.
func CheckTable(t *testing.T, path, table string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s: no marks: must be %q and %q around the configuration table", path, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	if old == table {
		return
	}
	if !*update {
		t.Fatalf("%s: configuration table out of date: run the test with -update; got\n%s\nwant\n%s", path, old, table)
	}
	if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Map returns a getenv function that looks names up in values.
func Map(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}
