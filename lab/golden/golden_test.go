package golden

import (
	"path/filepath"
	"testing"
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
		if r.failures != step.failures {
			t.Errorf("step %d: %d failures, want %d", n, r.failures, step.failures)
		}
	}
}
