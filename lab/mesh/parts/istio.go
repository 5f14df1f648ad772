package parts

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

// Pilot is istiod: pilot-discovery, from PILOT_DISCOVERY or built.
func (s Source) Pilot(ctx context.Context) (Part, error) { return s.goTool(ctx, pilotDiscovery) }

// Istioctl is istioctl, from ISTIOCTL or built.
func (s Source) Istioctl(ctx context.Context) (Part, error) { return s.goTool(ctx, istioctl) }

var istioForm = regexp.MustCompile(`(?m)^\s*(?:require\s+)?istio\.io/istio\s+(v\S+)`)

// IstioVersion is the version that lab/istio pins.
func (s Source) IstioVersion() (string, error) {
	path := filepath.Join(s.Root, "lab", "istio", "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("finding out Istio's version: %w", err)
	}
	match := istioForm.FindSubmatch(data)
	if match == nil {
		return "", fmt.Errorf("finding out Istio's version: %s requires no istio.io/istio", path)
	}
	return string(match[1]), nil
}

func (s Source) goTool(ctx context.Context, tool goTool) (Part, error) {
	part, ok, err := s.fromEnvironment(tool.name, tool.variable)
	if ok || err != nil {
		part.Version = builtFrom(part.Path)
		return part, err
	}
	if s.Root == "" {
		return Part{}, fmt.Errorf("no %s: there is no repository to build it from; set %s to the program, or give --root", tool.name, tool.variable)
	}
	version, err := s.IstioVersion()
	if err != nil {
		return Part{}, fmt.Errorf("no %s: %w; set %s to the program", tool.name, err, tool.variable)
	}
	part = Part{Name: tool.name, Path: filepath.Join(s.tools(), tool.name+"-"+version), Version: version, Source: "the cache"}
	err = s.once(ctx, part.Path, func(ctx context.Context, temporary string, lock *os.File) error {
		return s.goBuild(ctx, tool, temporary, lock)
	})
	if err != nil {
		return Part{}, fmt.Errorf("no %s: %w; make mesh-parts tries again, or set %s to the program", tool.name, err, tool.variable)
	}
	return part, nil
}

func (s Source) goToolAtHand(tool goTool) (Part, error) {
	part, ok, err := s.fromEnvironment(tool.name, tool.variable)
	if ok || err != nil {
		part.Version = builtFrom(part.Path)
		return part, err
	}
	version, err := s.IstioVersion()
	if err != nil {
		return Part{}, err
	}
	part = Part{Name: tool.name, Path: filepath.Join(s.tools(), tool.name+"-"+version), Version: version, Source: "the cache"}
	if !isProgram(part.Path) {
		return Part{}, fmt.Errorf("no %s: build it with make mesh-parts, or set %s to the program", tool.name, tool.variable)
	}
	return part, nil
}

const istioModule = "istio.io/istio"

// builtFrom is the version of Istio's module in a Go program, or the commit when
// it was built in Istio's own repository; empty when it tells neither.
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
		return fmt.Errorf("building it: %w", err)
	}
	s.progress("built %s in %s", tool.name, time.Since(began).Round(time.Second))
	return nil
}
