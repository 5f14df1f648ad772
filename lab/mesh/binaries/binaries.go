package binaries

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"fleetman.example/lab/process"
)

// Binary is one program.
type Binary struct {
	Name string `json:"name"` // pilot-discovery, istioctl or envoy
	Path string `json:"path"` // absolute
	// Version is a release such as 1.40.0, a Go module's version or a commit. It is empty when the
	// program does not contain it.
	Version string `json:"version,omitempty"`
	// Source is where the binary was found: the name of the variable, such as "ENVOY_PATH", "the PATH"
	// or "the cache".
	Source string `json:"source"`
}

func (b Binary) String() string {
	version := b.Version
	if version == "" {
		version = "of unknown version"
	}
	return fmt.Sprintf("%s %s from %s: %s", b.Name, version, b.Source, b.Path)
}

// Set is the binaries that a mesh needs. Pilot is istiod's.
type Set struct{ Pilot, Istioctl, Envoy Binary }

// Source finds binaries.
type Source struct {
	// Root is the repository. Its lab/istio pins Istio's version; its .cache/tools is the cache.
	Root string
	// Getenv is os.Getenv, for PILOT_DISCOVERY, ISTIOCTL, ENVOY_PATH and PATH.
	Getenv func(string) string
	// Progress is called with one line at a time. Nil discards them.
	Progress func(line string)

	atHand bool // see AtHand
}

// AtHand returns a source that builds and downloads nothing: a binary that is missing is an error.
func (s Source) AtHand() Source {
	s.atHand = true
	return s
}

// Find returns all binaries, and builds or downloads those that are missing. With an empty cache it
// takes four to eight minutes on two cores, otherwise a few milliseconds. The error has one line for
// each binary that is still missing, with how to get it.
func (s Source) Find(ctx context.Context) (Set, error) {
	// Envoy comes first: its failure is reported before the long build.
	envoy, envoyErr := s.Envoy(ctx)
	pilot, pilotErr := s.Pilot(ctx)
	istioctl, istioctlErr := s.Istioctl(ctx)
	return Set{Pilot: pilot, Istioctl: istioctl, Envoy: envoy}, errors.Join(envoyErr, pilotErr, istioctlErr)
}

func (s Source) tools() string { return filepath.Join(s.Root, ".cache", "tools") }

func (s Source) progress(format string, args ...any) {
	if s.Progress != nil {
		s.Progress(fmt.Sprintf(format, args...))
	}
}

// fromEnvironment returns the binary at the path in a variable. ok is false when the variable is empty.
func (s Source) fromEnvironment(name, variable string) (binary Binary, ok bool, err error) {
	path := s.Getenv(variable)
	if path == "" {
		return Binary{}, false, nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return Binary{}, true, fmt.Errorf("%s: %s: %w", variable, path, err)
	}
	if !process.IsProgram(path) {
		return Binary{}, true, fmt.Errorf("%s: %s: must be the path of %s, or unset", variable, path, name)
	}
	return Binary{Name: name, Path: path, Source: variable}, true, nil
}
