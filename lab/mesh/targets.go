package mesh

import (
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleetman.example/lab/manifest"
)

// withTargets returns manifests with what the routes of others may lead to: Services, ServiceEntries and
// DestinationRules, and their subsets. differs reports whether that is more than the manifests.
func withTargets(others, manifests *manifest.Objects) (objects *manifest.Objects, differs bool) {
	merged := &manifest.Objects{All: slices.Clone(manifests.All), LeftOut: manifests.LeftOut, Notes: manifests.Notes}
	for _, other := range others.All {
		if !slices.Contains([]string{"Service", "ServiceEntry", "DestinationRule"}, other.Kind) {
			continue
		}
		i := slices.IndexFunc(merged.All, func(o manifest.Object) bool { return o.Kind == other.Kind && o.Ref() == other.Ref() })
		if i < 0 {
			merged.All, differs = append(merged.All, other), true
			continue
		}
		if data := withSubsets(other, merged.All[i]); data != nil {
			merged.All[i].JSON, differs = data, true
		}
	}
	if !differs {
		return manifests, false
	}
	return merged, true
}

// withSubsets returns the JSON of a DestinationRule with the subsets of another version, or nil when it
// has them.
func withSubsets(other, now manifest.Object) []byte {
	var theirs, ours map[string]any
	if other.Kind != "DestinationRule" || json.Unmarshal(other.JSON, &theirs) != nil || json.Unmarshal(now.JSON, &ours) != nil {
		return nil
	}
	before, _, _ := unstructured.NestedSlice(theirs, "spec", "subsets")
	all, _, _ := unstructured.NestedSlice(ours, "spec", "subsets")
	had := len(all)
	name := func(subset any) any {
		fields, _ := subset.(map[string]any)
		return fields["name"]
	}
	for _, subset := range before {
		if !slices.ContainsFunc(all, func(one any) bool { return name(one) == name(subset) }) {
			all = append(all, subset)
		}
	}
	if len(all) == had || unstructured.SetNestedSlice(ours, all, "spec", "subsets") != nil {
		return nil
	}
	data, _ := json.Marshal(ours) // decoded from JSON
	return data
}
