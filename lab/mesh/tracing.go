package mesh

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/mesh/kube"
)

// tracing finds where the services send their traces, by OpenTelemetry's own
// variables, so that the proxies' spans go there too; it is nil when they send
// none. The note says why the proxies cannot.
func tracing(ctx context.Context, getenv func(string) string) (collector *kube.Collector, note string) {
	endpoint, path := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), ""
	if endpoint == "" {
		endpoint, path = getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "/v1/traces"
	}
	exporter := getenv("OTEL_TRACES_EXPORTER")
	if exporter == "none" || endpoint == "" && exporter != "otlp" {
		return nil, ""
	}
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	grpc := protocol == "grpc"
	standard := "4318"
	if grpc {
		standard = "4317"
	}
	if endpoint == "" {
		endpoint = "http://127.0.0.1:" + standard
	}
	at, err := url.Parse(endpoint)
	if err != nil || at.Scheme != "http" || at.Hostname() == "" {
		return nil, fmt.Sprintf("the proxies send no traces: their collector is an http:// URL, not %.100q", endpoint)
	}
	if at.Port() != "" {
		standard = at.Port()
	}
	port, err := strconv.ParseUint(standard, 10, 16)
	if err != nil {
		return nil, fmt.Sprintf("the proxies send no traces: no port in %.100q", endpoint)
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", at.Hostname())
	if err != nil || len(addresses) == 0 {
		return nil, fmt.Sprintf("the proxies send no traces: %s has no address: %v", at.Hostname(), err)
	}
	collector = &kube.Collector{Address: netip.AddrPortFrom(addresses[0].Unmap(), uint16(port)), GRPC: grpc}
	if !grpc {
		collector.Path = strings.TrimSuffix(at.Path, "/") + path
	}
	return collector, ""
}

// environment reads a list as os.Environ gives it; the last of a name counts.
func environment(list []string) func(string) string {
	return func(name string) string {
		for _, variable := range slices.Backward(list) {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value
			}
		}
		return ""
	}
}
