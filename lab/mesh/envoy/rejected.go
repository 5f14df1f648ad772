package envoy

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Rejection is an update from istiod that Envoy rejected. Envoy keeps its earlier configuration and stays
// ready.
type Rejection struct {
	// Stat is the counter of rejections and Count its value since Envoy started. Both are zero for a
	// rejection that only the configuration dump has.
	Stat  string
	Count int
	// Resource is the name of the listener, cluster or route, and Details is Envoy's reason. Both are
	// empty when a later update was accepted: the configuration dump no longer has the rejection.
	Resource, Details string
}

func (r Rejection) String() string {
	switch {
	case r.Details == "":
		return fmt.Sprintf("%s is %d", r.Stat, r.Count)
	case r.Stat == "":
		return fmt.Sprintf("%s: %s", r.Resource, r.Details)
	}
	return fmt.Sprintf("%s: %s (%s is %d)", r.Resource, r.Details, r.Stat, r.Count)
}

// Rejected returns the updates that Envoy has rejected since it started.
func (c *Client) Rejected(ctx context.Context) ([]Rejection, error) {
	stats, err := c.stats(ctx, `update_rejected$`)
	if err != nil {
		return nil, err
	}
	var counted []Rejection
	for _, s := range stats {
		if s.Value > 0 {
			counted = append(counted, Rejection{Stat: s.Name, Count: int(s.Value)})
		}
	}
	if len(counted) == 0 {
		return nil, nil // without the dump, which has a megabyte
	}
	var dump any
	if err := c.getJSON(ctx, "/config_dump", nil, &dump); err != nil {
		return nil, err
	}
	shown := errorStates(dump, "")
	for i := range counted {
		for j, reason := range shown {
			if kindOf(counted[i].Stat) == reason.kind {
				counted[i].Resource, counted[i].Details = reason.resource, reason.details
				shown = slices.Delete(shown, j, j+1)
				break
			}
		}
	}
	for _, reason := range shown {
		counted = append(counted, Rejection{Resource: reason.resource, Details: reason.details})
	}
	return counted, nil
}

// kindOf returns the kind of resource that a counter is about. The counters are
// listener_manager.lds.update_rejected, cluster_manager.cds.update_rejected and
// http.PREFIX.rds.NAME.update_rejected.
func kindOf(stat string) string {
	switch {
	case strings.HasPrefix(stat, "listener_manager."):
		return "listener"
	case strings.HasPrefix(stat, "cluster_manager."):
		return "cluster"
	case strings.Contains(stat, ".rds."):
		return "route"
	}
	return "other"
}

type reason struct{ kind, resource, details string }

// errorStates returns every error_state in a configuration dump. kind is that of the list that contains
// node.
func errorStates(node any, kind string) []reason {
	var found []reason
	switch typed := node.(type) {
	case []any:
		for _, element := range typed {
			found = append(found, errorStates(element, kind)...)
		}
	case map[string]any:
		if state, ok := typed["error_state"].(map[string]any); ok {
			r := reason{kind: kind}
			r.details, _ = state["details"].(string)
			failed, _ := state["failed_configuration"].(map[string]any)
			for _, name := range []any{typed["name"], failed["name"], failed["cluster_name"]} {
				if text, ok := name.(string); ok && text != "" {
					r.resource = text
					break
				}
			}
			if r.details != "" {
				found = append(found, r)
			}
		}
		for key, value := range typed {
			inner := kind
			for _, list := range []string{"listener", "cluster", "route"} {
				if strings.HasPrefix(key, "dynamic_") && strings.Contains(key, list) {
					inner = list
				}
			}
			if key != "error_state" {
				found = append(found, errorStates(value, inner)...)
			}
		}
	}
	slices.SortFunc(found, func(a, b reason) int {
		return strings.Compare(a.kind+a.resource+a.details, b.kind+b.resource+b.details)
	})
	return slices.Compact(found) // a dump has that of a listener twice
}

// Connected reports whether Envoy is connected to istiod.
func (c *Client) Connected(ctx context.Context) (bool, error) {
	connected, err := c.sum(ctx, `^control_plane\.connected_state$`)
	return connected == 1, err
}

// Config returns Envoy's configuration dump, with endpoints, in JSON.
func (c *Client) Config(ctx context.Context) ([]byte, error) {
	return c.do(ctx, "GET", "/config_dump", url.Values{"include_eds": {"on"}})
}
