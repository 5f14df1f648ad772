package gobuild

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// fixture returns a build of one package, and a directory on the PATH for the test's own go command.
func fixture(t *testing.T) (b Build, path string, lines func() string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `a "b" $c 'd' ü`)
	require.NoError(t, os.CopyFS(dir, fstest.MapFS{
		"go.work":      {Data: []byte("go 1.26\n\nuse ./ours\n")},
		"ours/go.mod":  {Data: []byte("module made.example/ours\n\ngo 1.26\n")},
		"ours/main.go": {Data: []byte("package main\n\nfunc main() {}\n")},
	}))
	var said []string
	b = Build{
		Dir: dir, Packages: []string{"./ours"}, Output: filepath.Join(dir, "out"), Work: filepath.Join(dir, "work"),
		Name: "ours", Progress: func(line string) { said = append(said, line) }, Every: time.Hour,
	}
	return b, t.TempDir(), func() string { return strings.Join(said, "\n") }
}

// TestUsersEnvironment checks that the user's go settings, in the environment and of go env -w, do not affect
// the build.
func TestUsersEnvironment(t *testing.T) {
	b, _, _ := fixture(t)
	file := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(file, []byte("GOFLAGS=-mod=mod\nGOWORK=off\nGO111MODULE=off\n"), 0o644))
	for name, value := range map[string]string{
		"GOENV": file, "GOFLAGS": "-mod=mod", "GOWORK": "off", "GO111MODULE": "off", "GOBIN": "relative", "GOOS": "plan9", "CGO_ENABLED": "1", "CC": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
	require.NoError(t, b.Run(t.Context()))
	t.Setenv("GOFLAGS", "") // so that the file's takes effect
	require.NoError(t, b.Run(t.Context()))
	_, err := os.Stat(b.Output)
	require.NoError(t, err)
	_, err = os.Stat(b.Work)
	assert.ErrorIs(t, err, os.ErrNotExist, "the temporary files")
}

// TestInterrupted checks that an interrupted build leaves no temporary files, even when go has no time to
// remove them.
func TestInterrupted(t *testing.T) {
	b, path, _ := fixture(t)
	script := "#!/bin/sh\nmkdir \"$GOTMPDIR/go-build1\"; echo some/package; trap 'exit 1' INT; while :; do sleep 0.01; done\n"
	require.NoError(t, os.WriteFile(filepath.Join(path, "go"), []byte(script), 0o755))
	t.Setenv("PATH", path+":/usr/bin:/bin")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.Every, b.Progress = 0, func(string) { cancel() }
	assert.ErrorIs(t, b.Run(ctx), context.Canceled, "interrupted")
	_, err := os.Stat(b.Work)
	assert.ErrorIs(t, err, os.ErrNotExist, "the temporary files")
}

func TestProgress(t *testing.T) {
	b, path, lines := fixture(t)
	script := `#!/bin/sh
case $1 in
list) printf 'a\nb\nc\n' ;;
build) echo a; until [ -e "$GOTMPDIR/counted" ]; do sleep 0.01; echo b; done; echo b; echo '# b' ; echo 'b.go:1: bad'; exit 1 ;;
esac
`
	require.NoError(t, os.WriteFile(filepath.Join(path, "go"), []byte(script), 0o755))
	t.Setenv("PATH", path+":/usr/bin:/bin")
	b.Every = 0
	keep := b.Progress
	b.Progress = func(line string) {
		if keep(line); strings.Contains(line, " of at most 3 packages ") {
			assert.NoError(t, os.WriteFile(filepath.Join(b.Work, "counted"), nil, 0o644))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	wants.Error(t, "a build that fails", b.Run(ctx), "exit status 1: b.go:1: bad")
	assert.Regexp(t, `^building ours: 1 (package|of at most 3 packages) compiled after \d+s, now a\n`+ // the packages may be counted by then
		`(building ours: \d+ packages compiled after \d+s, now b\n)*`+
		`(building ours: \d+ of at most 3 packages compiled after \d+s, now b\n?)+$`, lines(), "progress")
}

// TestUnwritableHome checks that the error names the variables that replace the caches in HOME.
func TestUnwritableHome(t *testing.T) {
	b, _, _ := fixture(t)
	for name, value := range map[string]string{"HOME": "/dev/null", "XDG_CACHE_HOME": "", "GOCACHE": ""} {
		t.Setenv(name, value)
	}
	err := b.Run(t.Context())
	wants.Error(t, "caches in HOME", err, "…/dev/null…; set GOCACHE and GOMODCACHE to directories that you can write to")
}

func TestEnv(t *testing.T) {
	got := goEnv([]string{"GOGC=100", "GOFLAGS=-mod=mod", "GOARCH=arm"}, []string{"GOWORK=off"})
	assert.Equal(t, append(slices.Clone(fast), "GOGC=100"), got[:3], "the first variables: the later value of one wins")
	assert.NotContains(t, got, "GOARCH=arm")
	assert.Equal(t, "GOWORK=off", got[len(got)-1], "the last variable")
	assert.Greater(t, slices.Index(got, "GOFLAGS=-mod=readonly -buildvcs=false"), slices.Index(got, "GOFLAGS=-mod=mod"), "the project's value is the later one")
}
