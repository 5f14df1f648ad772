// Package golden compares what tests make with files, which -update writes, and reads the tables of tests.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

// Updates reports whether the files are to be written.
func Updates() bool { return *update }

// Compare fails the test unless a file has the text, and names the first line that differs.
func Compare(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	file, err := os.ReadFile(path)
	require.NoError(t, err, "go test -update writes it")
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(file), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if g, w := lineAt(gotLines, i), lineAt(wantLines, i); g != w {
			t.Errorf("%s:%d: got %q, want %q; go test -update writes it", path, i+1, g, w)
			return
		}
	}
}

// Cases reads the cases of a test from a YAML file into a list or a map. A field that they do not have, or a file without
// cases, fails the test.
func Cases(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, into), path)
	require.NotEmpty(t, into, path)
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// Between is Compare for a part of a file: that between the lines <!-- NAME --> and <!-- /NAME -->.
func Between(t testing.TB, path, name, got string) {
	t.Helper()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	first, last := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, found := strings.Cut(string(file), first)
	_, after, closed := strings.Cut(rest, last)
	if !found || !closed {
		t.Fatalf("%s: no marks %s and %s", path, strings.TrimSpace(first), strings.TrimSpace(last))
	}
	Compare(t, path, before+first+got+last+after)
}
