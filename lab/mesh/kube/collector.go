package kube

import "net/netip"

// Collector is where proxies send their spans, in OTLP.
type Collector struct {
	Address netip.AddrPort
	GRPC    bool
	Path    string // with HTTP
}

// collectorHost is the collector's name in the mesh.
const collectorHost = "otel-collector.fleetman.example"

const collectorProvider = "otel"

// MeshConfig adds the collector to istiod's configuration.
func (c *Collector) MeshConfig(config map[string]any) {
	provider := map[string]any{"service": collectorHost, "port": c.Address.Port()}
	if !c.GRPC {
		provider["http"] = map[string]any{"path": c.Path, "timeout": "5s"}
	}
	config["extensionProviders"] = []any{map[string]any{"name": collectorProvider, "opentelemetry": provider}}
	config["defaultProviders"] = map[string]any{"tracing": []any{collectorProvider}}
}

// collector is a ServiceEntry: without a service of that name istiod leaves
// the provider out.
func (d *deriver) collector() {
	if d.Collector == nil {
		return
	}
	name := "http"
	if d.Collector.GRPC {
		name = "grpc"
	}
	port := map[string]any{"number": int(d.Collector.Address.Port()), "name": name, "protocol": map[bool]string{false: "HTTP", true: "GRPC"}[d.Collector.GRPC]}
	d.add(Object{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
		"metadata": map[string]any{"name": "fleetman-otel-collector", "namespace": RootNamespace},
		"spec": map[string]any{
			"hosts": []any{collectorHost}, "location": "MESH_EXTERNAL", "resolution": "STATIC", "ports": []any{port},
			"addresses": []any{"240.0.0.1"}, // not for use: without any, it would be opened on all
			"endpoints": []any{map[string]any{"address": d.Collector.Address.Addr().String()}},
		},
	})
}
