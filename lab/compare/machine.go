package compare

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// thisMachine describes the machine that the figures are from.
func thisMachine() string {
	machine := fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, after, found := strings.Cut(string(text), "model name\t: "); found {
		model, _, _ := strings.Cut(after, "\n")
		return machine + ", " + strings.TrimSpace(model)
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
