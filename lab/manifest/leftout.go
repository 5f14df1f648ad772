package manifest

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The reasons for which an object is not part of a fleet.
const (
	// Installation is the reason for an object of an installation of Istio, or of an
	// add-on such as Kiali: published directories contain it beside the fleet.
	Installation = "part of an Istio installation, and fleetman runs an istiod of its own"
	// FormerIstio is the reason for an object of an API that Istio has removed.
	FormerIstio = "of an API that Istio has removed"
	// Telemetry is the reason for an object of k8s/components/telemetry.
	Telemetry = "a tool for a cluster: kubectl apply -k k8s/components/telemetry/stack"
)

// leftOut returns the reason for which an object is not part of a fleet, or "".
// Such objects are not checked: many are of versions that Kubernetes has removed.
func leftOut(h *head) string {
	if isTelemetry(h) {
		return Telemetry
	}
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
		if IsMeshConfig(h.Kind, h.Metadata.Namespace, h.Metadata.Name) {
			return ""
		}
		if byInstaller(h) || inIstio(h) {
			return Installation
		}
	}
	return ""
}

// inIstio reports whether an object is a namespace of an installation, or in one.
func inIstio(h *head) bool {
	return ofIstio(h.Metadata.Namespace) || h.Kind == "Namespace" && ofIstio(h.Metadata.Name)
}

func isTelemetry(h *head) bool {
	labels := h.Metadata.Labels
	return labels["app.kubernetes.io/part-of"] == "fleetman" && labels["app.kubernetes.io/component"] == "telemetry"
}

// MeshConfigMap is the name of the ConfigMap in istio-system whose key mesh has fields of the mesh
// configuration, for all namespaces. istiod reads it beside its own, whose fields take precedence
// (SHARED_MESH_CONFIG, which k8s/istio.yaml sets on a cluster).
const MeshConfigMap = "fleetman-mesh"

// IsMeshConfig reports whether an object is the ConfigMap with fields of the mesh configuration.
func IsMeshConfig(kind, namespace, name string) bool {
	return kind == "ConfigMap" && namespace == "istio-system" && name == MeshConfigMap
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
