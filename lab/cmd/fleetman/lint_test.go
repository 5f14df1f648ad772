package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLint: findings go to standard output, and an error makes the exit code 1.
func TestLint(t *testing.T) {
	t.Setenv("ISTIOCTL", "/nowhere")
	file := filepath.Join("..", "..", "lint", "testdata", "01", "bad.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ignored := filepath.Join(t.TempDir(), "intended.yaml")
	marked := strings.Replace(string(text), "      maxEjectionPercent", "      # fleetman:ignore 1 because it is a test\n      maxEjectionPercent", 1)
	if err := os.WriteFile(ignored, []byte(marked), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(empty, []byte("# nothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
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
		{[]string{"/nowhere.yaml"}, 1, "", "fleetman: /nowhere.yaml: must be a file, a directory or a scenario; fleetman scenarios lists them\n"},
	} {
		code, stdout, stderr := fleetman(t, append([]string{"lint"}, test.args...)...)
		if code != test.code || !strings.HasPrefix(stdout, test.stdout) || (test.stdout == "") != (stdout == "") || !strings.HasSuffix(stderr, test.stderr) {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q, want %d, %q, %q", test.args, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}
