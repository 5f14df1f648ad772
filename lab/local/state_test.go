package local

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestUnlock checks that a state directory is free after unlock, also while a process that is being started has a copy
// of the file.
func TestUnlock(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	unlock, err := Lock(dir)
	require.NoError(t, err)
	owner, err := Owner(dir)
	require.NoError(t, err)
	assert.Equal(t, os.Getpid(), owner, "owner")
	_, err = Lock(dir)
	assert.ErrorContains(t, err, "another fleet runs in "+dir)

	files, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, file := range files {
		if path, _ := os.Readlink(file); path != lockFile(dir) {
			continue
		}
		fd, err := strconv.Atoi(filepath.Base(file))
		require.NoError(t, err)
		copied, err := syscall.Dup(fd)
		require.NoError(t, err)
		defer syscall.Close(copied)
	}
	unlock()
	owner, err = Owner(dir)
	require.NoError(t, err)
	assert.Zero(t, owner, "owner after unlock")
	unlock, err = Lock(dir)
	require.NoError(t, err, "after unlock")
	unlock()
}
