package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// build runs kustomize, as `kubectl apply -k` would.
func build(dir string) ([]Object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("%s", cause(dir, oneLine(err)))
	}
	var objects []Object
	for _, resource := range resources.Resources() {
		data, err := resource.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%s: kustomize: %s: %s", dir, resource.CurId(), oneLine(err))
		}
		found, err := decodeObject(dir, dir, data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// kustomizationOf is the file that makes a directory a kustomization, or "".
func kustomizationOf(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file
		}
	}
	return ""
}

// kustomize tells an error from the outermost kustomization inwards, and after
// a resource that is no directory also why it is none.
var (
	inward  = regexp.MustCompile(`(?:recursed accumulation of|recursed merging from|couldn't make target for) path '([^']*)'(?:: )?`)
	entry   = regexp.MustCompile(`^(?:accumulating (?:resources|components): |accumulation err='|accumulateDirectory: "|loader\.New "must build at directory: )`)
	outward = regexp.MustCompile(`'?: must build at directory: .*$`)
	cycle   = regexp.MustCompile(`cycle detected: candidate root '([^']*)'`)
)

// causes say in the words of this package what is at the end of such an error.
// FILE is the innermost kustomization, DIR its directory.
var causes = []struct {
	form *regexp.Regexp
	says string
}{
	{regexp.MustCompile(`^invalid Kustomization: json: (.*)$`), "FILE: $1"},
	{regexp.MustCompile(`^invalid Kustomization: (.*)$`), "FILE: not YAML: $1"},
	{regexp.MustCompile(`^merging resources from '([^']*)': may not add resource with an already registered id: (\w+)\.[^/]*/(\S+)\.[^.\s]+$`), "DIR/$1: $2 $3: there are two of that name"},
	{regexp.MustCompile(`^(?:merging resources from '[^']*': )?may not add resource with an already registered id: (\w+)\.[^/]*/(\S+)\.[^.\s]+$`), "FILE: $1 $2: there are two of that name"},
	{regexp.MustCompile(`^accumulating resources from '([^']*)': evalsymlink failure .*: ([^:]*?)'?$`), "FILE: resources: $1: $2"},
	{regexp.MustCompile(`^not a valid directory: evalsymlink failure on '([^']*)' .*: ([^:]*?)$`), "FILE: components: $1: $2"},
	{regexp.MustCompile(`^trouble configuring builtin \w+ with config: .*: failed to get the patch file from path\(([^)]*)\): .*: ([^:]*)$`), "FILE: patches: $1: $2"},
	{regexp.MustCompile(`^accumulating resources from '([^']*)': MalformedYAMLError: (.*) in File: .*$`), "DIR/$1: not YAML: $2"},
	{regexp.MustCompile(`^accumulating resources from '([^']*)': (missing metadata\.name) in object.*$`), "DIR/$1: $2"},
	{regexp.MustCompile(`^accumulating resources from '([^']*://[^']*)': (.*)$`), "FILE: resources: $1: $2"},
	{regexp.MustCompile(`^accumulating resources from '([^']*)': (.*)$`), "DIR/$1: $2"},
	{regexp.MustCompile(`^merging from generator .*Kind:"(\w+)".*Name:"([^"]*)".* does not exist; cannot merge or replace$`), "FILE: no $1 $2 to merge with; the component that makes it is missing, or stands after this one"},
	{regexp.MustCompile(`^no resource matches strategic merge patch "(\w+)\.[^/]*/(\S+)\.[^.\s]+": .*$`), "FILE: patches: no $1 $2 to change"},
	{regexp.MustCompile(`^expected kind '(\w+)' for path '([^']*)' but got '(\w+)'$`), "FILE: components: $2: a $1 is expected, found a $3"},
	{regexp.MustCompile("^trouble configuring builtin Patch\\w+ with config: `.*`: (.*)$"), "FILE: patches: $1"},
	{regexp.MustCompile(`^(.*?)(?:: evalsymlink failure on .*(: [^:]*))?$`), "FILE: $1$2"},
}

// pointer is Go's way to print a struct that nobody gave a text.
var pointer = regexp.MustCompile(`&?\{0x[0-9a-f]+[^}]*\} ?`)

// cause finds the end of a kustomize error: the file to look into, and what is
// wrong there.
func cause(dir, text string) string {
	where := dir
	inwards := inward.FindAllStringSubmatchIndex(text, -1)
	if match := cycle.FindStringSubmatch(text); match != nil {
		way, field := []string{dir}, "resources"
		for _, i := range inwards {
			way = append(way, near(dir, text[i[2]:i[3]]))
		}
		if strings.Contains(text, "accumulating components") {
			field = "components"
		}
		return fmt.Sprintf("%s: %s: a cycle: %s", kustomizationOf(dir), field, strings.Join(append(way, near(dir, match[1])), " → "))
	}
	if n := len(inwards); n > 0 {
		last := inwards[n-1]
		where, text = near(dir, text[last[2]:last[3]]), text[last[1]:]
	}
	text = outward.ReplaceAllString(text, "")
	for entry.MatchString(text) {
		text = entry.ReplaceAllString(text, "")
	}
	text = strings.ReplaceAll(pointer.ReplaceAllString(text, ""), `\"`, `"`)
	if strings.Count(text, `"`)%2 == 1 { // its other half stood further out
		text = strings.TrimSuffix(text, `"`)
	}
	for _, c := range causes {
		if match := c.form.FindStringSubmatchIndex(text); match != nil {
			says := string(c.form.ExpandString(nil, c.says, text, match))
			if rest, found := strings.CutPrefix(says, "FILE"); found {
				return kustomizationOf(where) + rest
			}
			return strings.TrimPrefix(where+strings.TrimPrefix(says, "DIR"), "./")
		}
	}
	return where + ": " + text
}

// near is a path that kustomize made absolute, by the name that the user gave
// to dir.
func near(dir, path string) string {
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err == nil {
		if inside, err := filepath.Rel(root, path); err == nil {
			return filepath.Join(dir, inside)
		}
	}
	return path
}
