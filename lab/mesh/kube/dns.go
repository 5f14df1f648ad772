package kube

import (
	"slices"
	"strings"
)

// dns adds an EnvoyFilter that makes the proxies resolve the hosts of ServiceEntries with the fleet's
// DNS. Without it their clusters use the system's resolver, which does not know the fleet's names: for
// these clusters istiod overrides the bootstrap's resolver.
func (d *deriver) dns() {
	if !d.DNS.IsValid() {
		return
	}
	var hosts []string
	for _, o := range d.objects {
		if o["kind"] == "ServiceEntry" && strings.HasPrefix(field[string](o, "spec", "resolution"), "DNS") {
			hosts = append(hosts, items[string](o, "spec", "hosts")...)
		}
	}
	if len(hosts) == 0 {
		return
	}
	slices.Sort(hosts)
	var patches []any
	for _, host := range slices.Compact(hosts) {
		patches = append(patches, map[string]any{
			"applyTo": "CLUSTER",
			"match":   map[string]any{"cluster": map[string]any{"service": host}},
			"patch": map[string]any{"operation": "MERGE", "value": map[string]any{"typed_dns_resolver_config": map[string]any{
				"name": "envoy.network.dns_resolver.cares",
				"typed_config": map[string]any{
					"@type":                "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
					"resolvers":            []any{map[string]any{"socket_address": map[string]any{"address": d.DNS.Addr().String(), "port_value": d.DNS.Port()}}},
					"dns_resolver_options": map[string]any{"no_default_search_domain": true},
				},
			}}},
		})
	}
	d.addFilter("fleetman-dns", patches...)
}
