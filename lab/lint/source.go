package lint

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"fleetman.example/lab/manifest"
)

// place is a line of a file.
type place struct {
	file string
	line int
}

// sources are the files that manifests come from: for each field, its line.
type sources struct {
	files []*file
	// namespaces are those that kustomizations move objects to.
	namespaces []string
}

// file is one text file. Its documents are parsed as far as they are YAML.
type file struct {
	path      string
	lines     []string
	documents []document
	// kustomization reports whether the file is one of kustomize's own.
	kustomization bool
}

// document is one YAML document, or a patch inside of one.
type document struct {
	root *yaml.Node
	// offset is added to the lines of root.
	offset int
	// span is the document's first and last line.
	span            [2]int
	kind, name, ns  string
	isObject, patch bool
	// target is the object of a list of JSON patches.
	target *yaml.Node
}

// maxDepth is how many kustomizations may be inside each other.
const maxDepth = 32

// readSources reads the files below the paths that manifest.Load reads. What
// cannot be read is left out: Load reports it.
func readSources(paths ...string) *sources {
	s := &sources{}
	for _, path := range paths {
		s.add(path, 0)
	}
	return s
}

// add adds a file, the kustomization of a directory or, unless a kustomization
// names the directory, its files.
func (s *sources) add(path string, depth int) {
	files := []string{path}
	if file := manifest.Kustomization(path); file != "" {
		files = []string{file}
	} else if plain, err := manifest.Files(path); err == nil && depth == 0 {
		files = plain
	}
	for _, file := range files {
		s.addFile(file, depth)
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// addFile adds a file, and the files that a kustomization names, in the order in
// which kustomize applies them.
func (s *sources) addFile(path string, depth int) {
	path = filepath.Clean(path)
	if depth > maxDepth || !isFile(path) || slices.ContainsFunc(s.files, func(f *file) bool { return f.path == path }) {
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	f := parse(path, data)
	if !f.kustomization || len(f.documents) == 0 {
		s.files = append(s.files, f)
		return
	}
	dir, root := filepath.Dir(path), f.documents[0].root
	for _, name := range []string{"bases", "resources", "components", "patchesStrategicMerge"} {
		for _, entry := range sequence(child(root, name)) {
			s.add(filepath.Join(dir, entry.Value), depth+1)
		}
	}
	for _, patch := range sequence(child(root, "patches")) {
		if path := child(patch, "path"); path != nil {
			path := filepath.Join(dir, path.Value)
			s.add(path, depth+1)
			s.target(filepath.Clean(path), child(patch, "target"))
		}
	}
	s.namespaces = append(s.namespaces, scalar(child(root, "namespace")))
	for _, generator := range sequence(child(root, "configMapGenerator")) {
		for _, entry := range sequence(child(generator, "envs")) {
			s.add(filepath.Join(dir, entry.Value), depth+1)
		}
	}
	s.files = append(s.files, f)
}

// target sets what the JSON patches of a file change.
func (s *sources) target(path string, target *yaml.Node) {
	for _, f := range s.files {
		for i := range f.documents {
			if f.path == path {
				f.documents[i].target = target
			}
		}
	}
}

// parse reads the documents of a file, up to the first that is not YAML.
func parse(path string, data []byte) *file {
	f := &file{path: path, lines: strings.Split(string(data), "\n")}
	f.kustomization = slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path))
	if filepath.Ext(path) == ".env" {
		return f
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		if decoder.Decode(&node) != nil {
			return f
		}
		if len(node.Content) == 1 {
			f.addDocument(node.Content[0])
		}
	}
}

func newDocument(root *yaml.Node, offset int) document {
	kind, metadata := scalar(child(root, "kind")), child(root, "metadata")
	name := scalar(child(metadata, "name"))
	return document{
		root: root, offset: offset, span: [2]int{root.Line + offset, lastLine(root) + offset},
		kind: kind, name: name, ns: scalar(child(metadata, "namespace")), isObject: kind != "" && name != "",
	}
}

// addDocument adds a document, the items of a list, and the patches that a
// kustomization has in place: each begins below the line of its field.
func (f *file) addDocument(root *yaml.Node) {
	d := newDocument(root, 0)
	if items := child(root, "items"); items != nil && strings.HasSuffix(scalar(child(root, "kind")), "List") {
		for _, item := range sequence(items) {
			f.addDocument(item)
		}
	}
	d.isObject = d.isObject && !f.kustomization
	f.documents = append(f.documents, d)
	if !f.kustomization {
		return
	}
	for _, patch := range sequence(child(root, "patches")) {
		text := child(patch, "patch")
		if text == nil || text.Kind != yaml.ScalarNode || text.Style&yaml.LiteralStyle == 0 {
			continue
		}
		var inner yaml.Node
		if yaml.Unmarshal([]byte(text.Value), &inner) == nil && len(inner.Content) == 1 {
			d := newDocument(inner.Content[0], text.Line)
			if d.target, d.patch = child(patch, "target"), true; d.target != nil {
				d.ns = "" // the target selects, whatever namespace the patch has
			}
			f.documents = append(f.documents, d)
		}
	}
}

// child returns the value of a key, or nil.
func child(node *yaml.Node, key string) *yaml.Node {
	_, value := field(node, key)
	return value
}

// field returns a key of a mapping and its value, or nil.
func field(node *yaml.Node, name string) (key, value *yaml.Node) {
	node = resolved(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], resolved(node.Content[i+1])
		}
	}
	return nil, nil
}

func resolved(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// sequence returns the items of a list; none for anything else.
func sequence(node *yaml.Node) []*yaml.Node {
	node = resolved(node)
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]*yaml.Node, len(node.Content))
	for i, item := range node.Content {
		items[i] = resolved(item)
	}
	return items
}

func scalar(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}

// lastLine is the last line of a node.
func lastLine(node *yaml.Node) int {
	last := node.Line
	if node.Kind == yaml.ScalarNode {
		return last + strings.Count(strings.TrimSuffix(node.Value, "\n"), "\n")
	}
	for _, content := range node.Content {
		if content.Kind != yaml.AliasNode {
			last = max(last, lastLine(content))
		}
	}
	return last
}

// isPartOf reports whether a document is, or patches, an object, and whether it
// may be. kustomize adds prefixes, suffixes and hashes to names, and moves objects
// to the namespace of a kustomization.
func (s *sources) isPartOf(d document, o *manifest.Object) (exact, likely bool) {
	elsewhere := d.ns != "" && d.ns != o.Namespace
	if !d.isObject || d.kind != o.Kind && !d.patch || elsewhere && !slices.Contains(s.namespaces, o.Namespace) {
		return false, false
	}
	return d.kind == o.Kind && d.name == o.Name && !elsewhere, d.name != "any" && strings.Contains(o.Name, d.name)
}

// isTarget reports whether a list of JSON patches changes an object.
func (d document) isTarget(o *manifest.Object) bool {
	kind, name := scalar(child(d.target, "kind")), scalar(child(d.target, "name"))
	if d.target == nil || kind != "" && kind != o.Kind {
		return false
	}
	form, err := regexp.Compile("^(?:" + name + ")$")
	return strings.Contains(o.Name, name) || err == nil && form.MatchString(o.Name)
}
