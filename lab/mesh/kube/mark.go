package kube

import "fleetman.example/lab/mesh/envoy"

// mark adds an EnvoyFilter by which each proxy's configuration has World.Mark. It is in a cluster that every proxy has
// and that no request uses.
func (d *deriver) mark() {
	if d.Mark == 0 {
		return
	}
	d.addFilter("fleetman-mark", map[string]any{
		"applyTo": "CLUSTER",
		"match":   map[string]any{"cluster": map[string]any{"name": envoy.MarkedCluster}},
		"patch":   map[string]any{"operation": "MERGE", "value": map[string]any{"metadata": envoy.Marked(d.Mark)}},
	})
}
