package manifest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// In returns the objects with another namespace in place of the default one. Whatever names the default
// namespace follows: hosts (staff.default.svc.cluster.local), principals
// (cluster.local/ns/default/sa/webapp), and the fields of Istio's objects that contain a namespace.
func (o *Objects) In(namespace string) (*Objects, error) {
	if msg := checkName(namespace); msg != "" {
		return nil, fmt.Errorf("namespace: %s", msg)
	}
	if namespace == DefaultNamespace {
		return o, nil
	}
	moved := &Objects{LeftOut: o.LeftOut, Notes: o.Notes}
	for _, object := range o.All {
		one, err := object.in(namespace)
		if err != nil {
			return nil, err
		}
		moved.All = append(moved.All, one)
	}
	return moved, nil
}

// in returns the object with another namespace in place of the default one.
func (o Object) in(namespace string) (Object, error) {
	var content map[string]any
	_ = json.Unmarshal(o.JSON, &content) // of which the object was decoded
	m := mover{namespace: namespace, istio: o.Typed == nil}
	content, _ = m.move("", content).(map[string]any)
	meta, _ := content["metadata"].(map[string]any)
	switch {
	case o.Kind == "Namespace" && o.Name == DefaultNamespace:
		meta["name"] = namespace
	case o.Namespace == DefaultNamespace:
		meta["namespace"] = namespace
	}
	data, _ := json.Marshal(content)
	found, err := decodeObject(o.Source, o.Source, data)
	if err != nil {
		return o, err
	}
	return found[0], nil
}

// mover replaces the default namespace in the values of an object.
type mover struct {
	namespace string
	istio     bool // an object of Istio's API
}

var (
	serviceHost = regexp.MustCompile(`(^|[^a-z0-9.-])(\*|[a-z0-9-]+)\.default\.svc\b`)
	shortHost   = regexp.MustCompile(`^(\*|[a-z0-9-]+)\.default$`)
)

// The fields of Istio's objects whose whole value is a namespace, and those whose value may be NAMESPACE/NAME.
var (
	namespaceFields = []string{"namespaces", "notNamespaces", "exportTo"}
	qualifiedFields = []string{"hosts", "gateways"}
	hostFields      = []string{"host", "hosts"}
)

// move returns the value of a field with the default namespace replaced. The elements of a list have the
// list's field.
func (m mover) move(field string, value any) any {
	switch typed := value.(type) {
	case map[string]any:
		for key, inner := range typed {
			typed[key] = m.move(key, inner)
		}
	case []any:
		for i, inner := range typed {
			typed[i] = m.move(field, inner)
		}
	case string:
		return m.text(field, typed)
	}
	return value
}

func (m mover) text(field, text string) string {
	text = Identity(serviceHost.ReplaceAllString(text, "${1}${2}."+m.namespace+".svc"), m.namespace)
	switch {
	case field == "kubernetes.io/metadata.name" && text == DefaultNamespace, field == "namespace" && text == DefaultNamespace:
		return m.namespace
	case !m.istio:
		return text
	case slices.Contains(namespaceFields, field) && text == DefaultNamespace:
		return m.namespace
	case slices.Contains(hostFields, field) && shortHost.MatchString(text):
		return strings.TrimSuffix(text, DefaultNamespace) + m.namespace
	case slices.Contains(qualifiedFields, field) && strings.HasPrefix(text, DefaultNamespace+"/"):
		return m.namespace + strings.TrimPrefix(text, DefaultNamespace)
	}
	return text
}

// Identity returns an identity, or a pattern of identities, with another namespace in place of the default
// one: cluster.local/ns/default/sa/webapp becomes cluster.local/ns/NAMESPACE/sa/webapp.
func Identity(text, namespace string) string {
	return strings.ReplaceAll(text, "/ns/"+DefaultNamespace+"/sa/", "/ns/"+namespace+"/sa/")
}
