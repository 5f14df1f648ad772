package kube

import (
	"runtime"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// document returns the discovery document at a path, which has no slash at its ends.
func document(path string) (found any, ok bool) {
	switch path {
	case "api":
		return metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}, ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{},
		}, true
	case "apis":
		return metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: groups()}, true
	case "version":
		// istiod chooses the kinds that it watches by this version
		return version.Info{
			Major: "1", Minor: "36", GitVersion: "v1.36.0+fleetman", Platform: runtime.GOOS + "/" + runtime.GOARCH,
			GoVersion: runtime.Version(), Compiler: runtime.Compiler, GitTreeState: "clean",
		}, true
	case "healthz", "livez", "readyz":
		return "ok", true
	case "openapi/v3":
		return map[string]any{"paths": map[string]any{}}, true
	}
	parts := strings.Split(path, "/")
	switch {
	case path == "api/v1":
		return resources("", "v1")
	case len(parts) == 2 && parts[0] == "apis":
		for _, group := range groups() {
			if group.Name == parts[1] {
				return group, true
			}
		}
	case len(parts) == 3 && parts[0] == "apis":
		return resources(parts[1], parts[2])
	}
	return nil, false
}

func groups() []metav1.APIGroup {
	var found []metav1.APIGroup
	for i := range kinds {
		k := &kinds[i]
		if k.Group == "" {
			continue
		}
		at := slices.IndexFunc(found, func(g metav1.APIGroup) bool { return g.Name == k.Group })
		if at < 0 {
			at = len(found)
			found = append(found, metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: k.Group})
		}
		group := &found[at]
		for _, version := range k.Versions {
			entry := metav1.GroupVersionForDiscovery{GroupVersion: k.apiVersion(version), Version: version}
			if !slices.Contains(group.Versions, entry) {
				group.Versions = append(group.Versions, entry)
			}
		}
		group.PreferredVersion = group.Versions[0]
	}
	return found
}

func resources(group, version string) (list any, ok bool) {
	found := metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: schema.GroupVersion{Group: group, Version: version}.String(),
	}
	for i := range kinds {
		if k := &kinds[i]; k.Group == group && slices.Contains(k.Versions, version) {
			found.APIResources = append(found.APIResources, metav1.APIResource{
				Name: k.Plural, SingularName: k.Singular, Kind: k.Kind, Namespaced: k.Namespaced,
				Verbs: metav1.Verbs{"get", "list", "watch"}, ShortNames: k.Short, Categories: categories(k),
			})
		}
	}
	return found, found.APIResources != nil
}

// categories returns a kind's categories, for kubectl get all and kubectl get istio-io.
func categories(k *Kind) []string {
	switch {
	case k.Istio():
		return []string{"istio-io"}
	case slices.Contains([]string{"pods", "services", "deployments"}, k.Plural):
		return []string{"all"}
	}
	return nil
}

// crd returns the CustomResourceDefinition of a kind of Istio or Gateway API. istiod only watches kinds that have one.
func crd(k *Kind) Object {
	var versions []any
	for i, version := range k.Versions {
		versions = append(versions, map[string]any{
			"name": version, "served": true, "storage": i == 0,
			"schema":       map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			"subresources": map[string]any{"status": map[string]any{}},
		})
	}
	names := map[string]any{"kind": k.Kind, "listKind": k.Kind + "List", "plural": k.Plural, "singular": k.Singular, "categories": categories(k)}
	metadata, scope := map[string]any{"name": k.Plural + "." + k.Group, "labels": map[string]any{"app": "istio-pilot"}}, "Namespaced"
	if !k.Istio() {
		metadata["annotations"] = map[string]any{"gateway.networking.k8s.io/bundle-version": gatewayBundle}
	}
	if !k.Namespaced {
		scope = "Cluster"
	}
	return Object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": metadata,
		"spec": map[string]any{
			"group": k.Group, "scope": scope, "names": names, "versions": versions,
			"conversion": map[string]any{"strategy": "None"},
		},
		"status": map[string]any{
			"acceptedNames":  names,
			"storedVersions": []any{k.Versions[0]},
			"conditions": []any{
				map[string]any{"type": "NamesAccepted", "status": "True", "reason": "NoConflicts"},
				map[string]any{"type": "Established", "status": "True", "reason": "InitialNamesAccepted"},
			},
		},
	}
}

// gatewayBundle is the version of Gateway API. istiod ignores the kinds of an old one.
const gatewayBundle = "v1.4.0"
