package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"fleetman.example/lab/gobuild"
)

// services are the programs of the fleet.
var services = []string{"api-gateway", "position-simulator", "position-tracker", "staff-service", "vehicle-telemetry", "webapp"}

// build compiles the services as they are shipped.
func build(ctx context.Context, root string, progress io.Writer) (bin string, err error) {
	bin = filepath.Join(root, ".cache", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("building: %w", err)
	}
	args := []string{"build", "-trimpath", "-tags", "nomsgpack", "-ldflags", "-s -w", "-o", bin + string(filepath.Separator)}
	for _, name := range services {
		args = append(args, "./services/"+name)
	}
	fmt.Fprintln(progress, "bench: building the services (a minute the first time)")
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, progress, progress
	cmd.Env = gobuild.Env(os.Environ())
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building: go %q: %w", args, err)
	}
	return bin, nil
}
