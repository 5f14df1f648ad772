package process

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStartAfterClose: a supervisor that starts something when its fleet has
// ended gets an error.
func TestStartAfterClose(t *testing.T) {
	s, err := NewSpawner()
	require.NoError(t, err)
	p, err := s.Start(exec.Command("true"))
	require.NoError(t, err)
	<-p.Done()
	s.Close()
	_, err = s.Start(exec.Command("true"))
	assert.ErrorIs(t, err, errClosed)
}
