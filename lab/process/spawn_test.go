package process

import (
	"errors"
	"os/exec"
	"testing"

	"fleetman.example/lab/assert"
)

// TestStartAfterClose: a supervisor that starts something when its fleet has
// ended gets an error.
func TestStartAfterClose(t *testing.T) {
	s, err := NewSpawner()
	assert.NoError(t, err)
	p, err := s.Start(exec.Command("true"))
	assert.NoError(t, err)
	<-p.Done()
	s.Close()
	if p, err := s.Start(exec.Command("true")); p != nil || !errors.Is(err, errClosed) {
		t.Errorf("got %v, %v, want %v", p, err, errClosed)
	}
}
