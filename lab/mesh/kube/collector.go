package kube

import (
	"net/netip"
	"strings"
)

// Collector is the OpenTelemetry collector to which the proxies send spans, in OTLP.
type Collector struct {
	Address netip.AddrPort
	GRPC    bool   // the protocol: gRPC, else HTTP
	Path    string // of the HTTP endpoint
}

// CollectorHost is the collector's host name in the mesh.
const CollectorHost = "otel-collector.fleetman.example"

const collectorProvider = "otel"

// MeshConfig adds the collector to istiod's configuration.
func (c *Collector) MeshConfig(config map[string]any) {
	provider := map[string]any{"service": CollectorHost, "port": c.Address.Port()}
	if !c.GRPC {
		provider["http"] = map[string]any{"path": c.Path, "timeout": "5s"}
	}
	config["extensionProviders"] = []any{map[string]any{"name": collectorProvider, "opentelemetry": provider}}
	config["defaultProviders"] = map[string]any{"tracing": []any{collectorProvider}}
}

// collector adds a ServiceEntry for the collector. Without a service of that name istiod ignores the
// provider.
func (d *deriver) collector() {
	if d.Collector == nil {
		return
	}
	protocol := "HTTP"
	if d.Collector.GRPC {
		protocol = "GRPC"
	}
	port := map[string]any{"number": int(d.Collector.Address.Port()), "name": strings.ToLower(protocol), "protocol": protocol}
	d.add(Object{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
		"metadata": map[string]any{"name": "fleetman-otel-collector", "namespace": RootNamespace},
		"spec": map[string]any{
			"hosts": []any{CollectorHost}, "location": "MESH_EXTERNAL", "resolution": "STATIC", "ports": []any{port},
			"addresses": []any{"240.0.0.1"}, // unused; without an address the listener would be at all of this machine's
			"endpoints": []any{map[string]any{"address": d.Collector.Address.Addr().String()}},
		},
	})
	d.attemptSpans()
}

// attemptSpans adds an EnvoyFilter by which a sidecar makes a span for each attempt, as istiod configures
// for gateways alone: otherwise a call with retries is one span.
func (d *deriver) attemptSpans() {
	const manager = "envoy.filters.network.http_connection_manager"
	d.addFilter("fleetman-attempt-spans", map[string]any{
		"applyTo": "NETWORK_FILTER",
		"match": map[string]any{
			"context":  "SIDECAR_OUTBOUND",
			"listener": map[string]any{"filterChain": map[string]any{"filter": map[string]any{"name": manager}}},
		},
		"patch": map[string]any{"operation": "MERGE", "value": map[string]any{"typed_config": map[string]any{
			"@type":   "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"tracing": map[string]any{"spawn_upstream_span": true},
		}}},
	})
}

// addFilter adds an EnvoyFilter for all proxies.
func (d *deriver) addFilter(name string, patches ...any) {
	d.add(Object{
		"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
		"metadata": map[string]any{
			"name": name, "namespace": RootNamespace,
			// istioctl analyze warns of every EnvoyFilter, and this one is none of the user's
			"annotations": map[string]any{"galley.istio.io/analyze-suppress": "IST0133"},
		},
		"spec": map[string]any{"configPatches": patches},
	})
}
