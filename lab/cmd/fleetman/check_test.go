package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	if err := os.Mkdir(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "expect.yaml"), []byte("promises: [{promise: x, chekcs: []}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"check", "--run", "("}, exitUsage, "--run (: must be a regular expression: error parsing regexp"},
		{[]string{"check", "--ingress-port", "70000"}, exitUsage, "--ingress-port 70000: "},
		{[]string{"up", "--node-port", "fleetman-webapp"}, exitUsage, "--node-port fleetman-webapp: must be SERVICE=PORT"},
		{[]string{"check", "--again", "-1"}, exitUsage, "--again -1: must be between 0 and 9"},
		{[]string{"check", "--network", "x"}, exitUsage, "--network x: must be a network, such as 127.0.1.0/24"},
		{[]string{"check", filepath.Join(dir, "nowhere")}, exitFailure, "nowhere: must be a file, a directory or a scenario; fleetman scenarios lists them"},
		{[]string{"check", empty}, exitFailure, "no expect.yaml in " + empty},
		{[]string{"check", broken}, exitFailure, "chekcs"},
		{[]string{"check", "plain", "--state", t.TempDir(), "--network", networkOf(t) + "0/24", "--run", "nobody promises this"}, exitFailure, `no promise matches --run "nobody promises this"`},
		{[]string{"check", "canary-weightd"}, exitFailure, "canary-weightd: must be a file, a directory or a scenario: did you mean canary-weighted?"},
	} {
		code, stdout, stderr := fleetman(t, test.args...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("fleetman %s: exit code %d, not %d; %q, not one line with %q", strings.Join(test.args, " "), code, test.code, stderr, test.want)
		}
	}
}

func TestBinariesOfTheUser(t *testing.T) {
	program := filepath.Join(t.TempDir(), "istioctl")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ISTIOCTL", program)
	code, stdout, stderr := fleetman(t, "binaries", "istioctl", "-o", "yaml")
	if want := "- name: istioctl\n  path: " + program + "\n  source: ISTIOCTL\n"; code != 0 || stdout != want || stderr != "" {
		t.Errorf("exit code %d, %q, %q, want %q", code, stdout, stderr, want)
	}
}
