package kube

import (
	"runtime"
	"slices"
	"strings"
)

// document returns the discovery document at a path, which has no slash at its ends.
func document(path string) (found any, ok bool) {
	switch path {
	case "api":
		return map[string]any{"kind": "APIVersions", "versions": []string{"v1"}, "serverAddressByClientCIDRs": []any{}}, true
	case "apis":
		return map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()}, true
	case "version":
		// istiod chooses the kinds that it watches by this version
		return map[string]string{
			"major": "1", "minor": "36", "gitVersion": "v1.36.0+fleetman", "platform": runtime.GOOS + "/" + runtime.GOARCH,
			"goVersion": runtime.Version(), "compiler": runtime.Compiler, "gitTreeState": "clean",
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
			if group["name"] == parts[1] {
				return group, true
			}
		}
	case len(parts) == 3 && parts[0] == "apis":
		return resources(parts[1], parts[2])
	}
	return nil, false
}

func groups() []map[string]any {
	var found []map[string]any
	for i := range kinds {
		name := kinds[i].Group
		if name == "" || slices.ContainsFunc(found, func(g map[string]any) bool { return g["name"] == name }) {
			continue
		}
		var versions []map[string]string
		for j := range kinds {
			for _, version := range kinds[j].Versions {
				entry := map[string]string{"groupVersion": name + "/" + version, "version": version}
				if kinds[j].Group == name && !slices.ContainsFunc(versions, func(v map[string]string) bool { return v["version"] == version }) {
					versions = append(versions, entry)
				}
			}
		}
		found = append(found, map[string]any{"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]})
	}
	return found
}

func resources(group, version string) (list any, ok bool) {
	var found []map[string]any
	for i := range kinds {
		k := &kinds[i]
		if k.Group != group || !k.serves(version) {
			continue
		}
		found = append(found, map[string]any{
			"name": k.Plural, "singularName": k.Singular, "kind": k.Kind, "namespaced": k.Namespaced,
			"verbs": []string{"get", "list", "watch"}, "shortNames": k.Short, "categories": categories(k),
		})
	}
	if found == nil {
		return nil, false
	}
	groupVersion := version
	if group != "" {
		groupVersion = group + "/" + version
	}
	return map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": groupVersion, "resources": found}, true
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

// crd returns the CustomResourceDefinition of an Istio kind. istiod only watches kinds that have one.
func crd(k *Kind) Object {
	var versions []any
	for i, version := range k.Versions {
		versions = append(versions, map[string]any{
			"name": version, "served": true, "storage": i == 0,
			"schema":       map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			"subresources": map[string]any{"status": map[string]any{}},
		})
	}
	names := map[string]any{"kind": k.Kind, "listKind": k.Kind + "List", "plural": k.Plural, "singular": k.Singular, "categories": []any{"istio-io"}}
	return Object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": k.Plural + "." + k.Group, "labels": map[string]any{"app": "istio-pilot"}},
		"spec": map[string]any{
			"group": k.Group, "scope": "Namespaced", "names": names, "versions": versions,
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

func mapOf(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}
