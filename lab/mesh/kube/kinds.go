package kube

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleetman.example/lab/manifest"
)

// Kind is a kind of objects that the API serves.
type Kind struct {
	Group, Kind, Plural, Singular string
	// Versions are the served versions, the stored one first.
	Versions   []string
	Namespaced bool
	Short      []string
}

func (k *Kind) apiVersion(version string) string {
	return schema.GroupVersion{Group: k.Group, Version: version}.String()
}

// key returns PLURAL.GROUP, which is unique among kinds.
func (k *Kind) key() string { return k.Plural + "." + k.Group }

// Custom reports whether the kind has a CustomResourceDefinition: it belongs to one of Istio's APIs, or to
// Gateway API.
func (k *Kind) Custom() bool { return k.Istio() || k.Group == manifest.GatewayGroup }

// Istio reports whether the kind belongs to one of Istio's APIs.
func (k *Kind) Istio() bool { return strings.HasSuffix(k.Group, ".istio.io") }

func core(kind, plural string, namespaced bool, short ...string) Kind {
	return builtin("", "v1", kind, plural, namespaced, short...)
}

func builtin(group, version, kind, plural string, namespaced bool, short ...string) Kind {
	return Kind{Group: group, Kind: kind, Plural: plural, Singular: strings.ToLower(kind), Versions: []string{version}, Namespaced: namespaced, Short: short}
}

// kinds are the kinds that the API serves. Some of them occur in no manifest, but istiod or kubectl list
// them.
var kinds = append([]Kind{
	core("Namespace", "namespaces", false, "ns"),
	core("Node", "nodes", false, "no"),
	core("Service", "services", true, "svc"),
	core("Pod", "pods", true, "po"),
	core("Endpoints", "endpoints", true, "ep"),
	core("Secret", "secrets", true),
	core("ConfigMap", "configmaps", true, "cm"),
	core("ServiceAccount", "serviceaccounts", true, "sa"),
	core("Event", "events", true, "ev"),
	core("ReplicationController", "replicationcontrollers", true, "rc"),
	core("ResourceQuota", "resourcequotas", true, "quota"),
	core("LimitRange", "limitranges", true, "limits"),
	core("PersistentVolumeClaim", "persistentvolumeclaims", true, "pvc"),
	core("PersistentVolume", "persistentvolumes", false, "pv"),
	builtin("apps", "v1", "Deployment", "deployments", true, "deploy"),
	builtin("apps", "v1", "ReplicaSet", "replicasets", true, "rs"),
	builtin("apps", "v1", "StatefulSet", "statefulsets", true, "sts"),
	builtin("apps", "v1", "DaemonSet", "daemonsets", true, "ds"),
	builtin("batch", "v1", "Job", "jobs", true),
	builtin("batch", "v1", "CronJob", "cronjobs", true, "cj"),
	builtin("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, "hpa"),
	builtin("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true, "pdb"),
	builtin("networking.k8s.io", "v1", "Ingress", "ingresses", true, "ing"),
	builtin("networking.k8s.io", "v1", "IngressClass", "ingressclasses", false),
	builtin("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true, "netpol"),
	builtin("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
	builtin("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
	builtin("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
	builtin("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
	builtin("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true),
	builtin("coordination.k8s.io", "v1", "Lease", "leases", true),
	builtin("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
	builtin("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
	builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false, "crd"),
}, istioKinds()...)

func istioKinds() (all []Kind) {
	for _, k := range slices.Concat(manifest.IstioKinds, manifest.GatewayKinds) {
		all = append(all, Kind{
			Group: k.Group, Kind: k.Kind, Plural: k.Plural, Singular: strings.ToLower(k.Kind), Versions: k.Versions, Namespaced: k.Kind != "GatewayClass", Short: k.Short,
		})
	}
	return all
}

// KindOf returns the kind with the given apiVersion and name, or nil when the API does not serve it.
func KindOf(apiVersion, kind string) *Kind {
	of := schema.FromAPIVersionAndKind(apiVersion, kind)
	return kindWhere(of.Group, of.Version, func(k *Kind) bool { return k.Kind == kind })
}

func byPlural(group, version, plural string) *Kind {
	return kindWhere(group, version, func(k *Kind) bool { return k.Plural == plural })
}

// kindWhere returns the kind of a group that a condition holds for, or nil when the API does not serve that version.
func kindWhere(group, version string, is func(*Kind) bool) *Kind {
	for i := range kinds {
		if k := &kinds[i]; k.Group == group && slices.Contains(k.Versions, version) && is(k) {
			return k
		}
	}
	return nil
}
