package e2e

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const house = "fleetman.example/"

// part returns the part of the repository to which an import path, or a directory, below the root belongs:
// "kit", "lab" or a service such as "services/webapp". It returns "" for none.
func part(path string) string {
	elements := strings.Split(filepath.ToSlash(path), "/")
	switch {
	case elements[0] == "kit" || elements[0] == "lab":
		return elements[0]
	case elements[0] == "services" && len(elements) > 1:
		return elements[0] + "/" + elements[1]
	}
	return ""
}

// mayImport reports whether the architecture allows an import: each part may import itself, and services the
// kit.
func mayImport(from, to string) bool {
	return from == to || to == "kit" && strings.HasPrefix(from, "services/")
}

// violations returns the forbidden imports below root, with file and line, and the number of Go files of each
// part.
func violations(root string) (found []string, files map[string]int, err error) {
	files = map[string]int{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // another build's temporary file
				return nil
			}
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || path != root && strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := part(below)
		files[from]++
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			// a relative import path is forbidden
			to, ours := strings.CutPrefix(imported, house)
			if relative := strings.HasPrefix(imported, "."); relative || ours && !mayImport(from, part(to)) {
				at := positions.Position(spec.Pos())
				found = append(found, fmt.Sprintf("%s:%d imports %s", filepath.ToSlash(below), at.Line, imported))
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, files, err
}

// modules returns the forbidden parts that a go.mod below root requires or replaces, as "kit/go.mod names
// lab".
func modules(root string) (found []string, err error) {
	for _, pattern := range []string{"kit/go.mod", "lab/go.mod", "services/*/go.mod"} {
		paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			below, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			for word := range strings.FieldsSeq(string(text)) {
				if to, ours := strings.CutPrefix(word, house); ours && !mayImport(part(below), part(to)) {
					found = append(found, filepath.ToSlash(below)+" names "+word)
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// Services import the kit; the kit and the lab import no other part. So the lab's checks are independent of
// the code that they check.
func TestArchitecture(t *testing.T) {
	found, files, err := violations(root)
	require.NoError(t, err)
	named, err := modules(root)
	require.NoError(t, err)
	assert.Empty(t, append(found, named...))
	for _, p := range []string{
		"kit", "lab", "services/api-gateway", "services/position-simulator", "services/position-tracker",
		"services/staff-service", "services/vehicle-telemetry", "services/webapp",
	} {
		assert.NotZero(t, files[p], "Go files of %s", p)
	}
}

// The check finds forbidden imports.
func TestWhoMayKnowWhomSeesViolations(t *testing.T) {
	plant := t.TempDir()
	// ROOT stands for the modules' prefix, so that a search for imports finds none here.
	for path, text := range map[string]string{
		"kit/fleet/good.go":                      "package fleet\nimport \"ROOT/kit/env\"",
		"kit/fleet/bad.go":                       "package fleet\nimport (\n\t\"fmt\"\n\t_ \"ROOT/lab/manifest\"\n)",
		"kit/fleet/bad_test.go":                  "package fleet_test\nimport \"ROOT/services/webapp\"",
		"kit/go.mod":                             "module fleetman.example/kit\n\nrequire fleetman.example/lab v0.0.0\n",
		"lab/local/good.go":                      "package local\nimport \"ROOT/lab/manifest\"",
		"lab/local/bad.go":                       "//go:build never\n\npackage local\nimport \"ROOT/kit/fleet\"",
		"lab/local/testdata/fake/main.go":        "package main\nimport x \"ROOT/services/staff-service\"",
		"lab/go.mod":                             "module fleetman.example/lab\n",
		"services/webapp/good.go":                "package main\nimport \"ROOT/kit/server\"",
		"services/webapp/bad.go":                 "package main\nimport \"ROOT/services/api-gateway\"",
		"services/webapp/relative.go":            "package main\nimport \"../staff-service\"",
		"services/webapp/go.mod":                 "module fleetman.example/services/webapp\n\nrequire fleetman.example/kit v0.0.0\n\nreplace fleetman.example/kit => ../../kit\n",
		"services/webapp/bad_test.go":            "package main\nimport \"ROOT/lab\"",
		"services/webapp2/bad.go":                "package main\nimport \"ROOT/services/webapp\"",
		"services/webapp2/go.mod":                "module fleetman.example/services/webapp2\n\nreplace fleetman.example/services/webapp => ../webapp\n",
		"services/webapp/ui/node_modules/x":      "",
		"services/webapp/ui/node_modules/bad.go": "package main\nimport \"ROOT/lab\"",
		"k8s/bad.go":                             "package main\nimport \"ROOT/lab\"",
	} {
		text = strings.ReplaceAll(text, "ROOT/", "fleetman.example/")
		path = filepath.Join(plant, filepath.FromSlash(path))
		require.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)))
	}
	found, _, err := violations(plant)
	require.NoError(t, err)
	named, err := modules(plant)
	require.NoError(t, err)
	want := []string{
		"k8s/bad.go:2 imports fleetman.example/lab",
		"kit/fleet/bad.go:4 imports fleetman.example/lab/manifest",
		"kit/fleet/bad_test.go:2 imports fleetman.example/services/webapp",
		"lab/local/bad.go:4 imports fleetman.example/kit/fleet",
		"lab/local/testdata/fake/main.go:2 imports fleetman.example/services/staff-service",
		"services/webapp/bad.go:2 imports fleetman.example/services/api-gateway",
		"services/webapp/bad_test.go:2 imports fleetman.example/lab",
		"services/webapp/relative.go:2 imports ../staff-service",
		"services/webapp2/bad.go:2 imports fleetman.example/services/webapp",
		"kit/go.mod names fleetman.example/lab",
		"services/webapp2/go.mod names fleetman.example/services/webapp",
	}
	assert.Equal(t, want, append(found, named...))
}
