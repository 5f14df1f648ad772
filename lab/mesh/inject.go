package mesh

import (
	corev1 "k8s.io/api/core/v1"
)

// The labels and annotations that Istio's injector obeys.
const (
	injectNamespace = "istio-injection"
	injectRevision  = "istio.io/rev"
	injectPod       = "sidecar.istio.io/inject"
)

// injects decides as Istio's webhooks and its injector do: the namespace's
// label opens or closes, a pod may stay out, and may come in where its
// namespace says nothing. A pod's label counts more than its annotation.
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
