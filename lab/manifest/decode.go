package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

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

// maxBytes bounds one file: a hundred times the largest manifest of a fleet.
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
		return nil, fmt.Errorf("%s: %d bytes; a manifest has at most %d", source, len(data), maxBytes)
	}
	var objects []Object
	for _, doc := range split(data) {
		where := fmt.Sprintf("%s:%d", source, doc.line)
		asJSON, err := yaml.YAMLToJSONStrict(doc.text)
		if err != nil {
			return nil, fmt.Errorf("%s: not YAML: %s", source, inFile(oneLine(err), doc.line))
		}
		if isNull(asJSON) {
			continue
		}
		found, err := decodeObject(source, where, asJSON)
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

// split cuts a file at its "---" lines.
func split(data []byte) []document {
	docs := []document{{line: 1}}
	start, line := 0, 0
	for start < len(data) {
		end := len(data)
		if i := bytes.IndexByte(data[start:], '\n'); i >= 0 {
			end = start + i + 1
		}
		line++
		current := &docs[len(docs)-1]
		text := data[start:end]
		if rest, ok := bytes.CutPrefix(text, []byte("---")); ok && len(bytes.TrimSpace(rest)) == 0 {
			docs = append(docs, document{line: line + 1})
		} else {
			current.text = append(current.text, text...)
		}
		start = end
	}
	return docs
}

var (
	apiVersionForm = regexp.MustCompile(`^([a-z0-9.-]+/)?[a-z0-9]+$`)
	kindForm       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
)

// head is what every object has.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

func decodeObject(source, where string, data []byte) ([]Object, error) {
	var h head
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("%s: not a Kubernetes object: %s", where, wrongType(err))
	}
	switch {
	case h.APIVersion == "":
		return nil, fmt.Errorf("%s: apiVersion: missing; every object has one, such as v1 or apps/v1", where)
	case h.Kind == "":
		return nil, fmt.Errorf("%s: kind: missing; every object has one, such as Deployment", where)
	case !apiVersionForm.MatchString(h.APIVersion):
		return nil, fmt.Errorf("%s: apiVersion: %.60q; VERSION or GROUP/VERSION is expected", where, h.APIVersion)
	case !kindForm.MatchString(h.Kind):
		return nil, fmt.Errorf("%s: kind: %.60q; a word such as Deployment is expected", where, h.Kind)
	case h.Kind == "List" && h.APIVersion == "v1":
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

// decodeTyped is nil without an error for a kind of another project.
func decodeTyped(apiVersion, kind string, data []byte) (runtime.Object, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, fmt.Errorf("apiVersion: %w", err)
	}
	if !scheme.IsGroupRegistered(gv.Group) {
		if !strings.Contains(gv.Group, ".") {
			return nil, fmt.Errorf("apiVersion: no group %q in Kubernetes", gv.Group)
		}
		return nil, checkIstio(gv.Group, gv.Version, kind)
	}
	typed, err := scheme.New(gv.WithKind(kind))
	if err != nil {
		return nil, fmt.Errorf("kind: no %s in %s; check the spelling and the version", kind, apiVersion)
	}
	strict, err := kjson.UnmarshalStrict(data, typed)
	if err != nil {
		return nil, errors.New(wrongType(err))
	}
	if err := errors.Join(strict...); err != nil {
		return nil, errors.New(oneLine(err))
	}
	return typed, nil
}

// wrongType says what the decoder's error about a value of another type means
// to who wrote the manifest; other errors stay as they are.
func wrongType(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return oneLine(err)
	}
	text := expected(wrong.Type) + " is expected, found "
	switch number, isNumber := strings.CutPrefix(wrong.Value, "number "); {
	case isNumber: // 1.5, or one that is too large
		text = fmt.Sprintf("an %s is expected, found %s", wrong.Type, number)
	case wrong.Value == "bool":
		text += expected(reflect.TypeFor[bool]())
	case wrong.Value == "array":
		text += "a list"
	case wrong.Value == "object":
		text += "an object"
	default:
		text += "a " + wrong.Value
	}
	if wrong.Field != "" {
		text = wrong.Field + ": " + text
	}
	return text
}

func expected(t reflect.Type) string {
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
		return expected(t.Elem())
	}
	return "a number"
}

// clusterScoped tells the kinds that have no namespace.
func clusterScoped(kind string) bool {
	switch kind {
	case "Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding",
		"CustomResourceDefinition", "IngressClass", "GatewayClass":
		return true
	}
	return false
}

func isNull(data []byte) bool {
	data = bytes.TrimSpace(data)
	return len(data) == 0 || string(data) == "null"
}

var lineNumber = regexp.MustCompile(`\bline ([0-9]+)`)

// inFile turns a document's line numbers into its file's.
func inFile(text string, first int) string {
	return lineNumber.ReplaceAllStringFunc(text, func(match string) string {
		number, err := strconv.Atoi(strings.TrimPrefix(match, "line "))
		if err != nil {
			return match
		}
		return fmt.Sprintf("line %d", number+first-1)
	})
}

// oneLine makes a library's error fit into one line of a terminal.
func oneLine(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	for _, noise := range []string{"error converting YAML to JSON: ", "yaml: unmarshal errors:; "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return strings.Join(strings.Fields(text), " ")
}
