package mesh

import (
	"encoding/json"
	"slices"

	"fleetman.example/lab/manifest"
)

// withTargets returns the new manifests with what routes of the old ones may lead to: Services,
// ServiceEntries and DestinationRules, and their subsets. differs reports whether that is more than the
// new manifests.
func withTargets(before, after *manifest.Objects) (objects *manifest.Objects, differs bool) {
	merged := &manifest.Objects{All: slices.Clone(after.All), LeftOut: after.LeftOut, Notes: after.Notes}
	for _, old := range before.All {
		if !slices.Contains([]string{"Service", "ServiceEntry", "DestinationRule"}, old.Kind) {
			continue
		}
		i := slices.IndexFunc(merged.All, func(o manifest.Object) bool { return o.Kind == old.Kind && o.Ref() == old.Ref() })
		if i < 0 {
			merged.All, differs = append(merged.All, old), true
			continue
		}
		if data := withSubsets(old, merged.All[i]); data != nil {
			merged.All[i].JSON, differs = data, true
		}
	}
	if !differs {
		return after, false
	}
	return merged, true
}

// withSubsets returns the JSON of a DestinationRule with the subsets of an older version, or nil when it
// has them.
func withSubsets(old, now manifest.Object) []byte {
	var was, is map[string]any
	if old.Kind != "DestinationRule" || json.Unmarshal(old.JSON, &was) != nil || json.Unmarshal(now.JSON, &is) != nil {
		return nil
	}
	subsets := func(rule map[string]any) []any {
		spec, _ := rule["spec"].(map[string]any)
		found, _ := spec["subsets"].([]any)
		return found
	}
	name := func(subset any) any {
		fields, _ := subset.(map[string]any)
		return fields["name"]
	}
	all := slices.Clone(subsets(is))
	for _, subset := range subsets(was) {
		if !slices.ContainsFunc(all, func(other any) bool { return name(other) == name(subset) }) {
			all = append(all, subset)
		}
	}
	spec, _ := is["spec"].(map[string]any)
	if spec == nil || len(all) == len(subsets(is)) {
		return nil
	}
	spec["subsets"] = all
	data, err := json.Marshal(is)
	if err != nil {
		return nil
	}
	return data
}
