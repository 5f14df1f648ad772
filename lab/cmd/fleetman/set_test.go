package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local/fakes"
)

// TestSet changes a running fleet of fakes. What the command prints holds when it returns; a failure shows what the
// new pod's program printed, and changes nothing.
func TestSet(t *testing.T) {
	state, network := t.TempDir(), networkOf(t)
	up := inBackground(t, "up", "--bin", fakes.Dir(t), "--state", state, "--network", network+"0/24", "--node-address", network+"250",
		"--restart-backoff", "1ms", "../../../k8s/base/webapp.yaml")
	await(t, "the fleet", func() bool { return strings.Contains(up.stderr.String(), "; Ctrl-C ends it\n") })
	pods := func() (list podList) {
		code, out, errs := fleetman(t, "pods", "--state", state, "-o", "json")
		require.Equal(t, 0, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &list))
		return list
	}

	before := pods()
	failure := "fleetman: pod webapp-1: given up because it failed 5 times, last with exit status 3; its log is " +
		filepath.Join(state, "logs", "webapp-1.log") + ", which ends with\n  fake: FAKE_EXIT is set\n"
	expect(t, exitFailure, "", failure, "set", "webapp", "FAKE_EXIT=3", "--state", state)
	await(t, "the end of the new pod", func() bool { return len(pods().Pods) == 1 })
	assert.Equal(t, before, pods(), "pods after a failure")

	unknown := `webapp: "COLOUR": …` + "\n"
	expect(t, 0, "1 pod started, 1 ended, within … s\n", unknown, "set", "webapp", "COLOUR=red", "--state", state)
	after := pods().Pods
	require.Len(t, after, 1)
	assert.Equal(t, "webapp-1", after[0].Name, "the pod")

	expect(t, 0, "0 pods started, 1 ended, within … s\n", "", "set", "webapp", "--replicas", "0", "--state", state)
	away := "no pod is ready: connections to " + network + "250:30080 fail"
	expect(t, 0, "POD  ADDRESS …\nfleetman-webapp: "+away+"\n", "", "pods", "--state", state)
	expect(t, 0, "running …\nmanifests …\naddress    "+away+" (fleetman-webapp)\npods       0 of 0 ready\nmesh       none\n", "", "status", "--state", state)
}

// onlyOut returns the standard output of a run.
func onlyOut(_ int, stdout, _ string) string { return stdout }

func TestOverride(t *testing.T) {
	for _, test := range []struct {
		args     []string
		replicas int
		scaled   bool
		want     string
	}{
		{[]string{"a", "X=1", "Y=a=b", "Z="}, 0, false, "{[{a X 1} {a Y a=b} {a Z }] map[]}"},
		{[]string{"a"}, 0, true, "{[] map[a:0]}"},
		{[]string{"a", "X=1"}, 3, true, "{[{a X 1}] map[a:3]}"},
		{nil, 0, true, "fleetman set: must be DEPLOYMENT with NAME=VALUE or --replicas; see fleetman set --help"},
		{[]string{"a"}, 0, false, "fleetman set: must be DEPLOYMENT with NAME=VALUE or --replicas; see fleetman set --help"},
		{[]string{"a"}, -1, true, "--replicas -1: must be at least 0"},
		{[]string{"a", "=1"}, 0, false, `=1: must be NAME=VALUE, such as VARIANT=bad`},
	} {
		o, err := override(test.args, test.replicas, test.scaled)
		got := fmt.Sprint(o)
		if err != nil {
			got = err.Error()
		}
		assert.Equal(t, test.want, got, "%q", test.args)
	}
}
