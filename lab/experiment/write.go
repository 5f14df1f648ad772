package experiment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// inRepository is the prefix of a path below the repository.
const inRepository = "repo:"

// Find returns where a path of the experiment leads. Root is the repository.
func (e *Experiment) Find(path, root string) (string, error) {
	there, err := e.resolve(path, root)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(there); errors.Is(err, fs.ErrNotExist) {
		from := "the directory of " + e.Source + "; repo: begins a path in the repository"
		switch {
		case strings.HasPrefix(path, inRepository):
			from = "the repository"
		case e.Source == "":
			from = "the current directory"
		}
		return "", fmt.Errorf("%q: no file %s: must be a file or a directory, from %s", path, there, from)
	}
	return there, nil
}

func (e *Experiment) resolve(path, root string) (string, error) {
	if below, found := strings.CutPrefix(path, inRepository); found {
		if root == "" {
			return "", fmt.Errorf("%s: no repository here: must be a path, or with --root", path)
		}
		return filepath.Join(root, below), nil
	}
	if filepath.IsAbs(path) || e.Source == "" {
		return path, nil
	}
	return filepath.Join(filepath.Dir(e.Source), path), nil
}

// YAML returns the text of a file with the experiment.
func (e *Experiment) YAML() ([]byte, error) {
	text, err := yaml.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write the experiment: %w", err)
	}
	return text, nil
}

// Write saves the experiment to a new file. Paths become relative to that file,
// or to the repository when the file is outside of it.
func (e *Experiment) Write(path, root string) error {
	moved := *e
	moved.Source, moved.Arms = path, slices.Clone(e.Arms)
	arms := []*Arm{&moved.Fleet}
	for i := range moved.Arms {
		arms = append(arms, &moved.Arms[i])
	}
	for _, arm := range arms {
		var paths Paths
		for _, manifests := range arm.Manifests {
			there, err := e.resolve(manifests, root)
			if err != nil {
				return err
			}
			paths = append(paths, near(there, filepath.Dir(path), root))
		}
		arm.Manifests = paths
	}
	text, err := moved.YAML()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write the experiment: %w", err)
	}
	if _, err = file.Write(text); err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("write the experiment: %w", err)
	}
	return nil
}

// near is a path as a file in dir has it.
func near(path, dir, root string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if below, err := filepath.Rel(root, path); root != "" && err == nil && filepath.IsLocal(below) {
		return inRepository + filepath.ToSlash(below)
	}
	if dir, err = filepath.Abs(dir); err == nil {
		if relative, err := filepath.Rel(dir, path); err == nil {
			return relative
		}
	}
	return path
}

// Changed forgets the text and the lines of the file: the experiment is no longer
// the same.
func (e *Experiment) Changed() { e.Text, e.lines = nil, nil }
