package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

// Listed is a scenario in a list.
type Listed struct {
	Name  string `json:"name"`           // path of its directory below k8s/scenarios, such as resilience/mesh
	Step  int    `json:"step,omitempty"` // its place in steps.yaml, from 1; 0: none
	Why   string `json:"why,omitempty"`  // what the scenario of the step before lacks
	Title string `json:"title"`          // the heading of its README
	Dir   string `json:"directory"`
}

// Step is an entry of steps.yaml: a scenario and what the one before it lacks.
type Step struct {
	Scenario string `json:"scenario"`
	Why      string `json:"why"`
}

// Steps reads the steps.yaml of a directory of scenarios. It returns none when there is no such file.
func Steps(root string) ([]Step, error) {
	path := filepath.Join(root, "steps.yaml")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the steps: %w", err)
	}
	var file struct {
		Steps []Step `json:"steps"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %s", path, manifest.OneLine(err))
	}
	return file.Steps, nil
}

// List returns the scenarios below a directory: those of its steps.yaml in that order, then the others by
// name.
func List(root string) (all []Listed, err error) {
	steps, err := Steps(root)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || !IsOne(path) {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		title, err := readTitle(filepath.Join(path, "README.md"))
		all = append(all, Listed{Name: filepath.ToSlash(name), Title: title, Dir: path})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list scenarios: %w", err)
	}
	for i := range all {
		s := &all[i]
		if at := slices.IndexFunc(steps, func(step Step) bool { return step.Scenario == s.Name }); at >= 0 {
			s.Step, s.Why = at+1, steps[at].Why
		}
	}
	place := func(s Listed) int { return cmp.Or(s.Step, math.MaxInt) }
	slices.SortStableFunc(all, func(a, b Listed) int { return cmp.Compare(place(a), place(b)) })
	return all, nil
}

// IsOne reports whether a directory is a scenario, that is, has a kustomization.yaml.
func IsOne(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "kustomization.yaml"))
	return err == nil
}

// readTitle returns the first heading of a Markdown file.
func readTitle(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "# "); ok {
			return strings.TrimSpace(title), nil
		}
	}
	return "", nil
}
