package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

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
		if err != nil {
			t.Fatalf("make %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := do("help"); !strings.Contains(out, "clean") {
		t.Errorf("make help prints %s", out)
	}
	do("build")
	if _, err := os.Stat(filepath.Join(clone, ".cache/bin/fleetman")); err != nil {
		t.Error(err)
	}

	network := networkOf(t)
	up := command("run", "UP=--network "+network+"0/24 --node-address "+network+"250 --ready-timeout "+patience.String()+" k8s/base")
	var printed bytes.Buffer
	log := create(t, filepath.Join(dir, "log"))
	up.Stdout, up.Stderr = &printed, log
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	for deadline := time.Now().Add(5 * time.Minute); !strings.Contains(read(t, log.Name()), "ready after"); { // the services are built
		select {
		case err := <-ended:
			t.Fatalf("make run: %v: %s", err, read(t, log.Name()))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("make run is not ready: %s", read(t, log.Name()))
		}
	}
	if err := syscall.Kill(-up.Process.Pid, syscall.SIGINT); err != nil { // like Ctrl-C in a terminal
		t.Fatal(err)
	}
	if err := <-ended; !strings.HasSuffix(read(t, log.Name()), "stopping\n") {
		t.Errorf("make run ended with %v: %s", err, read(t, log.Name()))
	}
	if !strings.Contains(printed.String(), "fleetman-webapp: http://"+network+"250:30080") {
		t.Errorf("make run printed %s", printed.String())
	}
	if !strings.Contains(printed.String(), "console: http://"+network+"250:30090") {
		t.Errorf("make run printed %s", printed.String())
	}

	do("clean")
	for _, gone := range []string{".cache", "services/webapp/ui/node_modules", "services/webapp/ui/dist/index.html", "lab/console/ui/node_modules", "lab/console/ui/dist/index.html"} {
		if _, err := os.Stat(filepath.Join(clone, gone)); !os.IsNotExist(err) {
			t.Errorf("after make clean, %s: %v", gone, err)
		}
	}
	for _, kept := range []string{keep, filepath.Join(clone, "Makefile")} {
		if _, err := os.Stat(kept); err != nil {
			t.Errorf("after make clean: %v", err)
		}
	}
}

// TestParts checks that a part that fails ends no other one, and that the last lines are the times and the failures.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	makefile := "a:\n\t@echo one\nb:\n\t@echo '--- FAIL: TestX (1.00s)'; echo noise; false\nc:\n\t@echo last; exit 2\nd:\n\t@echo two\n"
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(makefile), 0o644); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join(root, ".ci", "parts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		parts []string
		code  int
		want  string
	}{
		{[]string{"a", "d"}, 0, `one\ntwo\n\na +ok +\d+ s\nd +ok +\d+ s\n`},
		{[]string{"a", "b", "c", "d"}, 1, `(?s)one\n.*two\n\na +ok +\d+ s\nb +FAILED +\d+ s\nc +FAILED +\d+ s\nd +ok +\d+ s\nb: --- FAIL: TestX \(1.00s\)\nc: last\nmake: [^\n]*Error 2\n`},
	} {
		cmd := exec.Command(script, test.parts...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "MAKE=make", "MAKEFLAGS=", "MAKELEVEL=0")
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != test.code || !regexp.MustCompile("^"+test.want+"$").Match(out) {
			t.Errorf("%q: exit code %d\n got %s\nwant %s", test.parts, code, out, test.want)
		}
	}
}
