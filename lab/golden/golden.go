// Package golden compares what tests make with files, which -update writes.
package golden

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// Updates reports whether the files are to be written.
func Updates() bool { return *update }

// Compare fails the test unless a file has the text.
func Compare(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	if got != string(want) {
		t.Errorf("%s: differs: go test -update writes it:\n%s", path, got)
	}
}
