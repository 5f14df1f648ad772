package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// maxBytes is the largest size of one file: ten times that of Istio's whole
// installation.
const maxBytes = 4 << 20

var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv2.AddToScheme,
		networkingv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two Go types for one kind: a broken build, not an input
		}
	}
	return s
}

// Decode reads the YAML or JSON documents of one file. A List counts as its
// items. Its errors are one line: source, line or object, field.
func Decode(source string, data []byte) ([]Object, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: %d bytes: must be at most %d", source, len(data), maxBytes)
	}
	docs, err := split(source, data)
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, doc := range docs {
		if _, err := doc.check(source); err != nil {
			return nil, err
		}
		asJSON, err := yaml.YAMLToJSONStrict(doc.text)
		if err != nil {
			return nil, doc.notYAML(source, err)
		}
		if isNull(asJSON) {
			continue
		}
		found, err := decodeObject(source, fmt.Sprintf("%s:%d", source, doc.line), asJSON)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

type document struct {
	line int // the first line of the document, from 1
	text []byte
}

// split cuts a file at its lines that begin with "---", as kubectl does: only a
// comment may follow on such a line.
func split(source string, data []byte) ([]document, error) {
	docs := []document{{line: 1}}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		rest, separator := bytes.CutPrefix(text, []byte("---"))
		if !separator {
			current := &docs[len(docs)-1]
			current.text = append(current.text, text...)
			continue
		}
		if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
			return nil, fmt.Errorf("%s:%d: %.60q after ---: must be a comment, or on the next line", source, line, rest)
		}
		docs = append(docs, document{line: line + 1})
	}
	return docs, nil
}

// check returns the parsed document. It returns an error for a second document in the
// text (after "..." or after a JSON object), which the conversion to JSON would ignore,
// and for aliases that expand to more than maxNodes values.
func (d document) check(source string) (goyaml.Node, error) {
	return checkOne(source, d, "a second document after the end of this one: must come after a line with ---")
}

// CheckSingle returns an error for a text of more than one YAML document. Readers
// would ignore the others.
func CheckSingle(source string, data []byte) error {
	_, err := checkOne(source, document{line: 1, text: data}, "a second document: must be one alone")
	return err
}

func checkOne(source string, d document, second string) (first goyaml.Node, err error) {
	decoder := goyaml.NewDecoder(bytes.NewReader(d.text))
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return first, nil
	case err != nil:
		return first, d.notYAML(source, err)
	}
	if expandedNodes(&first, map[*goyaml.Node]int{}) > maxNodes {
		return first, fmt.Errorf("%s:%d: more than %d values, with aliases: must be fewer", source, d.line, maxNodes)
	}
	var next goyaml.Node
	err = decoder.Decode(&next)
	if errors.Is(err, io.EOF) {
		return first, nil
	}
	line := next.Line
	if err != nil {
		line = lineOf(err)
	}
	return first, fmt.Errorf("%s:%d: %s", source, d.line+max(line, 1)-1, second)
}

// notYAML returns the error of a parser, with the line in the file. A tab in the
// indentation has a text of its own: the parser's has the line before, or no tab.
func (d document) notYAML(source string, err error) error {
	lines := bytes.Split(d.text, []byte("\n"))
	for i := max(lineOf(err)-1, 0); i <= lineOf(err) && i < len(lines); i++ {
		if indentedByTab(lines[i]) {
			return fmt.Errorf("%s:%d: a tab in the indentation: must be spaces", source, d.line+i)
		}
	}
	return fmt.Errorf("%s: not YAML: %s", source, inFile(OneLine(err), d.line))
}

// lineOf returns the line that a parser's error names, from 1; 0 if it names none.
func lineOf(err error) int {
	match := lineNumber.FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	number, _ := strconv.Atoi(match[1]) // of digits
	return number
}

func indentedByTab(line []byte) bool {
	return bytes.ContainsRune(line[:len(line)-len(bytes.TrimLeft(line, " \t"))], '\t')
}

// maxNodes is the largest number of values in one document, aliases expanded.
const maxNodes = 1_000_000

// expandedNodes returns the number of values below a node with its aliases
// expanded, or some number above maxNodes.
func expandedNodes(node *goyaml.Node, known map[*goyaml.Node]int) int {
	if node.Kind == goyaml.AliasNode {
		node = node.Alias
	}
	if n, seen := known[node]; seen {
		return n
	}
	known[node] = maxNodes + 1 // an anchor that contains itself has no end
	n := 1
	for _, child := range node.Content {
		n = min(n+expandedNodes(child, known), maxNodes+1)
	}
	known[node] = n
	return n
}

var (
	apiVersionForm = regexp.MustCompile(`^([a-z0-9.-]+/)?[a-z0-9]+$`)
	kindForm       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
)

// head has the fields that every object has.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

func (h *head) check() error {
	switch {
	case h.APIVersion == "":
		return errors.New("apiVersion: missing: must be such as v1 or apps/v1")
	case h.Kind == "":
		return errors.New("kind: missing: must be such as Deployment")
	case !apiVersionForm.MatchString(h.APIVersion):
		return fmt.Errorf("apiVersion: %.60q: must be VERSION or GROUP/VERSION", h.APIVersion)
	case !kindForm.MatchString(h.Kind):
		return fmt.Errorf("kind: %.60q: must be a word such as Deployment", h.Kind)
	}
	return nil
}

func decodeObject(source, where string, data []byte) ([]Object, error) {
	var h head
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &h); err != nil {
		return nil, fmt.Errorf("%s: not a Kubernetes object: %s", where, wrongType(err))
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if strings.HasSuffix(h.Kind, "List") && h.Items != nil {
		var objects []Object
		for i, item := range h.Items {
			found, err := decodeObject(source, fmt.Sprintf("%s: items[%d]", where, i), item)
			if err != nil {
				return nil, err
			}
			objects = append(objects, found...)
		}
		return objects, nil
	}
	object := Object{
		APIVersion: h.APIVersion, Kind: h.Kind, Namespace: h.Metadata.Namespace, Name: h.Metadata.Name,
		Source: source, JSON: data,
	}
	if object.LeftOut = leftOut(&h); object.LeftOut != "" && object.Name != "" {
		return []Object{object}, nil
	}
	if object.Namespace == "" && !clusterScoped(h.Kind) {
		object.Namespace = DefaultNamespace
	}
	if msg := checkName(object.Name); msg != "" {
		return nil, fmt.Errorf("%s: %s: metadata.name: %s", where, h.Kind, msg)
	}
	if msg := checkName(object.Namespace); msg != "" && object.Namespace != "" {
		return nil, fmt.Errorf("%s: %s %s: metadata.namespace: %s", where, h.Kind, object.Name, msg)
	}
	typed, err := decodeTyped(h.APIVersion, h.Kind, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", source, object.Ref(), err)
	}
	object.Typed = typed
	return []Object{object}, nil
}

// decodeTyped returns nil without an error for a kind of another project.
func decodeTyped(apiVersion, kind string, data []byte) (runtime.Object, error) {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	if !scheme.IsGroupRegistered(gvk.Group) {
		if !strings.Contains(gvk.Group, ".") {
			return nil, fmt.Errorf("apiVersion: %q: must be a group of Kubernetes, or a domain name", gvk.Group)
		}
		return nil, checkRule(gvk, data)
	}
	typed, err := scheme.New(gvk)
	if err != nil {
		return nil, fmt.Errorf("kind: %s: must be a kind of %s", kind, apiVersion)
	}
	strict, err := kjson.UnmarshalStrict(data, typed)
	if err != nil {
		return nil, errors.New(wrongType(err))
	}
	if err := errors.Join(strict...); err != nil {
		return nil, errors.New(OneLine(err))
	}
	return typed, nil
}

// wrongType returns the text of a decoder's error. An error about the type of a
// value has the terms of YAML instead of those of Go.
func wrongType(err error) string {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return OneLine(err)
	}
	text := cmp.Or(jsonTypes[wrong.Value], "a "+wrong.Value) + ": must be " + goType(wrong.Type)
	if number, isNumber := strings.CutPrefix(wrong.Value, "number "); isNumber { // 1.5, or one that is too large
		text = fmt.Sprintf("%s: must be an %s", number, wrong.Type)
	}
	if wrong.Field != "" {
		text = wrong.Field + ": " + text
	}
	return text
}

// jsonTypes are the types of JSON that have another name in YAML, or another article.
var jsonTypes = map[string]string{"bool": "true or false", "array": "a list", "object": "an object"}

func goType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return goType(t.Elem())
	}
	return "a number"
}

// clusterScoped reports whether objects of a kind have no namespace.
func clusterScoped(kind string) bool {
	return slices.Contains([]string{
		"Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass", "GatewayClass",
	}, kind)
}

func isNull(data []byte) bool {
	data = bytes.TrimSpace(data)
	return len(data) == 0 || string(data) == "null"
}

var lineNumber = regexp.MustCompile(`\bline ([0-9]+)`)

// inFile replaces a document's line numbers by its file's.
func inFile(text string, first int) string {
	return lineNumber.ReplaceAllStringFunc(text, func(match string) string {
		number, _ := strconv.Atoi(strings.TrimPrefix(match, "line ")) // of digits
		return fmt.Sprintf("line %d", number+first-1)
	})
}

// OneLine returns the text of a library's error in one line.
func OneLine(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	for _, noise := range []string{"error converting YAML to JSON: ", "yaml: unmarshal errors:; ", "json: "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return strings.Join(strings.Fields(text), " ")
}
