package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/skip"
)

// TestMakePackages checks that make keeps the packages that a page has if they are those of its package-lock.json,
// whatever their times are, and if npm cannot get others.
func TestMakePackages(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		skip.Without(t, "Node")
	}
	const (
		ui   = "services/webapp/ui"
		lock = `{"packages": {"": {"name": "ui"}, "node_modules/a": {"integrity": "1"}, "node_modules/b": {"integrity": "2", "optional": true}}}`
		same = `{"packages": {"node_modules/a": {"integrity": "1"}}}`
	)
	for _, test := range []struct {
		name, have string
		cached     string // a file of npm's cache: without one, npm asks the registry first
		npmWorks   string
		code       int
		calls      string
		want       string // node_modules/.package-lock.json
	}{
		{"the same packages", same, "", "", 0, "", same},
		{"another version, npm fails", `{"packages": {"node_modules/a": {"integrity": "0"}}}`, "yes", "", 2, "npm ci\nnpm view\nnpm config\n", `{"packages": {"node_modules/a": {"integrity": "0"}}}`},
		{"another version, nothing cached, no answer", `{"packages": {"node_modules/a": {"integrity": "0"}}}`, "", "", 2, "npm view\nnpm config\n", `{"packages": {"node_modules/a": {"integrity": "0"}}}`},
		{"another version", `{"packages": {"node_modules/a": {"integrity": "0"}}}`, "yes", "yes", 0, "npm ci\n", lock},
		{"one package more", `{"packages": {"node_modules/a": {"integrity": "1"}, "node_modules/c": {"integrity": "3"}}}`, "yes", "yes", 0, "npm ci\n", lock},
		{"a missing package", `{"packages": {}}`, "yes", "yes", 0, "npm ci\n", lock},
		{"no packages", "", "yes", "yes", 0, "npm ci\n", lock},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), `it's "a" clone`)
			put := func(name, text string) {
				path := filepath.Join(dir, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
			}
			put("Makefile", read(t, filepath.Join(root, "Makefile")))
			put("bin/npm", read(t, "testdata/npm.sh"))
			put("calls", "")
			if test.cached != "" {
				put(".cache/npm/index", "")
			}
			for _, name := range []string{".npmrc", "package.json"} {
				put(filepath.Join(ui, name), "{}")
			}
			installed := filepath.Join(ui, "node_modules/.package-lock.json")
			if test.have != "" {
				put(installed, test.have)
				require.NoError(t, os.Chtimes(filepath.Join(dir, installed), time.Time{}, time.Unix(0, 0)))
			}
			put(filepath.Join(ui, "package-lock.json"), lock)
			cmd := exec.Command("make", installed)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "CALLS="+filepath.Join(dir, "calls"), "NPM_WORKS="+test.npmWorks, "MAKEFLAGS=", "MAKELEVEL=0")
			out, _ := cmd.CombinedOutput() // the exit code is compared
			assert.Equal(t, test.code, cmd.ProcessState.ExitCode(), "exit code: %s", out)
			assert.Equal(t, test.calls, read(t, filepath.Join(dir, "calls")), "calls of npm")
			assert.Equal(t, test.want, read(t, filepath.Join(dir, installed)), "installed packages")
		})
	}
}
