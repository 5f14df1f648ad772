package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Load reads kustomize directories, directories of plain YAML or JSON files
// and single files, and checks the objects against each other. Its errors are
// one line that names the file or the directory, the object and the field.
func Load(paths ...string) (*Objects, error) {
	var objects Objects
	for _, path := range paths {
		found, err := loadPath(path)
		if err != nil {
			return nil, err
		}
		objects.add(found)
	}
	if err := objects.check(); err != nil {
		return nil, err
	}
	return &objects, nil
}

func loadPath(path string) ([]Object, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read manifests: %w", err)
	case !info.IsDir():
		return loadFile(path)
	case Kustomization(path) != "":
		return build(path)
	}
	files, err := Files(path)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	var objects []Object
	for _, file := range files {
		found, err := loadFile(file)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s: must have a kustomization.yaml, or .yaml, .yml or .json files with objects", path)
	}
	return objects, nil
}

// Files returns the files of a directory that may have manifests, sorted.
func Files(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if !entry.IsDir() && isManifest(entry.Name()) {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, err
}

// isManifest reports whether a file may have manifests, by its name.
func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

func loadFile(path string) ([]Object, error) {
	data, err := ReadFile("manifests", path, maxBytes)
	if err != nil {
		return nil, err
	}
	return Decode(path, data)
}

// ReadFile reads a regular file, not a pipe or a device, of at most so many bytes. Errors call its content what.
func ReadFile(what, path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s: a directory: must be a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: must be a regular file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s: %d bytes: must be at most %d", path, info.Size(), most)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return data, nil
}
