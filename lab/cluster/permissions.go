package cluster

import (
	"bytes"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

// fixedRules are the permissions that every fleet needs.
var fixedRules = []rbacv1.PolicyRule{
	allow("", "nodes", "list"), // the page's address, and pods on a node that is not ready
	allow("", "events", "list"),
	allow("", "pods", "get", "list", "delete"),
	allow("", "pods/log", "get"),
	allow("", "pods/portforward", "create"),                                      // admin listeners and proxies
	named(allow("", "secrets", "get", "create", "patch", "delete"), adminSecret), // the parent of the set; created by a patch
}

var (
	// helperRule is the permission for the helpers of check and of fault verify.
	helperRule = allow("", "pods", "create")
	// programRule is the permission for programs of the lab in pods of the fleet.
	programRule = allow("", "pods/ephemeralcontainers", "update")
)

// comparisonRules are the permissions that a comparison needs beside those of its arms' fleets.
var comparisonRules = []rbacv1.PolicyRule{
	allow("batch", "jobs", "list", "create", "patch", "delete"), // which send the load
	allow("", "nodes/proxy", "get"),                             // CPU and memory, by the kubelets' summaries
	allow("", "namespaces", memberVerbs...),                     // the arms'
}

// memberVerbs are the verbs for each kind of the manifests. Server-side apply is a patch, and a create for an
// object that does not exist.
var memberVerbs = []string{"get", "list", "create", "patch", "delete"}

func allow(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// named returns a rule for the objects of these names alone.
func named(rule rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	rule.ResourceNames = names
	return rule
}

// namespaceRules are the permissions for the namespaces of a fleet: to change and delete its own and those of the
// manifests, and to read those in which the manifests have objects. Nobody can be allowed to create some by their names.
func (c *Client) namespaceRules(all []*unstructured.Unstructured) []rbacv1.PolicyRule {
	names := []string{c.namespace}
	for _, o := range all {
		if o.GetKind() == "Namespace" {
			names = append(names, o.GetName())
		}
	}
	return []rbacv1.PolicyRule{
		allow("", "namespaces", "create"),
		named(allow("", "namespaces", "get"), union([]string{c.namespace}, c.places(all))...),
		named(allow("", "namespaces", "patch", "delete"), union(names, nil)...),
	}
}

// roleName returns the name of the role for a fleet: another one for each of its scenarios, because a role for the next
// one does not allow what is needed to delete the objects of the last.
func (c *Client) roleName(manifests []string) string {
	name := manager + "-" + c.namespace
	for _, path := range manifests {
		name += "-" + strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	return strings.ReplaceAll(name, "%", "-")
}

// Plan writes what Up would do as YAML: the ClusterRole that it needs, and the objects. It does not
// connect to the cluster.
func (c *Client) Plan(objects *manifest.Objects, o UpOptions, w io.Writer) error {
	all, err := c.prepare(objects, o.Change)
	if err != nil {
		return err
	}
	rules := append(c.namespaceRules(all), helperRule, programRule)
	documents := []any{clusterRole(c.roleName(o.Manifests), all, rules...)}
	for _, o := range all {
		if o.GetKind() == "Namespace" {
			o = withoutSet(o) // who applies it may apply it over a namespace of their own
		}
		documents = append(documents, o.Object)
	}
	var text bytes.Buffer
	for _, document := range documents {
		data, _ := yaml.Marshal(document) // fields of JSON
		text.WriteString("---\n")
		text.Write(data)
	}
	_, err = text.WriteTo(w)
	return err
}

// PlanComparison writes the ClusterRole that a comparison needs, as YAML. fromPod reports whether a pod of the fleet
// sends the load. It does not connect to the cluster.
func (c *Client) PlanComparison(arms []*manifest.Objects, fromPod bool, w io.Writer) error {
	var all []*unstructured.Unstructured
	for _, objects := range arms {
		of, err := c.prepare(objects, Change{})
		if err != nil {
			return err
		}
		all = append(all, of...)
	}
	more := slices.Clone(comparisonRules)
	if fromPod {
		more = append(more, programRule)
	}
	text, _ := yaml.Marshal(clusterRole(manager+"-compare", all, more...)) // fields of JSON
	_, err := w.Write(text)
	return err
}

// clusterRole returns a role with the permissions that Up, Down and the commands for a running fleet need, and more.
func clusterRole(name string, all []*unstructured.Unstructured, more ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	members := map[string]sets.Set[string]{"": sets.New("services"), "apps": sets.New("deployments")}
	for _, o := range all {
		gvk := o.GroupVersionKind()
		if gvk.Kind == "Namespace" {
			continue // by their names
		}
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		if members[gvk.Group] == nil {
			members[gvk.Group] = sets.New[string]()
		}
		members[gvk.Group].Insert(pluralOf(gvk.Group, gvk.Kind, plural.Resource))
	}
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      slices.Concat(fixedRules, more),
	}
	for _, group := range slices.Sorted(maps.Keys(members)) {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: sets.List(members[group]), Verbs: memberVerbs})
	}
	if slices.ContainsFunc(all, namesRevision) { // hasRevisions
		role.Rules = append(role.Rules, allow(webhooks.Group, webhooks.Resource, "list"))
	}
	return role
}

// namesRevision reports whether an object puts pods under the control plane of a revision.
func namesRevision(o *unstructured.Unstructured) bool {
	ofPods, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	return ofPods[manifest.RevisionLabel] != "" || o.GetKind() == "Namespace" && o.GetLabels()[manifest.RevisionLabel] != ""
}

// pluralOf returns the resource of a kind: Istio's from the table of its kinds, whose plurals are irregular.
func pluralOf(group, kind, guess string) string {
	for _, k := range manifest.IstioKinds {
		if k.Group == group && k.Kind == kind {
			return k.Plural
		}
	}
	return guess
}
