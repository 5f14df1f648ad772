package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fleetman.example/lab/gobuild"
)

// programs returns the absolute path of the directory of the programs: Bin, which must have those that are needed, or that
// of a build.
func (o Options) programs(ctx context.Context, needed []string) (bin string, err error) {
	if o.Bin == "" && len(needed) > 0 {
		return Build(ctx, o.Root, needed, o.Progress)
	}
	if err := checkBin(o.Bin, needed); err != nil {
		return "", err
	}
	return filepath.Abs(o.Bin)
}

// Build compiles the programs that are needed and returns where they are.
// Without changes this takes a fraction of a second: go build has a cache.
func Build(ctx context.Context, root string, needed []string, progress func(string)) (bin string, err error) {
	if root, err = filepath.Abs(root); err != nil { // go build's -o is seen from the directory it runs in
		return "", fmt.Errorf("build: %w", err)
	}
	bin = filepath.Join(root, ".cache", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	packages := []string{}
	for _, name := range needed {
		ui := filepath.Join(root, "services", name, "ui")
		if exists(filepath.Join(ui, "package.json")) && !exists(filepath.Join(ui, "dist", "index.html")) {
			return "", fmt.Errorf("build %s: its page is not built (no services/%s/ui/dist/index.html): run make ui", name, name)
		}
		packages = append(packages, "./services/"+name)
	}
	unlock, err := lockBuild(filepath.Join(bin, ".lock"))
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	defer unlock()

	progress(fmt.Sprintf("building %s (a minute the first time)", strings.Join(needed, ", ")))
	began := time.Now()
	err = gobuild.Build{
		Dir: root, Flags: []string{"-tags", "nomsgpack", "-gcflags=all=-dwarf=false", "-ldflags", "-s -w"}, Packages: packages, Output: bin + string(filepath.Separator),
		Work: filepath.Join(bin, ".work"), Name: "the services", Every: 2 * time.Second, Progress: progress,
	}.Run(ctx)
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	progress(fmt.Sprintf("built in %.1f s", time.Since(began).Seconds()))
	return bin, nil
}

// lockBuild prevents two launchers from writing the same programs at the same time.
func lockBuild(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { unlockFile(file) }, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
