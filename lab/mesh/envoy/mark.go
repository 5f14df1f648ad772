package envoy

import (
	"context"
	"net/url"
)

// MarkedCluster is the cluster that has the mark: each proxy of Istio has it, and no request uses it.
const MarkedCluster = "BlackHoleCluster"

// Marked returns the metadata of a cluster with a mark.
func Marked(mark int64) map[string]any {
	return map[string]any{"filter_metadata": map[string]any{"fleetman": map[string]any{"mark": mark}}}
}

// Mark returns the mark of Envoy's configuration; 0 without one.
func (c *Client) Mark(ctx context.Context) (int64, error) {
	var dump struct {
		Configs []struct {
			Cluster struct {
				Metadata struct {
					Filters struct {
						Fleetman struct {
							Mark int64 `json:"mark"`
						} `json:"fleetman"`
					} `json:"filter_metadata"`
				} `json:"metadata"`
			} `json:"cluster"`
		} `json:"configs"`
	}
	query := url.Values{"resource": {"dynamic_active_clusters"}, "name_regex": {"^" + MarkedCluster + "$"}}
	if err := c.getJSON(ctx, "/config_dump", query, &dump); err != nil || len(dump.Configs) == 0 {
		return 0, err
	}
	return dump.Configs[0].Cluster.Metadata.Filters.Fleetman.Mark, nil
}

// Warming returns the number of clusters and listeners that wait for the rest of their configuration, such as
// endpoints. A route to a cluster that waits fails.
func (c *Client) Warming(ctx context.Context) (int, error) {
	return c.sum(ctx, `^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$`)
}
