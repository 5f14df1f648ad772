package lint

import (
	"regexp"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// locate returns the line of a value: of the last file that sets it, as a later
// patch replaces what an earlier file has. A value that no file sets has the line
// of the closest field around it, and one of an object that no file has the first
// line of the kustomization.
func (s *sources) locate(v value) place {
	if found, ok := s.operation(v); ok {
		return found
	}
	best, depth := place{}, -1
	for _, exactly := range []bool{true, false} {
		for _, f := range s.files {
			for _, d := range f.documents {
				exact, likely := s.isPartOf(d, &v.object.Object)
				if exact != exactly || !exact && !likely {
					continue
				}
				if line, n := descend(d.root, v.path); n >= depth {
					best, depth = place{f.path, line + d.offset}, n
				}
			}
		}
		if depth == len(v.path) {
			return best
		}
	}
	if found, ok := s.variable(v); ok {
		return found
	}
	if depth >= 0 {
		return best
	}
	return s.origin(v.object.Source)
}

// operation finds a value that an item of a list of JSON patches sets: the last
// one, at the line of its path, or of the field inside of its value.
func (s *sources) operation(v value) (found place, ok bool) {
	for _, f := range s.files {
		for _, d := range f.documents {
			if !d.isTarget(&v.object.Object) {
				continue
			}
			for _, operation := range sequence(d.root) {
				path, set := child(operation, "path"), child(operation, "value")
				if n := pointed(scalar(path), v.path); set != nil && n > 0 {
					line, steps := descend(set, v.path[n:])
					if steps == 0 {
						line = path.Line
					}
					if steps == len(v.path)-n {
						found, ok = place{f.path, line + d.offset}, true
					}
				}
			}
		}
	}
	return found, ok
}

// pointed returns how many steps of a path a JSON pointer takes; 0 when it leads
// elsewhere.
func pointed(pointer string, path []step) int {
	keys := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if len(keys) > len(path) {
		return 0
	}
	for i, key := range keys {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		if s := path[i]; s.index < 0 && s.key != key || s.index >= 0 && strconv.Itoa(s.index) != key {
			return 0
		}
	}
	return len(keys)
}

// origin is the first line of a file, or of a directory's kustomization.
func (s *sources) origin(source string) place {
	for i := len(s.files) - 1; i >= 0; i-- {
		if f := s.files[i]; f.kustomization && strings.HasPrefix(f.path, source) {
			return place{f.path, 1}
		}
	}
	return place{source, 1}
}

// descend follows a path as far as it leads, and returns the line there and the
// number of steps.
func descend(node *yaml.Node, path []step) (line, steps int) {
	line = node.Line
	for i, s := range path {
		key, next := follow(node, s)
		if next == nil {
			return line, i
		}
		line, node = key.Line, next
	}
	return line, len(path)
}

// follow returns the key, or the item itself, and the value of one step.
func follow(node *yaml.Node, s step) (key, next *yaml.Node) {
	if s.index < 0 {
		return field(node, s.key)
	}
	items := sequence(node)
	for _, item := range items {
		if s.name != "" && scalar(child(item, "name")) == s.name {
			return item, item
		}
	}
	if s.name == "" && s.index < len(items) {
		return items[s.index], items[s.index]
	}
	return nil, nil
}

// variable finds an environment variable that a generator or a patch sets: a line
// NAME=VALUE, or the item with that name in a list of JSON patches.
func (s *sources) variable(v value) (found place, ok bool) {
	name := ""
	for _, step := range v.path {
		if step.name != "" {
			name = step.name
		}
	}
	if v.object.Kind == "ConfigMap" && len(v.path) > 0 {
		name = v.path[len(v.path)-1].key
	}
	if name == "" {
		return place{}, false
	}
	assigned := regexp.MustCompile(`(?:^|[\s\[,"'])` + regexp.QuoteMeta(name) + `=`)
	for _, f := range s.files {
		for i, line := range f.lines {
			if v.object.Kind == "ConfigMap" && assigned.MatchString(line) {
				found, ok = place{f.path, i + 1}, true
			}
		}
		for _, d := range f.documents {
			for _, operation := range sequence(d.root) {
				if item := child(operation, "value"); d.patch && scalar(child(item, "name")) == name {
					found, ok = place{f.path, item.Line + d.offset}, true
				}
			}
		}
	}
	return found, ok
}
