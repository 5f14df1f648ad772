package mesh

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fleetman.example/lab/mesh/kube"
)

// tracing returns the collector to which the services send their spans, from OpenTelemetry's
// variables, so that the proxies send theirs there too. It is nil when tracing is off, or when the
// proxies cannot use it; note is then the reason.
func tracing(ctx context.Context, getenv func(string) string) (collector *kube.Collector, note string) {
	endpoint, path := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), ""
	if endpoint == "" {
		endpoint, path = getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "/v1/traces"
	}
	exporter := getenv("OTEL_TRACES_EXPORTER")
	if exporter == "none" || endpoint == "" && exporter != "otlp" {
		return nil, ""
	}
	grpc := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL")) == "grpc"
	standard := "4318"
	if grpc {
		standard = "4317"
	}
	endpoint = cmp.Or(endpoint, "http://127.0.0.1:"+standard)
	at, err := url.Parse(endpoint)
	if err != nil || at.Scheme != "http" || at.Hostname() == "" {
		return nil, fmt.Sprintf("the proxies send no spans: OTEL_EXPORTER_OTLP_ENDPOINT: %.100q: must be an http:// URL", endpoint)
	}
	port, err := strconv.ParseUint(cmp.Or(at.Port(), standard), 10, 16)
	if err != nil {
		return nil, fmt.Sprintf("the proxies send no spans: OTEL_EXPORTER_OTLP_ENDPOINT: %.100q: must have a port between 1 and 65535", endpoint)
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", at.Hostname())
	if err != nil || len(addresses) == 0 {
		return nil, fmt.Sprintf("the proxies send no spans: resolve %s: %v", at.Hostname(), err)
	}
	collector = &kube.Collector{Address: netip.AddrPortFrom(addresses[0].Unmap(), uint16(port)), GRPC: grpc}
	if !grpc {
		collector.Path = strings.TrimSuffix(at.Path, "/") + path
	}
	return collector, ""
}
