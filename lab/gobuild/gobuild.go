// Package gobuild runs go build independent of the user's go settings, and reports its progress.
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

// own are variables that change the result of go build. They replace the user's values from the
// environment and from go env -w. Each has a value, because go treats an empty variable as unset.
var own = []string{
	"GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=auto", "GO111MODULE=on",
	"CGO_ENABLED=0", // as in the images; a C library uses memory in every process
}

// others are variables that change the result, too, but have no value that means "unset". They are
// removed.
var others = []string{"GOOS", "GOARCH", "GOBIN", "GOEXPERIMENT"}

// fast makes a compiler collect its garbage only near 2 GiB, which saves a quarter of the CPU time of a first build. No
// package of this repository takes more than 0.8 GiB so; Istio's largest one, which needs 1, would take four times as long
// with a limit of 512 MiB. A value of the user's wins.
var fast = []string{"GOGC=off", "GOMEMLIMIT=2GiB"}

// goEnv returns the environment of the go command: environ without the user's go settings, followed by more.
func goEnv(environ, more []string) []string {
	env := slices.Clone(fast)
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); !slices.Contains(others, name) {
			env = append(env, variable)
		}
	}
	return append(append(env, own...), more...)
}

// Build configures a run of go build.
type Build struct {
	Dir      string   // working directory
	Flags    []string // in addition to -v and -trimpath
	Packages []string
	Output   string
	Env      []string // overrides the project's settings
	// Work is the directory for go's temporary files. It is removed at the end, and at the start in case
	// an earlier run was killed.
	Work string
	// Lock is a file that go and its children inherit. Nil means none.
	Lock *os.File
	// Name is the name of the build in lines of progress.
	Name string
	// Every is the minimum time between two lines of progress.
	Every time.Duration
	// Progress is called with one line at a time.
	Progress func(line string)
}

// Run runs the build. The error has the compiler's last messages, in one line.
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
	progress := b.progress()
	defer progress.stop()
	var messages []string
	err := process.Lines(ctx, cmd, func(line string) {
		switch {
		case strings.HasPrefix(line, "go: downloading"):
			progress.show("downloading " + strings.TrimPrefix(line, "go: downloading "))
		case strings.HasPrefix(line, "#"): // the package of the messages that follow
		case strings.ContainsAny(line, " :"):
			messages = append(messages, strings.TrimSpace(line))
		default: // go build -v prints one package a line
			progress.compiled++
			progress.show(line)
		}
	})
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("go is not on the PATH: install Go 1.26 or later")
	}
	text := strings.Join(messages[max(0, len(messages)-5):], "; ")
	if strings.Contains(text, "build cache") || strings.Contains(text, "GOCACHE") || strings.Contains(text, "module cache") {
		text += "; set GOCACHE and GOMODCACHE to directories that you can write to"
	}
	return fmt.Errorf("%w: %s", err, text)
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

// progress counts compiled packages. The total is computed, by go list, when the first line is due.
type progress struct {
	build        Build
	began, shown time.Time
	compiled     int
	total        atomic.Int64
	once         sync.Once
	listing      sync.WaitGroup
	ctx          context.Context
	cancel       context.CancelFunc
}

func (b Build) progress() *progress {
	p := &progress{build: b, began: time.Now(), shown: time.Now()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *progress) show(now string) {
	if time.Since(p.shown) < p.build.Every {
		return
	}
	p.shown = time.Now()
	p.once.Do(func() { p.listing.Go(p.count) })
	of := ""
	if total := p.total.Load(); total > 0 {
		of = fmt.Sprintf(" of at most %d", total) // packages in go's cache are not compiled
	}
	noun := "packages"
	if p.compiled == 1 && of == "" {
		noun = "package"
	}
	p.build.Progress(fmt.Sprintf("building %s: %d%s %s compiled after %s, now %s",
		p.build.Name, p.compiled, of, noun, time.Since(p.began).Round(time.Second), now))
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
	p.cancel()
	p.listing.Wait()
}
