package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

// fixedRules are the permissions that every fleet needs.
var fixedRules = []rbacv1.PolicyRule{
	// nodes: the page's address, and pods on a node that is not ready
	{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list"}},
	{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list"}},
	{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "delete"}},
	{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
	// helpers of check and of fault verify
	{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}},
	{APIGroups: []string{""}, Resources: []string{"pods/ephemeralcontainers"}, Verbs: []string{"update"}},
	// admin listeners and proxies
	{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create"}},
}

// memberVerbs are the verbs for each kind of the manifests. Server-side apply is a patch, and a create for an
// object that does not exist.
var memberVerbs = []string{"get", "list", "create", "patch", "delete"}

// Plan writes what Up would do as YAML: the ClusterRole that it needs, and the objects. It does not
// connect to the cluster.
func (c *Client) Plan(_ context.Context, objects *manifest.Objects, o UpOptions, w io.Writer) error {
	all, err := c.prepare(objects, o.Change)
	if err != nil {
		return err
	}
	role := clusterRole(all)
	var text bytes.Buffer
	for _, document := range append([]any{role}, asAny(all)...) {
		data, err := yaml.Marshal(document)
		if err != nil {
			return fmt.Errorf("print a plan: %w", err)
		}
		text.WriteString("---\n")
		text.Write(data)
	}
	_, err = text.WriteTo(w)
	return errors.Join(err)
}

// comparisonRules are the permissions that a comparison needs beside those of its arms' fleets.
var comparisonRules = []rbacv1.PolicyRule{
	// the Jobs that send the load
	{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: memberVerbs},
	// CPU and memory, by the kubelets' summaries
	{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}},
}

// PlanComparison writes the ClusterRole that a comparison needs, as YAML. It does not connect to the cluster.
func (c *Client) PlanComparison(arms []*manifest.Objects, w io.Writer) error {
	var all []*unstructured.Unstructured
	for _, objects := range arms {
		of, err := c.prepare(objects, Change{})
		if err != nil {
			return err
		}
		all = append(all, of...)
	}
	role := clusterRole(all)
	role.Name = manager + "-compare"
	role.Rules = append(role.Rules, comparisonRules...)
	text, err := yaml.Marshal(role)
	if err != nil {
		return fmt.Errorf("print a plan: %w", err)
	}
	_, err = w.Write(text)
	return err
}

func asAny(all []*unstructured.Unstructured) (objects []any) {
	for _, o := range all {
		objects = append(objects, o.Object)
	}
	return objects
}

// clusterRole returns the permissions that Up, Down and the commands for a running fleet need.
func clusterRole(all []*unstructured.Unstructured) *rbacv1.ClusterRole {
	members := map[string]map[string]bool{"": {"secrets": true, "services": true, "namespaces": true}, "apps": {"deployments": true}}
	for _, o := range all {
		gvk := o.GroupVersionKind()
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		if members[gvk.Group] == nil {
			members[gvk.Group] = map[string]bool{}
		}
		members[gvk.Group][pluralOf(gvk.Group, gvk.Kind, plural.Resource)] = true
	}
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: manager},
		Rules:      slices.Clone(fixedRules),
	}
	for _, group := range slices.Sorted(maps.Keys(members)) {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{
			APIGroups: []string{group}, Resources: slices.Sorted(maps.Keys(members[group])), Verbs: memberVerbs,
		})
	}
	if slices.ContainsFunc(all, namesRevision) { // hasRevisions
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{webhooks.Group}, Resources: []string{webhooks.Resource}, Verbs: []string{"list"}})
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
