package compare

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
	"fleetman.example/lab/wants"
)

// brief is a fault and a load of 600 ms on the stand-in front.
const brief = `faults: [{name: bad, inject: [{service: front, rules: status=502}]}]
load: {target: front, rate: 20, streams: [{path: /}]}
phases: {healthy: 200ms, fault: 300ms, after: 100ms}
`

// newIn returns all runs of a comparison, and those that it did not have before, in their order.
func newIn(t testing.TB, o Options, before []*record.Run) (all, measured []string) {
	t.Helper()
	for _, r := range records(t, o.Out).Runs {
		all = append(all, r.Name())
		if !slices.ContainsFunc(before, func(other *record.Run) bool { return other.Began.Equal(r.Began) }) {
			measured = append(measured, r.Name())
		}
	}
	return all, measured
}

// TestGoesOn: a comparison measures only the runs that are not there as a whole: a line is missing, or there twice, or
// the comparison was interrupted in the middle of a line. One run is measured again; other conditions are refused.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	const text = "# q?\narms: [{name: a, manifests: fleet.yaml}, {name: b, manifests: fleet.yaml}, {name: c, manifests: fleet.yaml}]\nseeds: [1, 2]\n" + brief
	o := standIns(t, text, "front")
	run(t, o)
	runs := records(t, o.Out).Runs
	require.Len(t, runs, 6)
	path := filepath.Join(o.Out, record.FileName)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(written), "\n")
	second := runs[0].Lines + 2 // the index of the second run's first line
	lines[2] = ""               // of the first
	lines[second+1] += lines[second+1]
	last := second + runs[1].Lines + 1 + runs[2].Lines + 1 // of the fourth's
	write(t, o.Out, record.FileName, strings.Join(lines[:last+1], "")+lines[last+1][:20])
	c := comparison(t, o)
	assert.Equal(t, []string{
		fmt.Sprintf("%s:2: %s: lines: %d: must be %d: some are missing: measuring again", path, runs[0].Name(), runs[0].Lines-1, runs[0].Lines),
		fmt.Sprintf("%s:%d: %s: lines: %d: must be %d: there are more than the run has: measuring again", path, second, runs[1].Name(), runs[1].Lines+1, runs[1].Lines),
		fmt.Sprintf("%s:%d: %s: the line is cut off: measuring again", path, last+2, runs[3].Name()),
	}, c.Defects(), "defects")
	left, all, _ := c.Left()
	assert.Equal(t, []int{5, 6}, []int{left, all}, "left, of all")
	require.NoError(t, c.Run(t.Context()))
	names, measured := newIn(t, o, runs)
	assert.Equal(t, []string{runs[2].Name(), runs[0].Name(), runs[1].Name(), runs[3].Name(), runs[4].Name(), runs[5].Name()}, names, "runs")
	assert.Equal(t, names[1:], measured, "measured again")

	runs = records(t, o.Out).Runs
	o.Again = &record.Key{Arm: "b", Fault: "bad", Seed: 1}
	run(t, o)
	again, measured := newIn(t, o, runs)
	assert.Equal(t, names, again, "runs")
	assert.Equal(t, []string{"b, bad, seed 1"}, measured, "measured again")
	o.Again = &record.Key{Arm: "d", Fault: "bad", Seed: 1}
	_, err = New(o)
	assert.EqualError(t, err, "--run d, bad, seed 1: must be an arm, a fault and a seed of the experiment")
	o.Again, o.Experiment = nil, decode(t, strings.Replace(text, "rate: 20", "rate: 30", 1), "front")
	_, err = New(o)
	assert.EqualError(t, err, "--out "+o.Out+": rate: 20 and 30: must be the same to go on; else --out must be another directory")
}

// TestChanged: a comparison does not go on with an arm, a fault or a load that has changed since runs were measured;
// goals are those of the file. Without a run to measure the network may be another fleet's.
func TestChanged(t *testing.T) {
	t.Parallel()
	const text = "# q?\narms: [{name: a, manifests: fleet.yaml}, {name: b, manifests: fleet.yaml}]\nseeds: [1]\n" + brief
	o := standIns(t, text, "front")
	run(t, o)
	written := records(t, o.Out)
	changed := func(parts ...string) string {
		for i, part := range parts {
			parts[i] = "--out " + o.Out + ": " + part + ": changed since it was measured: must be the same to go on; else --out must be another directory"
		}
		return strings.Join(parts, "\n")
	}
	for _, test := range []struct{ old, new, want string }{
		{"", "", ""},
		{"# q?", "# another?", ""},
		{"{name: b,", "{name: b, meaning: m,", ""},
		{"{name: b,", "{name: b, replicas: {front: 2},", changed("arm b")},
		{"{name: b,", "{name: b, env: {front: {A: x}},", changed("arm b")},
		{"status=502", "status=503", changed("fault bad")},
		{"path: /", "path: /other", changed("load, phases")},
		{"[{path: /}]}", "[{path: /}], from: front}", changed("load, phases")},
	} {
		o.Experiment = decode(t, strings.Replace(text, test.old, test.new, 1), "front")
		_, err := New(o)
		wants.Error(t, test.new, err, test.want)
	}
	other := standIns(t, text, "front", "back") // another fleet.yaml
	o.Experiment, o.Bin = other.Experiment, other.Bin
	_, err := New(o)
	wants.Error(t, "other manifests", err, changed("arm a", "arm b"))
	o.Again = &record.Key{Arm: "b", Fault: "bad", Seed: 1}
	_, err = New(o)
	wants.Error(t, "other manifests, one run again", err, changed("arm a"))

	goals := text + "goals: [{figure: failed, arm: a, fault: bad, atLeast: 10%}]\n"
	o.Again, o.Experiment = nil, decode(t, goals, "front")
	c := comparison(t, o)
	left, _, _ := c.Left()
	assert.Zero(t, left, "runs to measure")
	busy, err := net.Listen("tcp", netip.AddrPortFrom(o.Network.Addr(), 65535).String()) // as another fleet does
	require.NoError(t, err)
	defer busy.Close()
	require.NoError(t, c.Run(t.Context()))
	again := records(t, o.Out)
	assert.Equal(t, goals, again.Experiment, "experiment")
	assert.Equal(t, written.Runs, again.Runs, "runs")
}

// TestOlderRecords: a file that is no comparison is never overwritten.
func TestOlderRecords(t *testing.T) {
	o := short(t, "comparison", "none", "bad-replica", phases(0, time.Second, 0))
	write(t, o.Out, record.FileName, "precious\n")
	_, err := New(o)
	wants.Error(t, "no records", err, "…: --out must be a directory without records, or with those of this experiment")
	text, err := os.ReadFile(filepath.Join(o.Out, record.FileName))
	require.NoError(t, err)
	assert.Equal(t, "precious\n", string(text))
}

// TestStopped: a comparison that is ended leaves no records of the run that
// was interrupted, and no fleet.
func TestStopped(t *testing.T) {
	t.Parallel()
	o := short(t, "comparison", "none,library", "bad-replica", phases(0, time.Second, 0))
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(line string) {
		if strings.HasPrefix(line, "1 of 2 ") {
			cancel()
		}
	}
	c := comparison(t, o)
	first := c.plans[0].arm.Name
	err := c.Run(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualError(t, err, "interrupted in "+first+", bad-replica, seed 1: 0 of 2 runs are kept in "+o.Out+": context canceled")
	text, err := os.ReadFile(filepath.Join(o.Out, record.FileName))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(text), "\n"), "lines: the header only")
}
