package lint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/yaml"
)

// kind is what is read from a cluster.
type kind struct {
	group, resource string
	versions        []string // the first that the cluster has
}

var kinds = []kind{
	{"", "namespaces", []string{"v1"}},
	{"", "services", []string{"v1"}},
	{"", "configmaps", []string{"v1"}},
	{"apps", "deployments", []string{"v1"}},
	{"apps", "statefulsets", []string{"v1"}},
	{"apps", "daemonsets", []string{"v1"}},
	{"autoscaling", "horizontalpodautoscalers", []string{"v2"}},
	{"networking.istio.io", "destinationrules", []string{"v1", "v1beta1", "v1alpha3"}},
	{"networking.istio.io", "virtualservices", []string{"v1", "v1beta1", "v1alpha3"}},
	{"networking.istio.io", "gateways", []string{"v1", "v1beta1", "v1alpha3"}},
	{"networking.istio.io", "serviceentries", []string{"v1", "v1beta1", "v1alpha3"}},
	{"networking.istio.io", "sidecars", []string{"v1", "v1beta1", "v1alpha3"}},
	{"networking.istio.io", "envoyfilters", []string{"v1alpha3"}},
	{"security.istio.io", "peerauthentications", []string{"v1", "v1beta1"}},
}

// Namespaces of a cluster that are no fleet's. Of Istio's own, its objects are read:
// those of the root namespace act in all others.
var (
	systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}
	rootNamespace    = "istio-system"
)

// ReadCluster returns the objects of a cluster, or of one namespace and the root
// namespace, that rules are about. A kind that the cluster does not have is left
// out. An error is that of the client.
func ReadCluster(ctx context.Context, client dynamic.Interface, namespace string) ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	for _, k := range kinds {
		namespaces := []string{metav1.NamespaceAll}
		if namespace != "" && k.resource != "namespaces" {
			if namespaces = []string{namespace}; strings.HasSuffix(k.group, "istio.io") && namespace != rootNamespace {
				namespaces = append(namespaces, rootNamespace)
			}
		}
		for _, ns := range namespaces {
			all, err := k.list(ctx, client, ns)
			if err != nil {
				return nil, err
			}
			found = append(found, all...)
		}
	}
	found = slices.DeleteFunc(found, func(o *unstructured.Unstructured) bool { return isSystems(o, namespace) })
	for _, o := range found {
		tidy(o)
	}
	return found, nil
}

// list returns the objects of a kind, in the first version that the cluster has.
func (k kind) list(ctx context.Context, client dynamic.Interface, namespace string) (found []*unstructured.Unstructured, err error) {
	for _, version := range k.versions {
		of := client.Resource(schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource}).Namespace(namespace)
		pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return of.List(ctx, o) })
		err := pages.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
			found = append(found, o.(*unstructured.Unstructured))
			return nil
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("list %s: %w", k.resource, err)
		}
		if err == nil {
			break
		}
	}
	return found, nil
}

// isSystems reports whether an object is the cluster's own.
func isSystems(o *unstructured.Unstructured, only string) bool {
	ns := o.GetNamespace()
	if o.GetKind() == "Namespace" {
		return slices.Contains(systemNamespaces, o.GetName()) || o.GetName() == rootNamespace || only != "" && o.GetName() != only
	}
	isIstio := strings.Contains(o.GetAPIVersion(), "istio.io/")
	return slices.Contains(systemNamespaces, ns) || ns == rootNamespace && !isIstio ||
		o.GetKind() == "ConfigMap" && (o.GetName() == "kube-root-ca.crt" || strings.HasPrefix(o.GetName(), "istio-ca-")) ||
		o.GetKind() == "Service" && o.GetName() == "kubernetes" && ns == metav1.NamespaceDefault
}

// tidy removes what the API server has added to an object.
func tidy(o *unstructured.Unstructured) {
	delete(o.Object, "status")
	for _, field := range []string{"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "ownerReferences"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
}

// WriteObjects writes each object into a file of its own in a new directory, so that
// findings have lines.
func WriteObjects(dir string, objects []*unstructured.Unstructured) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("objects of the cluster: %w", err)
	}
	for _, o := range objects {
		text, _ := yaml.Marshal(o.Object) // which the API server has sent as JSON
		name := strings.Join([]string{o.GetNamespace(), strings.ToLower(o.GetKind()), o.GetName(), "yaml"}, ".")
		if err := os.WriteFile(filepath.Join(dir, strings.TrimPrefix(name, ".")), text, 0o600); err != nil {
			return fmt.Errorf("objects of the cluster: %w", err)
		}
	}
	return nil
}
