package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/skip"
)

// TestMakeInAnyPath checks that make help, build, run and clean work in a directory whose path has spaces,
// quotes, a $ and a letter that is not ASCII, independent of the user's go settings, and that clean removes
// only the project's files.
func TestMakeInAnyPath(t *testing.T) {
	t.Parallel()
	for _, ui := range []string{"services/webapp/ui", "lab/console/ui"} {
		if _, err := os.Stat(filepath.Join(root, ui, "dist/index.html")); err != nil {
			skip.Without(t, "the pages are not built: run make ui")
		}
	}
	dir := t.TempDir()
	clone := filepath.Join(dir, `Documents and "code" it's $HOME ü`)
	keep := filepath.Join(dir, "Documents", "keep")
	copyTree := exec.Command("bash", "-euo", "pipefail", "-c", `
		mkdir -p "$1" "$2"; : >"$2/keep"
		git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$1"
		for ui in services/webapp/ui lab/console/ui; do
			mkdir -p "$1/$ui/node_modules"
			touch "$1/$ui/node_modules/.package-lock.json"
			cp -r $ui/dist "$1/$ui/"; touch -d tomorrow "$1/$ui/dist/index.html"
		done`, "copy", clone, filepath.Dir(keep))
	copyTree.Dir = root
	if out, err := copyTree.CombinedOutput(); err != nil {
		skip.Without(t, fmt.Sprintf("a copy of the repository, by git ls-files and GNU cp: %v: %s", err, out))
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command("make", args...)
		cmd.Dir = clone
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GO111MODULE=off", "GOBIN=relative")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd
	}
	do := func(args ...string) string {
		t.Helper()
		out, err := command(args...).CombinedOutput()
		require.NoError(t, err, "make %q: %s", args, out)
		return string(out)
	}
	assert.Contains(t, do("help"), "clean")
	do("build")
	assert.FileExists(t, filepath.Join(clone, ".cache/bin/fleetman"))

	out, err := command("run", "UP=--context x").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "--context: must be a flag of the whole command, which make install builds")
	out, err = exec.Command(filepath.Join(clone, ".cache/bin/fleetman-local"), "compare").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "fleetman: unknown command \"compare\"; see fleetman --help; make install builds the command with clusters and measurements\n", string(out))

	network := networkOf(t)
	up := command("run", "UP=--network "+network+"0/24 --node-address "+network+"250 --ready-timeout "+patience.String()+" k8s/base")
	var printed bytes.Buffer
	log := create(t, filepath.Join(dir, "log"))
	up.Stdout, up.Stderr = &printed, log
	require.NoError(t, up.Start())
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	await(t, "make run to be ready", func() bool { // the services are built
		select {
		case err := <-ended:
			t.Fatalf("make run: %v: %s", err, read(t, log.Name()))
		default:
		}
		return strings.Contains(read(t, log.Name()), "ready after")
	})
	require.NoError(t, syscall.Kill(-up.Process.Pid, syscall.SIGINT)) // like Ctrl-C in a terminal
	err = <-ended
	assert.Regexp(t, `stopping\n$`, read(t, log.Name()), "make run ended with %v", err)
	assert.Contains(t, printed.String(), "fleetman-webapp: http://"+network+"250:30080")
	assert.Contains(t, printed.String(), "console: http://"+network+"250:30090")

	do("clean")
	for _, gone := range []string{".cache", "services/webapp/ui/node_modules", "services/webapp/ui/dist/index.html", "lab/console/ui/node_modules", "lab/console/ui/dist/index.html"} {
		_, err := os.Stat(filepath.Join(clone, gone)) // a file or a directory
		assert.ErrorIs(t, err, fs.ErrNotExist, "after make clean")
	}
	for _, kept := range []string{keep, filepath.Join(clone, "Makefile")} {
		assert.FileExists(t, kept, "after make clean")
	}
}

// TestParts checks that a part that fails ends no other one, that the last lines are the times and the failures, that
// lanes run at the same time, and that an interrupt ends them.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Makefile"), read(t, "testdata/parts.mk"))
	script, err := filepath.Abs(filepath.Join(root, ".ci", "parts"))
	require.NoError(t, err)
	for _, test := range []struct {
		atOnce string // LANES
		lanes  []string
		signal os.Signal
		code   int
		want   string
	}{
		{"1", []string{"a", "d"}, nil, 0, `a: one\nd: two\n\na +ok +\d+ s\nd +ok +\d+ s\n`},
		{"1", []string{"a b", "c d"}, nil, 1, `(?s)a: one\n.*d: two\n\na +ok +\d+ s\nb +FAILED +\d+ s\nc +FAILED +\d+ s\nd +ok +\d+ s\nb: --- FAIL: TestX \(1.00s\)\nc: last\nmake: [^\n]*Error 2\n`},
		{"2", []string{"here", "there c", "d"}, nil, 1, `(?s).*\n\nhere +ok +\d+ s\nthere +ok +\d+ s\nc +FAILED +\d+ s\nd +ok +\d+ s\nc: last\nmake: [^\n]*Error 2\n`},
		{"2", []string{"dies a", "d"}, nil, 1, `(?s).*\n\nd +ok +\d+ s\nlane 1: ended with exit code 137\n`},
		{"2", []string{"long d"}, os.Interrupt, 130, `long: interrupted\n(long: make: [^\n]*\n)+`},
		{"2", []string{"long d"}, syscall.SIGTERM, 130, `long: interrupted\n(long: make: [^\n]*\n)+`},
	} {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "begun")))
		var out bytes.Buffer
		cmd := exec.Command(script, test.lanes...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "MAKE=make", "MAKEFLAGS=", "MAKELEVEL=0", "LANES="+test.atOnce)
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		if test.signal != nil {
			await(t, "the part to begin", func() bool { _, err := os.Stat(filepath.Join(dir, "begun")); return err == nil })
			require.NoError(t, cmd.Process.Signal(test.signal))
		}
		_ = cmd.Wait() // the exit code is compared
		assert.Equal(t, test.code, cmd.ProcessState.ExitCode(), "%q", test.lanes)
		assert.Regexp(t, "^"+test.want+"$", out.String(), "%q", test.lanes)
	}
}
