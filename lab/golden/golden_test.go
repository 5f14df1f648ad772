package golden

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder counts the failures of a test.
type recorder struct {
	testing.TB
	failures int
}

func (r *recorder) Errorf(string, ...any) { r.failures++ }

// TestCompare writes a file, and compares texts with it.
func TestCompare(t *testing.T) {
	defer func(before bool) { *update = before }(*update)
	path := filepath.Join(t.TempDir(), "a.txt")
	r := &recorder{TB: t}
	for n, step := range []struct {
		update   bool
		text     string
		failures int
	}{{true, "a\n", 0}, {false, "a\n", 0}, {false, "b\n", 1}, {true, "b\n", 1}, {false, "b\n", 1}} {
		*update = step.update
		Compare(r, path, step.text)
		assert.Equal(t, step.failures, r.failures, "failures after step %d", n)
	}
}

// TestBetween writes and compares only what is between the marks.
func TestBetween(t *testing.T) {
	defer func(before bool) { *update = before }(*update)
	path := filepath.Join(t.TempDir(), "a.md")
	require.NoError(t, os.WriteFile(path, []byte("before\n<!-- x -->\nold\n<!-- /x -->\nafter\n"), 0o644))
	*update = false
	r := &recorder{TB: t}
	Between(r, path, "x", "new\n")
	assert.Equal(t, 1, r.failures, "failures")
	*update = true
	Between(t, path, "x", "new\n")
	*update = false
	Compare(t, path, "before\n<!-- x -->\nnew\n<!-- /x -->\nafter\n")
}
