package kube

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
)

// Only clusters of hosts that Envoy resolves by DNS use the fleet's DNS.
func TestDNSOfServiceEntries(t *testing.T) {
	entry := func(name, resolution string, hosts ...string) manifest.Object {
		text, err := json.Marshal(map[string]any{
			"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": name, "namespace": "default"},
			"spec": map[string]any{"hosts": hosts, "resolution": resolution},
		})
		require.NoError(t, err)
		return manifest.Object{APIVersion: "networking.istio.io/v1", Kind: "ServiceEntry", Namespace: "default", Name: name, JSON: text}
	}
	w := World{Manifests: &manifest.Objects{All: []manifest.Object{
		entry("a", "DNS", "b.example", "a.example"), entry("b", "DNS_ROUND_ROBIN", "a.example"), entry("c", "STATIC", "c.example"), entry("d", "NONE", "d.example"),
	}}, Node: netip.MustParseAddr("127.0.0.1"), DNS: netip.MustParseAddrPort("127.0.0.1:5353")}
	filters := func(w World) (patched []string, texts []string) {
		objects, _, err := Derive(w)
		require.NoError(t, err)
		for _, o := range objects {
			if o["kind"] != "EnvoyFilter" {
				continue
			}
			for _, patch := range mapOf(o["spec"])["configPatches"].([]any) {
				patched = append(patched, mapOf(mapOf(mapOf(patch)["match"])["cluster"])["service"].(string))
				text, _ := json.Marshal(mapOf(mapOf(patch)["patch"])["value"])
				texts = append(texts, string(text))
			}
		}
		return patched, texts
	}
	patched, texts := filters(w)
	want := `{"typed_dns_resolver_config":{"name":"envoy.network.dns_resolver.cares","typed_config":{"@type":"type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig","dns_resolver_options":{"no_default_search_domain":true},"resolvers":[{"socket_address":{"address":"127.0.0.1","port_value":5353}}]}}}`
	assert.Equal(t, []string{"a.example", "b.example"}, patched, "patched")
	assert.Equal(t, want, texts[0], "the patch")
	w.Manifests = &manifest.Objects{All: w.Manifests.All[2:]}
	patched, _ = filters(w)
	assert.Empty(t, patched, "patched without a host by DNS")
}
