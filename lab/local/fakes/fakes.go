// Package fakes builds the programs with which tests run fleets.
package fakes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Programs are the names of the fleet's programs.
var Programs = []string{"api-gateway", "position-simulator", "position-tracker", "staff-service", "vehicle-telemetry", "webapp"}

// Build builds a fake of each program in a directory.
func Build(dir string) error {
	first := filepath.Join(dir, Programs[0])
	if out, err := exec.Command("go", "build", "-o", first, "fleetman.example/lab/local/testdata/fake").CombinedOutput(); err != nil {
		return fmt.Errorf("build the fake: %w: %s", err, out)
	}
	for _, name := range Programs[1:] {
		if err := os.Link(first, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Dir returns a directory with a fake of each program, for one test.
func Dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, Build(dir))
	return dir
}
