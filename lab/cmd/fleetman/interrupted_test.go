package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/usage"
)

// TestInterrupted: a command that Ctrl-C ends before it is done says so, in one
// line, and exits with 130, wherever it was.
func TestInterrupted(t *testing.T) {
	bin := fakes.Dir(t)
	network := networkOf(t)
	out := filepath.Join(t.TempDir(), "my records")
	root := inRoot(t).root
	for _, test := range []struct {
		name  string
		args  []string
		until string // this is on stderr
		file  string // or there is such a file
		want  string // the last line
	}{
		{
			"up, while pods start",
			[]string{
				"up", "--bin", bin, "--network", network + "0/24", "--node-address", network + "250",
				"--set", "staff-service:FAKE_UNREADY=true", "../../../k8s/base/staff-service.yaml",
			},
			"", "logs/staff-service-0.log", "fleetman: interrupted\n",
		},
		{
			"compare, in its first run",
			[]string{
				"compare", "quick", "--bin", bin, "--network", network + "0/24", "--arms", "none", "--seed", "7", "--out", out, "--all", "--root", root,
			},
			"1 of 1 (0 % done, ", "",
			"fleetman: interrupted: no run was complete; fleetman compare quick --arms none --seed 7 --seeds 1 --out '" + out + "' --all --bin " + bin + " --network " + network + "0/24 --root " + usage.ShellWord(root) + " --state STATE measures the rest\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := t.TempDir()
			program := inBackground(t, append(test.args, "--state", state)...)
			stderr := &program.stderr
			await(t, test.name, func() bool {
				_, err := os.Stat(filepath.Join(state, test.file))
				return test.file != "" && err == nil || test.until != "" && strings.Contains(stderr.String(), test.until)
			})
			program.stop()
			assert.Equal(t, exitInterrupted, <-program.done)
			at := max(0, strings.Index(stderr.String(), "fleetman: "))
			assert.Equal(t, strings.ReplaceAll(test.want, "STATE", state), stderr.String()[at:], stderr.String())
		})
	}
}

// TestInterruptedError: what fails after an interruption fails because of it,
// but for an error that is marked as final, and nothing else does.
func TestInterruptedError(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	bad := errors.New("bad")
	kept := func() string { return "2 of 3 are kept" }
	for _, test := range []struct {
		ctx  context.Context
		err  error
		left func() string
		want error
	}{
		{t.Context(), bad, nil, bad},
		{cancelled, nil, nil, nil},
		{cancelled, bad, nil, interruptedError{}},
		{cancelled, bad, kept, interruptedError{"2 of 3 are kept"}},
		{cancelled, interruptedError{"1 is kept"}, nil, interruptedError{"1 is kept"}},
		{cancelled, finalError{bad}, nil, finalError{bad}},
	} {
		assert.Equal(t, test.want, interrupted(test.ctx, test.err, test.left), "%v", test.err)
	}
}

// TestUnfinished: an interruption of a command on a cluster has what it waited for and what it leaves.
func TestUnfinished(t *testing.T) {
	err := fmt.Errorf("%w; the fleet stays", &cluster.UnfinishedError{Text: "not ready: a"})
	assert.Equal(t, "not ready: a; the fleet stays", unfinished(err))
	assert.Empty(t, unfinished(errors.New("bad")))
}
