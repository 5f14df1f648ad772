package process

import (
	"errors"
	"os/exec"
	"testing"
)

// TestStartAfterClose: a supervisor that starts something when its fleet has
// ended gets an error.
func TestStartAfterClose(t *testing.T) {
	s, err := NewSpawner()
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Start(exec.Command("true"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	s.Close()
	if p, err := s.Start(exec.Command("true")); p != nil || !errors.Is(err, errClosed) {
		t.Errorf("got %v, %v, want %v", p, err, errClosed)
	}
}
