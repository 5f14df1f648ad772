// Package gobuild runs go build in an environment of the project's own, and
// reports its progress.
package gobuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/lab/process"
)

// own are the variables that decide what go build makes of the sources: the
// user's values, from the environment or from go env -w, do not reach it.
// (go takes an empty variable for an unset one, so each has a value.)
var own = []string{
	"GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=auto", "GO111MODULE=on",
	"CGO_ENABLED=0", // as in the images; a C library takes memory in every process
}

// others are variables that have no value which means "unset".
var others = []string{"GOOS", "GOARCH", "GOBIN", "GOEXPERIMENT"}

// goEnv returns the environment for the go command: environ, without the user's
// settings for builds of their own, and with more, which comes last.
func goEnv(environ, more []string) []string {
	var env []string
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); !slices.Contains(others, name) {
			env = append(env, variable)
		}
	}
	return append(append(env, own...), more...)
}

// Build is one run of go build.
type Build struct {
	Dir      string   // where go runs
	Flags    []string // beside -v and -trimpath
	Packages []string
	Output   string
	Env      []string // over the project's own
	// Work is the directory for go's temporary files. It is removed at the
	// end, and before, in case an earlier run was killed.
	Work string
	// Lock is a file that go and its children keep open; nil for none.
	Lock *os.File
	// Progress is called with one line at a time, every Every, with Name in it.
	Name     string
	Every    time.Duration
	Progress func(line string)
}

// Run builds. The error of a build that fails has the compiler's messages in
// one line.
func (b Build) Run(ctx context.Context) error {
	if err := os.RemoveAll(b.Work); err != nil {
		return err
	}
	if err := os.MkdirAll(b.Work, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(b.Work)
	args := slices.Concat([]string{"build", "-v", "-trimpath"}, b.Flags, []string{"-o", b.Output}, b.Packages)
	cmd := b.command(args...)
	if b.Lock != nil {
		cmd.ExtraFiles = []*os.File{b.Lock}
	}
	counting := b.progress()
	defer counting.stop()
	var complaints []string
	err := process.Lines(ctx, cmd, func(line string) {
		switch {
		case strings.HasPrefix(line, "go: downloading"):
			counting.show("downloading " + strings.TrimPrefix(line, "go: downloading "))
		case strings.HasPrefix(line, "#"): // the package of the complaints that follow
		case strings.ContainsAny(line, " :"):
			complaints = append(complaints, strings.TrimSpace(line))
		default: // go build -v prints a package a line
			counting.compiled++
			counting.show(line)
		}
	})
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("go is not on the PATH: install Go 1.26 or later")
	}
	return fmt.Errorf("%w: %s", err, strings.Join(complaints[max(0, len(complaints)-5):], "; "))
}

func (b Build) command(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = b.Dir
	work := b.Work
	if absolute, err := filepath.Abs(work); err == nil {
		work = absolute
	}
	cmd.Env = goEnv(os.Environ(), append([]string{"GOTMPDIR=" + work}, b.Env...))
	return cmd
}

// progress counts packages. How many there are is asked for once a build has
// taken long enough to be reported.
type progress struct {
	build        Build
	began, shown time.Time
	compiled     int
	total        atomic.Int64
	ask          sync.Once
	asking       sync.WaitGroup
	ctx          context.Context
	stopAsking   context.CancelFunc
}

func (b Build) progress() *progress {
	p := &progress{build: b, began: time.Now(), shown: time.Now()}
	p.ctx, p.stopAsking = context.WithCancel(context.Background())
	return p
}

func (p *progress) show(now string) {
	if time.Since(p.shown) < p.build.Every {
		return
	}
	p.shown = time.Now()
	p.ask.Do(func() { p.asking.Go(p.count) })
	of := ""
	if total := p.total.Load(); total > 0 {
		of = fmt.Sprintf(" of at most %d", total) // those in go's cache are not compiled
	}
	p.build.Progress(fmt.Sprintf("building %s: %d%s packages compiled after %s, now %s",
		p.build.Name, p.compiled, of, time.Since(p.began).Round(time.Second), now))
}

func (p *progress) count() {
	total := 0
	cmd := p.build.command(slices.Concat([]string{"list", "-deps"}, p.build.Flags, p.build.Packages)...)
	err := process.Lines(p.ctx, cmd, func(line string) {
		if !strings.ContainsAny(line, " :#") {
			total++
		}
	})
	if err == nil {
		p.total.Store(int64(total))
	}
}

func (p *progress) stop() {
	p.stopAsking()
	p.asking.Wait()
}
