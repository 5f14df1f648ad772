package cluster

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"fleetman.example/lab/manifest"
)

// The oldest versions that run the manifests: Kubernetes 1.30 has the preStop sleep, Istio 1.31 is the one
// whose objects are tested.
const (
	needsKubernetes = "1.30"
	needsIstio      = "1.31"
	istioNamespace  = "istio-system"
)

// supports returns an error unless the cluster responds, is new enough, and has the kinds of the objects.
func (c *Client) supports(ctx context.Context, all []*unstructured.Unstructured) error {
	found, err := c.version(ctx)
	if err != nil {
		return err
	}
	if have, err := version.ParseGeneric(found.GitVersion); err == nil && have.LessThan(version.MustParseGeneric(needsKubernetes)) {
		return c.fail(nil, "Kubernetes %s: must be %s or later", found.GitVersion, needsKubernetes)
	}
	for _, o := range all {
		gvk := o.GroupVersionKind()
		_, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		switch {
		case meta.IsNoMatchError(err) && isIstio(gvk.GroupKind()):
			return c.needIstio(ctx, o)
		case err != nil:
			return c.about(refOf(o), err)
		}
	}
	return nil
}

// needIstio returns the error for an object of a kind, or of a version of it, that the cluster's Istio does
// not have.
func (c *Client) needIstio(ctx context.Context, o *unstructured.Unstructured) error {
	found := "not installed"
	if at := c.istioVersion(ctx); at != "" {
		found = at + " is installed"
	}
	return c.fail(nil, "Istio: %s: must be %s or later, for %s (%s)", found, needsIstio, refOf(o), o.GetAPIVersion())
}

// webhooks are what injects proxies. A tag has one of its own.
var webhooks = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}

// hasRevisions returns an error unless a control plane runs for each revision of the manifests but the default one, or
// is meant by a tag of that name.
func (c *Client) hasRevisions(ctx context.Context, objects *manifest.Objects) error {
	for _, revision := range objects.Revisions()[1:] {
		pods, err := c.list(ctx, istioNamespace, ofApp+istiodLog+","+manifest.RevisionLabel+"="+revision)
		if err != nil {
			return err
		}
		if len(pods) > 0 {
			continue
		}
		tags, err := c.dynamic.Resource(webhooks).List(ctx, metav1.ListOptions{LabelSelector: "istio.io/tag=" + revision})
		if err == nil && len(tags.Items) > 0 {
			continue
		}
		return c.fail(nil, "%s: %s: must be the revision of an istiod in namespace %s, or its tag: istioctl install --set revision=%s installs one",
			manifest.RevisionLabel, revision, istioNamespace, revision)
	}
	return nil
}

// istioVersion returns the version of the cluster's istiod: the tag of its image, or "" without an istiod.
func (c *Client) istioVersion(ctx context.Context) string {
	pods, _ := c.list(ctx, istioNamespace, ofApp+istiodLog) // it may not be allowed
	for i := range pods {
		for _, container := range pods[i].Spec.Containers {
			if _, tag := nameAndTag(container.Image); tag != "" {
				return tag
			}
		}
	}
	return ""
}
