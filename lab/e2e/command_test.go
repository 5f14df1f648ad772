package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fleetman.example/lab/control"
	"fleetman.example/lab/skip"
)

// command is a running fleetman up, started as a user does, at its own addresses.
type command struct {
	binary, state string
	network       string // 127.X.Y.
	out, errors   string // files of its output
	up            *exec.Cmd
	ended         chan error
}

// launch builds the command and starts a fleet at 127.X.third.0/24. It returns when the output says that the
// fleet is ready.
func launch(t *testing.T, third int, args ...string) *command {
	t.Helper()
	dir := t.TempDir()
	c := &command{
		binary: filepath.Join(dir, "fleetman"), state: filepath.Join(dir, "state"),
		network: fmt.Sprintf("127.%d.%d.", 100+os.Getpid()%100, third),
		out:     filepath.Join(dir, "stdout"), errors: filepath.Join(dir, "stderr"), ended: make(chan error, 1),
	}
	build := exec.Command("go", "build", "-o", c.binary, "./lab/cmd/fleetman")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building fleetman: %v\n%s", err, text)
	}
	c.up = exec.Command(c.binary, append([]string{"--root", root, "--state", c.state}, c.upArgs(args...)...)...)
	c.up.Stdout, c.up.Stderr = create(t, c.out), create(t, c.errors)
	if err := c.up.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() { c.ended <- c.up.Wait(); close(waited) }()
	t.Cleanup(func() {
		_ = c.up.Process.Kill() // its pods end with it; an error means that it has ended
		<-waited
		if t.Failed() {
			t.Logf("output of fleetman up:\n%s%s", read(t, c.out), read(t, c.errors))
		}
	})
	await(t, "the fleet to be ready", func() bool {
		select {
		case err := <-c.ended:
			if text := read(t, c.errors); strings.Contains(text, "run make ui") {
				skip.Without(t, strings.TrimSpace(text))
			}
			t.Fatalf("fleetman up ended: %v", err)
		default:
		}
		return strings.Contains(read(t, c.errors), "ready after")
	})
	return c
}

// upArgs returns the arguments of such a fleetman up.
func (c *command) upArgs(more ...string) []string {
	return append([]string{"up", "--network", c.network + "0/24", "--node-address", c.network + "250", "--ready-timeout", patience.String()}, more...)
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs another command on the same fleet.
func (c *command) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary, append([]string{"--root", root, "--state", c.state}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), complaints.String()
}

func (c *command) read(t *testing.T, into any, args ...string) {
	t.Helper()
	code, stdout, stderr := c.run(t, args...)
	if code > 1 {
		t.Fatalf("%q: exit code %d: %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		t.Fatalf("%q: %v: %s%s", args, err, stdout, stderr)
	}
}

// ask runs another command, which must succeed, and returns its output.
func (c *command) ask(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := c.run(t, args...)
	if code != 0 {
		t.Fatalf("fleetman %q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

func (c *command) pods(t *testing.T) (status control.Status) {
	t.Helper()
	c.read(t, &status, "status", "-o", "json")
	return status
}

func (c *command) nodePort(t *testing.T, service string) string {
	t.Helper()
	for _, port := range c.pods(t).NodePorts {
		if port.Service == service {
			return "http://" + port.Address.String()
		}
	}
	t.Fatalf("no NodePort of %s", service)
	return ""
}
