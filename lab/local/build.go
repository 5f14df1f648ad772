package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// build compiles the programs that are needed and returns where they are.
// go build does its own caching: nothing to do takes a fraction of a second.
func build(ctx context.Context, root string, needed []string, progress func(string)) (bin string, err error) {
	if root, err = filepath.Abs(root); err != nil { // go build's -o is seen from the directory it runs in
		return "", fmt.Errorf("building: %w", err)
	}
	bin = filepath.Join(root, ".cache", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("building: %w", err)
	}
	args := []string{"build", "-v", "-trimpath", "-tags", "nomsgpack", "-ldflags", "-s -w", "-o", bin + string(filepath.Separator)}
	for _, name := range needed {
		ui := filepath.Join(root, "services", name, "ui")
		if exists(filepath.Join(ui, "package.json")) && !exists(filepath.Join(ui, "dist", "index.html")) {
			return "", fmt.Errorf("building %s: its page is not built (no services/%s/ui/dist/index.html); run make ui", name, name)
		}
		args = append(args, "./services/"+name)
	}
	unlock, err := lockBuild(filepath.Join(bin, ".lock"))
	if err != nil {
		return "", fmt.Errorf("building: %w", err)
	}
	defer unlock()

	progress(fmt.Sprintf("building %s (a minute the first time)", strings.Join(needed, ", ")))
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the images; a libc takes memory in every process
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", fmt.Errorf("building: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("building: %w; Go 1.26 or later is needed on the PATH, or programs in --bin", err)
	}
	compiled, complaints := 0, []string{}
	shown := began
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := lines.Text()
		if strings.ContainsAny(line, " :#") {
			if !strings.HasPrefix(line, "#") {
				complaints = append(complaints, strings.TrimSpace(line))
			}
			continue
		}
		compiled++ // go build -v names a package a line
		if time.Since(shown) > 2*time.Second {
			shown = time.Now()
			progress(fmt.Sprintf("building: %d packages compiled, now %s", compiled, line))
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("building: %w", ctx.Err())
		}
		return "", fmt.Errorf("building: %w: %s", err, strings.Join(complaints, "; "))
	}
	progress(fmt.Sprintf("built in %.1f s", time.Since(began).Seconds()))
	return bin, nil
}

// lockBuild keeps two launchers from writing the same programs at once.
func lockBuild(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
