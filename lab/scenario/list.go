package scenario

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Listed is a scenario in a list.
type Listed struct {
	Name  string `json:"name"`  // path of its directory below k8s/scenarios, such as resilience/mesh
	Title string `json:"title"` // the heading of its README
	Dir   string `json:"directory"`
}

// List returns the scenarios below a directory, sorted by name.
func List(root string) (all []Listed, err error) {
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
