package manifest

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The labels and annotations that Istio's injector reads, of a namespace and of a pod. RevisionLabel is one of both.
const (
	InjectNamespace = "istio-injection"
	InjectPod       = "sidecar.istio.io/inject"
)

// RevisionLabel is the label of a namespace, or of a pod, whose value is the revision of the control plane that
// injects and configures its proxies. An Istio object with it is read by the control plane of that revision alone.
const RevisionLabel = "istio.io/rev"

// DefaultRevision is the revision of a control plane that was installed without a name.
const DefaultRevision = "default"

// DataplaneMode is the label of a namespace whose pods are part of a mesh without a proxy of their own.
const DataplaneMode = "istio.io/dataplane-mode"

// Revision returns the revision of the control plane that injects a sidecar into the pods of a template, by the
// labels of their namespace and their own. It is empty when none does.
func (o *Objects) Revision(namespace string, template *corev1.PodTemplateSpec) string {
	for _, n := range Of[*corev1.Namespace](o) {
		if n.Name == namespace {
			return InjectedBy(n.Labels, template)
		}
	}
	return InjectedBy(nil, template)
}

// InjectedBy returns the revision of the control plane that injects a sidecar into the pods of a template, in a
// namespace with the given labels, or "". It decides as Istio's webhooks and injector do: everything of this module
// that depends on injection follows it.
//
// The namespace's label enables or disables injection. Where it is enabled a pod may opt out; where the namespace has
// no label a pod may opt in. A pod's label takes precedence over its annotation. istio-injection takes precedence over
// a revision, and the namespace's revision over the pod's.
func InjectedBy(namespace map[string]string, template *corev1.PodTemplateSpec) (revision string) {
	if template.Spec.HostNetwork {
		return ""
	}
	pod, ofPod := template.Labels[InjectPod], template.Labels[RevisionLabel]
	switch injection, ofNamespace := namespace[InjectNamespace], namespace[RevisionLabel]; {
	case injection == "enabled", injection == "" && ofNamespace != "":
		if pod == "" {
			pod = template.Annotations[InjectPod]
		}
		if isFalse(pod) {
			return ""
		}
		if injection == "" {
			return ofNamespace
		}
		return DefaultRevision
	case injection != "", isFalse(pod):
		return ""
	case ofPod != "":
		return ofPod
	case isTrue(pod):
		return DefaultRevision
	}
	return ""
}

// NeedsMesh reports whether the objects need Istio: an object of an API that it applies, a namespace that injects
// proxies, or a Deployment whose pods request one.
func (o *Objects) NeedsMesh() bool {
	return slices.ContainsFunc(o.All, func(object Object) bool {
		switch typed := object.Typed.(type) {
		case *corev1.Namespace:
			return Injects(typed.Labels)
		case *appsv1.Deployment:
			return InjectedBy(nil, &typed.Spec.Template) != ""
		}
		return object.IsRule()
	})
}

// Injects reports whether pods that ask for nothing get a proxy in a namespace with the given labels.
func Injects(namespace map[string]string) bool {
	return InjectedBy(namespace, &corev1.PodTemplateSpec{}) != ""
}

// Revisions returns the revisions of the control planes that the objects need: the default one, then those of
// the Deployments' pods, sorted.
func (o *Objects) Revisions() []string {
	var others []string
	for _, d := range Of[*appsv1.Deployment](o) {
		if revision := o.Revision(cmp.Or(d.Namespace, DefaultNamespace), &d.Spec.Template); revision != "" && revision != DefaultRevision {
			others = append(others, revision)
		}
	}
	slices.Sort(others)
	return append([]string{DefaultRevision}, slices.Compact(others)...)
}

func isTrue(text string) bool { return slices.Contains([]string{"y", "yes", "true", "on"}, text) }

func isFalse(text string) bool { return slices.Contains([]string{"n", "no", "false", "off"}, text) }

// Gateways returns the gateways to run, by their label "istio": the ingress
// gateway always, the egress gateway when a Gateway selects it.
func (o *Objects) Gateways() []string {
	names := []string{"ingressgateway"}
	for _, object := range o.All {
		const egress = "egressgateway"
		var gateway unstructured.Unstructured
		if object.Kind != "Gateway" || slices.Contains(names, egress) || gateway.UnmarshalJSON(object.JSON) != nil {
			continue
		}
		if name, _, _ := unstructured.NestedString(gateway.Object, "spec", "selector", "istio"); name == egress {
			names = append(names, egress)
		}
	}
	return names
}
