package manifest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The labels and annotations that Istio's injector reads.
const (
	injectNamespace = "istio-injection"
	injectRevision  = "istio.io/rev"
	injectPod       = "sidecar.istio.io/inject"
)

// DataplaneMode is the label of a namespace whose pods are part of a mesh without a proxy of their own.
const DataplaneMode = "istio.io/dataplane-mode"

// Injects reports whether Istio injects a sidecar into the pods of a template, by the labels of their
// namespace and their own.
func (o *Objects) Injects(namespace string, template *corev1.PodTemplateSpec) bool {
	for _, n := range Of[*corev1.Namespace](o) {
		if n.Name == namespace {
			return injects(n.Labels, template)
		}
	}
	return injects(nil, template)
}

// injects decides as Istio's webhooks and injector do. The namespace's label enables or disables
// injection. Where it is enabled a pod may opt out; where the namespace has no label a pod may opt in. A
// pod's label takes precedence over its annotation.
func injects(namespace map[string]string, template *corev1.PodTemplateSpec) bool {
	if template.Spec.HostNetwork {
		return false
	}
	pod := template.Labels[injectPod]
	switch injection, revision := namespace[injectNamespace], namespace[injectRevision]; {
	case injection == "enabled", injection == "" && revision != "":
		if pod == "" {
			pod = template.Annotations[injectPod]
		}
		return !isFalse(pod)
	case injection != "":
		return false
	}
	return isTrue(pod) || template.Labels[injectRevision] != "" && !isFalse(pod)
}

func isTrue(text string) bool {
	switch text {
	case "y", "yes", "true", "on":
		return true
	}
	return false
}

func isFalse(text string) bool {
	switch text {
	case "n", "no", "false", "off":
		return true
	}
	return false
}

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
