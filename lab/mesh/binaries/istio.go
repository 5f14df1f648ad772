package binaries

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"fleetman.example/lab/gobuild"
)

// goTool is a program of Istio that lab/istio pins.
type goTool struct{ name, module, variable string }

var (
	pilotDiscovery = goTool{"pilot-discovery", "istio.io/istio/pilot/cmd/pilot-discovery", "PILOT_DISCOVERY"}
	istioctl       = goTool{"istioctl", "istio.io/istio/istioctl/cmd/istioctl", "ISTIOCTL"}
)

// Pilot returns istiod's binary, pilot-discovery: from PILOT_DISCOVERY, else built.
func (s Source) Pilot(ctx context.Context) (Binary, error) { return s.goTool(ctx, pilotDiscovery) }

// Istioctl returns istioctl: from ISTIOCTL, else built.
func (s Source) Istioctl(ctx context.Context) (Binary, error) { return s.goTool(ctx, istioctl) }

var istioForm = regexp.MustCompile(`(?m)^\s*(?:require\s+)?istio\.io/istio\s+(v\S+)`)

// IstioVersion returns the version of Istio that lab/istio pins.
func (s Source) IstioVersion() (string, error) {
	path := filepath.Join(s.Root, "lab", "istio", "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("find Istio's version: %w", err)
	}
	match := istioForm.FindSubmatch(data)
	if match == nil {
		return "", fmt.Errorf("find Istio's version: %s: must require istio.io/istio", path)
	}
	return string(match[1]), nil
}

// goTool returns the program from its variable, else from the cache, where it is built if it is missing.
func (s Source) goTool(ctx context.Context, tool goTool) (Binary, error) {
	binary, ok, err := s.fromEnvironment(tool.name, tool.variable)
	if ok || err != nil {
		binary.Version = builtFrom(binary.Path)
		return binary, err
	}
	if s.Root == "" {
		return Binary{}, fmt.Errorf("find %s: no repository to build it from: set %s to its path, or use --root", tool.name, tool.variable)
	}
	version, err := s.IstioVersion()
	if err != nil {
		return Binary{}, fmt.Errorf("find %s: %w: set %s to its path", tool.name, err, tool.variable)
	}
	binary = Binary{Name: tool.name, Path: filepath.Join(s.tools(), tool.name+"-"+version), Version: version, Source: "the cache"}
	err = s.once(ctx, binary.Path, func(ctx context.Context, temporary string, lock *os.File) error {
		return s.goBuild(ctx, tool, temporary, lock)
	})
	if err != nil {
		again := " to try again"
		if s.atHand {
			again = ""
		}
		return Binary{}, fmt.Errorf("find %s: %w: run make mesh-parts%s, or set %s to its path", tool.name, err, again, tool.variable)
	}
	return binary, nil
}

const istioModule = "istio.io/istio"

// builtFrom returns the version of Istio's module in a Go program, or the commit when it was built in
// Istio's own repository. It returns "" when the program contains neither.
func builtFrom(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	for _, dependency := range info.Deps {
		if dependency.Path == istioModule {
			return dependency.Version
		}
	}
	if info.Main.Path == istioModule && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && info.Main.Path == istioModule {
			return setting.Value
		}
	}
	return ""
}

func (s Source) goBuild(ctx context.Context, tool goTool, to string, lock *os.File) error {
	s.progress("building %s from Istio's sources, once: four to eight minutes on two cores when Go's build cache is cold", tool.name)
	began := time.Now()
	err := gobuild.Build{
		Dir: filepath.Join(s.Root, "lab", "istio"), Packages: []string{tool.module}, Output: to, Env: []string{"GOWORK=off"},
		Work: to + ".work", Lock: lock, Name: tool.name, Every: 5 * time.Second, Progress: func(line string) { s.progress("%s", line) },
	}.Run(ctx)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	s.progress("built %s in %s", tool.name, time.Since(began).Round(time.Second))
	return nil
}
