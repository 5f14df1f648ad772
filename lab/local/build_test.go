package local

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBuildFromElsewhere: with a relative root the programs come to where they
// are then started from.
func TestBuildFromElsewhere(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.CopyFS(root, fstest.MapFS{
		"go.work":                {Data: []byte("go 1.26\n\nuse ./services/ours\n")},
		"services/ours/go.mod":   {Data: []byte("module made.example/ours\n\ngo 1.26\n")},
		"services/ours/main.go":  {Data: []byte("package main\n\nfunc main() {}\n")},
		"somewhere/below/it.txt": {},
	}))
	t.Chdir(filepath.Join(root, "somewhere", "below"))
	t.Setenv("GOFLAGS", "")
	bin, err := Build(t.Context(), "../..", []string{"ours"}, func(string) {})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, ".cache", "bin"), bin, "directory")
	assert.FileExists(t, filepath.Join(bin, "ours"))
}
