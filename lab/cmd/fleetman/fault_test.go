package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
)

// TestFault sets, shows and clears faults of two real staff-services.
func TestFault(t *testing.T) {
	state := t.TempDir()
	network := networkOf(t)
	up := inBackground(t, "up", "--root", "../../..", "--state", state, "--network", network+"0/24", "--node-address", network+"250", "--ready-timeout", "3m",
		"--replicas", "staff-service=2", "../../../k8s/base/staff-service.yaml")
	stderr := &up.stderr
	for deadline := time.Now().Add(2 * patience); !strings.Contains(stderr.String(), "; Ctrl-C ends it\n"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) || len(up.done) > 0 { // it builds first
			t.Fatalf("the fleet does not start: %s", stderr.String())
		}
	}
	const none = "staff-service-0 - - none;staff-service-1 - - none"
	both := func(rule string) string { return "staff-service-0 0 0 " + rule + ";staff-service-1 0 0 " + rule }
	for _, test := range []struct {
		args []string
		code int
		want string // the table's lines, or the error
	}{
		{[]string{"--show"}, 0, none},
		{[]string{"fleetman-staff-service", "status=503,path=/x"}, 0, both("status=503,path=/x")},
		{[]string{"staff-service-1", "reset;hang,rate=0.5"}, 0, "staff-service-1 0 0 reset;staff-service-1 0 0 hang,rate=0.5"},
		{[]string{"--show", "staff-service"}, 0, "staff-service-0 0 0 status=503,path=/x;staff-service-1 0 0 reset;staff-service-1 0 0 hang,rate=0.5"},
		{[]string{"staff-service", "reset,rate=2"}, exitUsage, "fleetman: rule 1 (reset,rate=2): rate: \"2\": must be a share from 0 to 1, or a range such as 0..1\n"},
		{[]string{"staff-service", "reset,hang"}, exitUsage, "fleetman: pod staff-service-0: rule 1 (reset,hang): hang: second kind after reset: must be in a rule of its own (separate rules by ;)\n"},
		{[]string{"stuff", "reset"}, exitUsage, `fleetman: "stuff": must be a service (staff-service) or a pod (staff-service-0, staff-service-1)` + "\n"},
		{[]string{"verify", "stuff"}, exitUsage, `fleetman: "stuff": must be a service (staff-service) or a pod (staff-service-0, staff-service-1)` + "\n"},
		{[]string{"staff-service-0", "--clear"}, 0, "staff-service-0 - - none"},
		{[]string{"--clear"}, 0, none},
		{[]string{"--show"}, 0, none},
	} {
		code, out, errs := fleetman(t, append([]string{"fault", "--state", state}, test.args...)...)
		got := errs
		if code == 0 {
			var lines []string
			for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			header, rest := lines[0], lines[1:]
			got = strings.Join(rest, ";")
			assert.Equal(t, "POD MATCHED FIRED RULE", header, "%q", test.args)
			assert.Empty(t, errs, "%q", test.args)
		}
		assert.Equal(t, test.code, code, "%q", test.args)
		assert.Equal(t, test.want, got, "%q", test.args)
	}
	shows(t, []string{"status=503,path=/x"}, "fault", "staff-service-1", "status=503,path=/x", "--state", state)
	await(t, "the launcher's line of it", func() bool {
		return strings.Contains(stderr.String(), " staff-service-1 fault set: status=503,path=/x\n")
	})
	shows(t, []string{"\nstaff-service-1 has faults: status=503,path=/x\n"}, "pods", "--state", state)
	shows(t, []string{"none"}, "fault", "--clear", "--state", state)
	await(t, "the launcher's line of it", func() bool {
		return strings.Contains(stderr.String(), " staff-service-1 fault cleared: no faults\n")
	})
	code, out, errs := fleetman(t, "fault", "verify", "--state", state)
	assert.Equal(t, 0, code, errs)
	assert.Equal(t, 10, strings.Count(out, "ok\n"), out)
	up.stop()
	assert.Equal(t, 0, <-up.done, stderr.String())
}

// TestOfEach checks that a pod that does not respond, as one that restarts, keeps others from new rules, and no other
// from being cleared or shown.
func TestOfEach(t *testing.T) {
	pods := []local.Pod{{Name: "a", Address: "x"}, {Name: "b", Address: "x"}, {Name: "c", Address: "x"}}
	refused := errors.New("b: connection refused")
	call := func(_ context.Context, pod local.Pod) (faults.State, error) {
		if pod.Name == "b" {
			return faults.State{}, refused
		}
		return faults.State{}, nil
	}
	gone := func(is bool) func(context.Context, local.Pod) bool {
		return func(context.Context, local.Pod) bool { return is }
	}
	for _, all := range []bool{true, false} {
		states, err := ofEach(t.Context(), pods, call, all, gone(true))
		assert.Equal(t, []podFaults{{Pod: "a"}, {Pod: "c"}}, states, "beside a pod that has gone, all: %v", all)
		require.NoError(t, err, "beside a pod that has gone, all: %v", all)
		_, err = ofEach(t.Context(), pods[1:2], call, all, gone(true))
		require.ErrorIs(t, err, refused, "of the only pod, which has gone, all: %v", all)
	}
	for all, want := range map[bool][]podFaults{true: {{Pod: "a"}, {Pod: "c"}}, false: {{Pod: "a"}}} {
		states, err := ofEach(t.Context(), pods, call, all, gone(false))
		assert.Equal(t, want, states, "all: %v", all)
		assert.ErrorIs(t, err, refused, "all: %v", all)
	}
	pods[1].Address = "" // it has not started
	_, err := ofEach(t.Context(), pods, call, true, gone(false))
	require.NoError(t, err, "to clear beside a pod that has not started")
	_, err = ofEach(t.Context(), pods, call, false, gone(false))
	require.ErrorIs(t, err, refused, "to set beside a pod that has not started")
}
