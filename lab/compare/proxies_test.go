package compare

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/record"
)

func TestOutboundTo(t *testing.T) {
	for cluster, want := range map[string]string{
		"outbound|8080||fleetman-staff-service.default.svc.cluster.local":     "staff-service",
		"outbound|8080|safe|fleetman-staff-service.default.svc.cluster.local": "staff-service",
		"outbound|80||other.shop.svc.cluster.local":                           "other",
		"inbound|8080||":  "",
		"xds-grpc":        "",
		"outbound|8080||": "",
	} {
		got, ok := outboundTo(cluster)
		assert.Equal(t, want, got, cluster)
		assert.Equal(t, want != "", ok, cluster)
	}
}

func TestEntry(t *testing.T) {
	began := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	pods := map[string]string{"127.0.77.4": "staff-service-0"}
	sidecar := proxy{name: "api-gateway-0", address: "127.0.77.6"}
	for name, test := range map[string]struct {
		proxy proxy
		entry envoy.AccessEntry
		want  record.AccessLogEntry
	}{
		"out": {
			sidecar,
			envoy.AccessEntry{Cluster: "outbound|8080||x", Upstream: "127.0.77.4:8080", Status: 504, Flags: "UT", Details: "response_timeout"},
			record.AccessLogEntry{Side: record.Out, To: "staff-service-0", Status: 504, Flags: "UT", Details: "response_timeout"},
		},
		"in":            {sidecar, envoy.AccessEntry{Cluster: "inbound|8080||", Upstream: "127.0.0.1:18004", Status: 502, Flags: "-", Fault: "status"}, record.AccessLogEntry{Side: record.In, Status: 502, Flags: "-", Fault: "status"}},
		"in, refused":   {sidecar, envoy.AccessEntry{Local: "127.0.77.6:8080", Status: 403, Flags: "-"}, record.AccessLogEntry{Side: record.In, Status: 403, Flags: "-"}},
		"out, no route": {sidecar, envoy.AccessEntry{Local: "127.0.78.6:8080", Status: 404, Flags: "NR"}, record.AccessLogEntry{Side: record.Out, Status: 404, Flags: "NR"}},
		"gateway": {
			proxy{name: "api-gateway-0", gateway: true},
			envoy.AccessEntry{Cluster: "outbound|8080||x", Upstream: "127.0.77.4:8080", Status: 200, Flags: "-"},
			record.AccessLogEntry{Side: record.AtGateway, To: "staff-service-0", Status: 200, Flags: "-"},
		},
	} {
		test.entry.Time = began.Add(1500 * time.Millisecond)
		test.want.At, test.want.Proxy = record.Offset(1500*time.Millisecond), "api-gateway-0"
		assert.Equal(t, test.want, test.proxy.recordEntry(test.entry, pods, began), name)
	}
}
