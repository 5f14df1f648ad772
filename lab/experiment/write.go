package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
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

// YAML returns the text of a file with the experiment. Its fields are in the order of their documentation.
func (e *Experiment) YAML() ([]byte, error) {
	var node yaml.Node
	text, err := json.Marshal(e)
	if err == nil {
		err = yaml.Unmarshal(text, &node) // JSON is YAML
	}
	if err == nil {
		var out bytes.Buffer
		block(&node)
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		err = encoder.Encode(&node)
		text = out.Bytes()
	}
	if err != nil {
		return nil, fmt.Errorf("write the experiment: %w", err)
	}
	return text, nil
}

// block takes the style of JSON, with braces and quotes, from a node.
func block(n *yaml.Node) {
	n.Style = 0
	for _, inner := range n.Content {
		block(inner)
	}
}

// Write saves the experiment to a new file, with paths that lead to the same manifests from
// there.
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
			if strings.HasPrefix(manifests, inRepository) { // wherever the file is
				paths = append(paths, manifests)
				continue
			}
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
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the experiment: %w", err)
	}
	return nil
}

// near is a path as a file in dir has it: below the repository when both are in it,
// absolute when one is, as repo: has no meaning outside, and else relative to the file.
func near(path, dir, root string) string {
	path, dir = absolute(path), absolute(dir)
	place, inside := below(path, absolute(root))
	_, fileInside := below(dir, absolute(root))
	switch {
	case root != "" && inside && fileInside:
		return inRepository + filepath.ToSlash(place)
	case root != "" && (inside || fileInside):
		return path
	}
	if relative, err := filepath.Rel(dir, path); err == nil {
		return relative
	}
	return path
}

// below returns where a path is in a directory, if it is there.
func below(path, dir string) (relative string, inside bool) {
	relative, err := filepath.Rel(dir, path)
	return relative, err == nil && filepath.IsLocal(relative)
}

// absolute returns a path from the root of the file system, without symbolic links if it exists:
// ".." after a link does not lead back.
func absolute(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// MadeBy notes the flag that made a part of the experiment, by which errors name it.
func (e *Experiment) MadeBy(flag, path string) {
	if e.flags == nil {
		e.flags = map[string]string{}
	}
	e.flags[path] = flag
}

// Field returns the path of a part of an arm: of the arm that has it, or of the one that it is from, or of
// the fleet.
func (e *Experiment) Field(arm, part string) string {
	i := e.index(arm)
	for at, later := i, len(e.Arms); at >= 0 && at < later; at, later = e.index(e.Arms[at].From), at { // each is from an earlier one
		if path := fmt.Sprintf("arms[%d].%s", at, part); e.Has(path) {
			return path
		}
	}
	if path := "fleet." + part; e.Has(path) {
		return path
	}
	return fmt.Sprintf("arms[%d].%s", i, part)
}

// Has reports whether the file, or a flag, has a field: its value is no default, also if it is 0.
func (e *Experiment) Has(path string) bool {
	_, inFile := e.lines[path]
	_, byFlag := e.flags[path]
	return inFile || byFlag
}

// Changed forgets the text and the lines of the file: the experiment is no longer
// the same.
func (e *Experiment) Changed() { e.Text, e.lines = nil, nil }
