package compare

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"fleetman.example/lab/process"
)

// thisMachine describes the machine that the figures are from.
func thisMachine(ctx context.Context) string {
	machine := fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	if model := process.MachineModel(ctx); model != runtime.GOARCH {
		return machine + ", " + model
	}
	return machine
}

// versions returns those of the services and of Go. The services are built from
// root, so their version is its commit.
func versions(ctx context.Context, root string) map[string]string {
	commit := "unknown"
	git := exec.CommandContext(ctx, "git", "-C", root, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+changes")
	if text, err := git.Output(); err == nil {
		commit = strings.TrimSpace(string(text))
	}
	return map[string]string{"fleetman": commit, "go": runtime.Version()}
}
