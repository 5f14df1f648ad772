package main

import (
	"strings"
	"testing"
)

// TestLint: findings go to standard output, and an error makes the exit code 1.
func TestLint(t *testing.T) {
	t.Setenv("ISTIOCTL", "/nowhere")
	const file = "../../lint/testdata/01/bad.yaml"
	ignored := write(t, "intended.yaml", strings.Replace(read(t, file), "      maxEjectionPercent", "      # fleetman:ignore 1 because it is a test\n      maxEjectionPercent", 1))
	empty := write(t, "empty.yaml", "# nothing\n")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{file}, 1, file + ":34: 1: ", "fleetman: lint: 1 error, 0 warnings, 0 intended\n"},
		{[]string{"--format", "github", file}, 1, "::error file=", "fleetman: lint: 1 error, 0 warnings, 0 intended\n"},
		{[]string{ignored}, 0, "", "0 errors, 0 warnings, 1 intended\n"},
		{[]string{empty}, 1, "", "fleetman: " + empty + ": no object: must have one at least\n"},
		{[]string{"plain"}, 0, "", "0 errors, 0 warnings, 0 intended\n"},
		{[]string{"/nowhere.yaml"}, 2, "", "fleetman: /nowhere.yaml: must be a file, a directory or a scenario; fleetman scenarios lists them\n"},
	} {
		code, stdout, stderr := fleetman(t, append([]string{"lint"}, test.args...)...)
		if code != test.code || !strings.HasPrefix(stdout, test.stdout) || (test.stdout == "") != (stdout == "") || !strings.HasSuffix(stderr, test.stderr) {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q, want %d, %q, %q", test.args, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}
