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
	target, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	write(filepath.Join(target, "c.yaml"), "c")
	require.NoError(t, os.Symlink(target, link))
	source := filepath.Join(t.TempDir(), "d.yaml")
	write(source, "d")
	require.NoError(t, os.Symlink(source, filepath.Join(dir, "d.yaml")))
	saved := Watch([]string{dir, file, link})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, test := range []struct {
		what   string
		change func()
	}{
		{"written", func() { write(file, "ab") }},
		{"new below", func() { write(filepath.Join(dir, "x", "b.yaml"), "") }},
		{"written below a link", func() { write(filepath.Join(target, "c.yaml"), "cd") }},
		{"target of a link written", func() { write(source, "de") }},
		{"gone", func() { _ = os.Remove(file) }},
	} {
		test.change()
		assert.True(t, saved(ctx), test.what)
	}
	ended, end := context.WithCancel(ctx)
	end()
	assert.False(t, saved(ended), "a change without one")
}
