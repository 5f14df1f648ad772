package manifest

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Reasons for which an object is no part of a fleet.
const (
	// Installation is an object that Istio's installation, or that of an add-on
	// such as Kiali, consists of: published directories carry it beside the fleet.
	Installation = "part of an Istio installation, and fleetman runs an istiod of its own"
	// FormerIstio is an object of an API that Istio no longer has.
	FormerIstio = "of an API that Istio has removed"
)

// leftOut is the reason why an object is no part of a fleet, or "". Such objects
// are not checked further: many are of versions that Kubernetes has removed.
func leftOut(h *head) string {
	group := schema.FromAPIVersionAndKind(h.APIVersion, h.Kind).Group
	switch group {
	case "apiextensions.k8s.io", "admissionregistration.k8s.io", "install.istio.io", "monitoring.kiali.io", "kiali.io":
		return Installation
	case "authentication.istio.io", "config.istio.io", "rbac.istio.io":
		if byInstaller(h) {
			return Installation
		}
		return FormerIstio
	case "rbac.authorization.k8s.io":
		if clusterScoped(h.Kind) || byInstaller(h) || ofIstio(h.Metadata.Namespace) {
			return Installation
		}
	case "networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io":
		if byInstaller(h) {
			return Installation
		}
	default: // Kubernetes' own
		if byInstaller(h) || ofIstio(h.Metadata.Namespace) || h.Kind == "Namespace" && ofIstio(h.Metadata.Name) {
			return Installation
		}
	}
	return ""
}

// ofIstio reports whether a namespace is one that only an installation uses.
func ofIstio(namespace string) bool {
	return slices.Contains([]string{"istio-system", "istio-operator", "kiali-operator"}, namespace)
}

// byInstaller reports whether istioctl, or Istio's former Helm chart, has
// labelled the object as its own.
func byInstaller(h *head) bool {
	labels := h.Metadata.Labels
	return labels["operator.istio.io/component"] != "" || labels["install.operator.istio.io/owning-resource"] != "" ||
		labels["release"] == "istio" && labels["heritage"] != "" || strings.HasPrefix(labels["helm.sh/chart"], "kiali-")
}
