package manifest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	goyaml "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The limits of what one kustomize build may read. Ten times as much in one file
// takes a minute, and a file is read again for each path that leads to it.
const (
	maxBuildFile  = 1 << 20
	maxBuildBytes = 8 << 20
)

// boundedFiles is the file system that kustomize reads. It refuses files that are
// remote, large, or large when their aliases are expanded.
type boundedFiles struct {
	filesys.FileSystem
	ctx     context.Context
	dir     string
	read    atomic.Int64
	refused error // the first refusal
}

// ReadFile implements filesys.FileSystem.
func (f *boundedFiles) ReadFile(path string) ([]byte, error) {
	data, err := f.readFile(path)
	if err == nil {
		err = f.check(path, data)
	}
	return data, err
}

func (f *boundedFiles) readFile(path string) ([]byte, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case stat.IsDir(): // kustomize tries an entry as a file first
		return f.FileSystem.ReadFile(path)
	case !stat.Mode().IsRegular():
		return nil, f.refuse("%s: must be a file", f.near(path))
	case stat.Size() > maxBuildFile:
		return nil, f.refuse("%s: %d bytes: must be at most %d in a kustomization", f.near(path), stat.Size(), maxBuildFile)
	case f.read.Add(stat.Size()) > maxBuildBytes:
		return nil, f.refuse("%s: kustomize: reads more than %d bytes: must be fewer", Kustomization(f.dir), maxBuildBytes)
	}
	return f.FileSystem.ReadFile(path)
}

// check checks YAML before kustomize reads it.
func (f *boundedFiles) check(path string, data []byte) error {
	kustomization := slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path))
	if !kustomization && !isManifest(path) {
		return nil
	}
	docs, err := split(f.near(path), data)
	if err != nil {
		return f.refuse("%w", err)
	}
	for _, doc := range docs {
		root, err := doc.check(f.near(path))
		if err != nil {
			return f.refuse("%w", err)
		}
		if field, key := otherKey(&root, ""); key != "" {
			return f.refuse("%s: %s: %s: must be a string, as in %q: kustomize writes no object with another key", f.near(path), field, key, key)
		}
		if kustomization {
			if field, remote := remoteEntry(&root, ""); remote != "" {
				return f.refuse("%s: %s: %s: must be a local path: fleetman fetches nothing (kubectl kustomize does: give fleetman what it prints)",
					f.near(path), field, remote)
			}
		}
	}
	return nil
}

func (f *boundedFiles) refuse(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if f.refused == nil {
		f.refused = err
	}
	return err
}

// near returns a path that kustomize made absolute as a path below dir.
func (f *boundedFiles) near(path string) string {
	if inside, err := filepath.Rel(absolute(f.dir), path); err == nil {
		return filepath.Join(f.dir, inside)
	}
	return path
}

// absolute returns a directory's path as kustomize makes it absolute.
func absolute(dir string) string {
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return dir
	}
	return root
}

// pathFields are the fields of a kustomization that lead to files.
var pathFields = []string{
	"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators",
	"path", "files", "envs", "env", "patchesStrategicMerge",
}

// remoteEntry returns the first entry of a kustomization that kustomize would
// fetch, and its field.
func remoteEntry(node *goyaml.Node, field string) (where, remote string) {
	switch node.Kind {
	case goyaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if where, remote = remoteEntry(node.Content[i+1], node.Content[i].Value); remote != "" {
				return where, remote
			}
		}
	case goyaml.ScalarNode:
		if slices.Contains(pathFields, field) && isRemote(node.Value) {
			return field, node.Value
		}
	case goyaml.AliasNode:
		return remoteEntry(node.Alias, field)
	default:
		for _, child := range node.Content {
			if where, remote = remoteEntry(child, field); remote != "" {
				return where, remote
			}
		}
	}
	return "", ""
}

// otherKey returns the first key that is not a string, and the field that has it.
func otherKey(node *goyaml.Node, path string) (field, key string) {
	if node.Kind != goyaml.MappingNode {
		for i, child := range node.Content {
			within := path
			if node.Kind == goyaml.SequenceNode {
				within = fmt.Sprintf("%s[%d]", path, i)
			}
			if field, key = otherKey(child, within); key != "" {
				return field, key
			}
		}
		return "", ""
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		if tag := name.ShortTag(); tag == "!!int" || tag == "!!float" || tag == "!!bool" || tag == "!!null" {
			return path, name.Value
		}
		if field, key = otherKey(node.Content[i+1], strings.TrimPrefix(path+"."+name.Value, ".")); key != "" {
			return field, key
		}
	}
	return "", ""
}

// isRemote reports whether kustomize would take an entry for a URL or for a Git
// repository.
func isRemote(entry string) bool {
	if strings.Contains(entry, "\n") { // a patch in place
		return false
	}
	entry = strings.ToLower(strings.TrimSpace(entry))
	for _, prefix := range []string{"git::", "git@", "gh:", "github.com/", "github.com:"} {
		if strings.HasPrefix(entry, prefix) {
			return true
		}
	}
	return strings.Contains(entry, "://") || strings.Contains(entry, "@github.com:") || strings.Contains(entry, "?ref=")
}
