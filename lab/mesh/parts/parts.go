package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Part is one program.
type Part struct {
	Name    string // pilot-discovery, istioctl or envoy
	Path    string // absolute
	Version string // 1.40.0, or a Go module's version; empty for Istio's programs from outside
	// Source says where it is from, in words: "ENVOY_PATH", "the PATH", "the
	// cache".
	Source string
}

func (p Part) String() string {
	version := p.Version
	if version == "" {
		version = "of a version that it does not tell"
	}
	return fmt.Sprintf("%s %s from %s: %s", p.Name, version, p.Source, p.Path)
}

// Parts are all that a mesh needs.
type Parts struct{ Pilot, Istioctl, Envoy Part }

// Source is where parts come from.
type Source struct {
	// Root is the repository: its lab/istio pins Istio, its .cache/tools keeps
	// what is brought.
	Root string
	// Getenv is os.Getenv, for PILOT_DISCOVERY, ISTIOCTL, ENVOY_PATH and PATH.
	Getenv func(string) string
	// Progress gets one line at a time; nil discards them.
	Progress func(line string)
}

// Find brings all parts. Cold it takes four to eight minutes of two cores,
// warm some milliseconds. The error names every part that is missing, one line
// each, and says how to get it.
func (s Source) Find(ctx context.Context) (Parts, error) {
	// Envoy first: if it cannot be had, that is known before the long build.
	envoy, envoyErr := s.Envoy(ctx)
	pilot, pilotErr := s.Pilot(ctx)
	istioctl, istioctlErr := s.Istioctl(ctx)
	return Parts{Pilot: pilot, Istioctl: istioctl, Envoy: envoy}, errors.Join(envoyErr, pilotErr, istioctlErr)
}

// Have is Find for those who cannot wait, such as tests: nothing is built or
// downloaded, and a part that is not there yet is an error that says how to
// get it.
func (s Source) Have() (Parts, error) {
	envoy, envoyErr := s.EnvoyAtHand()
	pilot, pilotErr := s.goToolAtHand(pilotDiscovery)
	istioctl, istioctlErr := s.goToolAtHand(istioctl)
	return Parts{Pilot: pilot, Istioctl: istioctl, Envoy: envoy}, errors.Join(envoyErr, pilotErr, istioctlErr)
}

func (s Source) tools() string { return filepath.Join(s.Root, ".cache", "tools") }

func (s Source) progress(format string, args ...any) {
	if s.Progress != nil {
		s.Progress(fmt.Sprintf(format, args...))
	}
}

// fromEnvironment is the part that a variable names; ok is false when the
// variable is empty.
func (s Source) fromEnvironment(name, variable string) (part Part, ok bool, err error) {
	path := s.Getenv(variable)
	if path == "" {
		return Part{}, false, nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return Part{}, true, fmt.Errorf("%s=%s: %w", variable, path, err)
	}
	if !isProgram(path) {
		return Part{}, true, fmt.Errorf("%s=%s: no program is there; give the path of %s, or unset it", variable, path, name)
	}
	return Part{Name: name, Path: path, Source: variable}, true, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
