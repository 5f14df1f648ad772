package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/wants"
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
		{[]string{file}, 1, file + ":34: 1: …\n", "fleetman: lint: 1 error, 0 warnings, 0 intended\n"},
		{[]string{"--format", "github", file}, 1, "::error file=…\n", "fleetman: lint: 1 error, 0 warnings, 0 intended\n"},
		{[]string{ignored}, 0, "", "0 errors, 0 warnings, 1 intended\n"},
		{[]string{empty}, 1, "", "fleetman: " + empty + ": no object: must have one at least\n"},
		{[]string{"plain"}, 0, "", "0 errors, 0 warnings, 0 intended\n"},
		{[]string{"/nowhere.yaml"}, 2, "", "fleetman: /nowhere.yaml: must be a file, a directory or a scenario; fleetman scenarios lists them\n"},
	} {
		code, stdout, stderr := fleetman(t, append([]string{"lint"}, test.args...)...)
		assert.Equal(t, test.code, code, "%q", test.args)
		wants.Text(t, fmt.Sprintf("first line of %q", test.args), strings.SplitAfter(stdout, "\n")[0], test.stdout)
		assert.True(t, strings.HasSuffix(stderr, test.stderr), "%q: standard error %s", test.args, stderr)
	}
}
