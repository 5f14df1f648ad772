package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/nettest"
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

// built is the directory of the command, or "" when no test has needed it.
var built string

// fleetman builds the command once for all tests, as make does, so that most of it is compiled already.
var fleetman = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "fleetman-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "fleetman")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./lab/cmd/fleetman")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return path, fmt.Errorf("build fleetman: %w\n%s", err, text)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// binary returns the path of the command.
func binary(t testing.TB) string {
	t.Helper()
	path, err := fleetman()
	require.NoError(t, err)
	return path
}

// networkOf returns the beginning of the addresses of a network of the test's own, such as "127.120.4.".
func networkOf(t testing.TB) string {
	t.Helper()
	return strings.TrimSuffix(nettest.Network(t).Addr().String(), "0")
}

// launch starts a fleet at a network of its own, with the command. It returns when the output says that the fleet
// is ready.
func launch(t testing.TB, args ...string) *command {
	t.Helper()
	dir := t.TempDir()
	c := &command{
		binary: binary(t), state: filepath.Join(dir, "state"), network: networkOf(t),
		out: filepath.Join(dir, "stdout"), errors: filepath.Join(dir, "stderr"), ended: make(chan error, 1),
	}
	c.up = exec.Command(c.binary, append([]string{"--root", root, "--state", c.state}, c.upArgs(args...)...)...)
	c.up.Stdout, c.up.Stderr = create(t, c.out), create(t, c.errors)
	require.NoError(t, c.up.Start())
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

func create(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// run runs another command on the same fleet.
func (c *command) run(t testing.TB, args ...string) (code int, stdout, stderr string) {
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

func (c *command) read(t testing.TB, into any, args ...string) {
	t.Helper()
	code, stdout, stderr := c.run(t, args...)
	require.LessOrEqual(t, code, 1, "%q: %s", args, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), into), "%q: %s%s", args, stdout, stderr)
}

// ask runs another command, which must succeed, and returns its output.
func (c *command) ask(t testing.TB, args ...string) string {
	t.Helper()
	code, stdout, stderr := c.run(t, args...)
	require.Zero(t, code, "exit code of fleetman %q: %s", args, stderr)
	return stdout
}

// pod returns a pod's status.
func (c *command) pod(t testing.TB, name string) local.Pod {
	t.Helper()
	pods := c.pods(t).Pods
	i := slices.IndexFunc(pods, func(p local.Pod) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, "no pod %s", name)
	return pods[i]
}

func (c *command) pods(t testing.TB) (status control.Status) {
	t.Helper()
	c.read(t, &status, "status", "-o", "json")
	return status
}

func (c *command) nodePort(t testing.TB, service string) string {
	t.Helper()
	url := nodePort(c.pods(t).NodePorts, service)
	require.NotEmpty(t, url, service)
	return url
}
