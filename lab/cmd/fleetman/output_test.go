package main

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
)

// full is a writer on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestFullOutput checks that a command fails whose output is lost.
func TestFullOutput(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"scenarios"}, {"scenarios", "-o", "json"}, {"completion", "bash"}, {"help"}, {"lint", "--help"}} {
		var errs buffer
		assert.Equal(t, exitFailure, run(t.Context(), args, os.Environ(), full{}, &errs), args)
		assert.Equal(t, "fleetman: standard output: no space left on device\n", errs.String(), args)
	}
}
