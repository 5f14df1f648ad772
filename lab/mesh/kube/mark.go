package kube

import "fleetman.example/lab/mesh/envoy"

// mark adds an EnvoyFilter by which each proxy's configuration has World.Mark. It is in a cluster that every proxy has
// and that no request uses.
func (d *deriver) mark() {
	if d.Mark == 0 {
		return
	}
	d.add(Object{
		"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
		"metadata": map[string]any{
			"name": "fleetman-mark", "namespace": RootNamespace,
			// istioctl analyze warns of every EnvoyFilter, and this one is none of the user's
			"annotations": map[string]any{"galley.istio.io/analyze-suppress": "IST0133"},
		},
		"spec": map[string]any{"configPatches": []any{map[string]any{
			"applyTo": "CLUSTER",
			"match":   map[string]any{"cluster": map[string]any{"name": envoy.MarkedCluster}},
			"patch":   map[string]any{"operation": "MERGE", "value": map[string]any{"metadata": envoy.Marked(d.Mark)}},
		}}},
	})
}
