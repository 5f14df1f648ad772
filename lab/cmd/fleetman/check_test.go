package main

import (
	"path/filepath"
	"testing"
)

func TestCheckRefuses(t *testing.T) {
	broken, empty := filepath.Dir(write(t, "expect.yaml", "promises: [{promise: x, chekcs: []}]\n")), t.TempDir()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"check", "--run", "("}, exitUsage, "--run (: must be a regular expression: error parsing regexp"},
		{[]string{"check", "--ingress-port", "70000"}, exitUsage, "--ingress-port 70000: "},
		{[]string{"up", "--node-port", "fleetman-webapp"}, exitUsage, "--node-port fleetman-webapp: must be SERVICE=PORT"},
		{[]string{"check", "--again", "-1"}, exitUsage, "--again -1: must be between 0 and 9"},
		{[]string{"check", filepath.Join(empty, "nowhere")}, exitUsage, "nowhere: must be a file, a directory or a scenario; fleetman scenarios lists them"},
		{[]string{"check", empty}, exitUsage, "no expect.yaml in " + empty},
		{[]string{"check", broken}, exitFailure, "chekcs"},
		{[]string{"check", "plain", "--state", t.TempDir(), "--network", networkOf(t) + "0/24", "--run", "nobody promises this"}, exitUsage, `--run "nobody promises this": must match "SCENARIO: PROMISE" of a promise`},
	} {
		expect(t, test.code, "", "fleetman: …"+test.want+"…\n", test.args...)
	}
}

func TestBinariesOfTheUser(t *testing.T) {
	program := write(t, "istioctl", "#!/bin/sh\n")
	t.Setenv("ISTIOCTL", program)
	expect(t, 0, "- name: istioctl\n  path: "+program+"\n  source: ISTIOCTL\n", "", "binaries", "istioctl", "-o", "yaml")
}
