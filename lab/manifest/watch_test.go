package manifest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWatch(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.yaml")
	write := func(path, text string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write(file, "a")
	saved := Watch([]string{dir, file})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, test := range []struct {
		what   string
		change func()
	}{
		{"written", func() { write(file, "ab") }},
		{"new below", func() { write(filepath.Join(dir, "x", "b.yaml"), "") }},
		{"gone", func() { _ = os.Remove(file) }},
	} {
		test.change()
		assert.True(t, saved(ctx), test.what)
	}
	ended, end := context.WithCancel(ctx)
	end()
	assert.False(t, saved(ended), "a change without one")
}
