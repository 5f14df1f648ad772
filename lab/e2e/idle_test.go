package e2e

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh"
)

// TestIdleObjects compares the notes of objects that change no proxy with istiod: with and without such an
// object it generates the same configuration.
func TestIdleObjects(t *testing.T) {
	t.Parallel()
	base := manifests(t, scenarios("canary-weighted"))
	m, _ := startMesh(t, base)
	before := generated(t, m)
	const (
		full        = "fleetman-staff-service.default.svc.cluster.local"
		destination = "networking.istio.io/v1 DestinationRule"
		virtual     = "networking.istio.io/v1 VirtualService"
		filter      = "networking.istio.io/v1alpha3 EnvoyFilter"
		manager     = "envoy.filters.network.http_connection_manager"
		lua         = "value: {name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: '-- x'}}}}"
	)
	patch := func(applyTo, match, patch string) string {
		return "{configPatches: [{applyTo: " + applyTo + ", match: {" + match + "}, patch: {" + patch + "}]}"
	}
	merge := "operation: MERGE, value: {connect_timeout: 7s}}"
	insert := "operation: INSERT_BEFORE, " + lua
	for _, test := range []struct {
		kind, spec string
		idle       bool
	}{
		{destination, "{host: nobody, trafficPolicy: {connectionPool: {http: {maxRetries: 7}}}}", true},
		{destination, "{host: fleetman-webapp, trafficPolicy: {connectionPool: {http: {maxRetries: 7}}}}", false},
		{destination, "{host: fleetman-webapp.default, trafficPolicy: {connectionPool: {http: {maxRetries: 7}}}}", true},
		{destination, "{host: fleetman-webapp, exportTo: [other], trafficPolicy: {connectionPool: {http: {maxRetries: 7}}}}", true},
		{destination, "{host: fleetman-webapp, trafficPolicy: {portLevelSettings: [{port: {number: 80}, connectionPool: {http: {maxRetries: 7}}}]}}", false},
		{destination, "{host: fleetman-webapp, trafficPolicy: {portLevelSettings: [{port: {number: 81}, connectionPool: {http: {maxRetries: 7}}}]}}", true},
		{destination, "{host: fleetman-webapp, trafficPolicy: {tls: {mode: SIMPLE}}}", false}, // by this machine's root certificates
		{virtual, "{hosts: [fleetman-api-gateway], http: [{timeout: 7s, route: [{destination: {host: fleetman-api-gateway}}]}]}", false},
		{virtual, "{hosts: [nobody.example], http: [{timeout: 7s, route: [{destination: {host: fleetman-api-gateway}}]}]}", false},
		{virtual, "{hosts: [fleetman-api-gateway], exportTo: [other], http: [{timeout: 7s, route: [{destination: {host: fleetman-api-gateway}}]}]}", true},
		{"networking.istio.io/v1 ServiceEntry", "{hosts: [a.example.com], exportTo: [other], ports: [{number: 8080, name: http, protocol: HTTP}], resolution: DNS}", true},
		{"networking.istio.io/v1 WorkloadEntry", "{address: 127.0.0.77, labels: {app: nobody}}", true},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: nobody}}, mtls: {mode: STRICT}}", true},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: staff-service}}, portLevelMtls: {'8081': {mode: STRICT}}}", true},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: staff-service}}, portLevelMtls: {'8080': {mode: STRICT}}}", false},
		{"security.istio.io/v1 AuthorizationPolicy", "{selector: {matchLabels: {app: nobody}}}", true},
		{"security.istio.io/v1 RequestAuthentication", "{selector: {matchLabels: {app: staff-service}}}", true},
		{"telemetry.istio.io/v1 Telemetry", "{tracing: [{randomSamplingPercentage: 7}]}", true},
		{"telemetry.istio.io/v1 Telemetry", "{metrics: [{overrides: [{disabled: true}]}]}", true},
		{"telemetry.istio.io/v1 Telemetry", "{accessLogging: [{providers: [{name: loki}]}]}", true},
		{"telemetry.istio.io/v1 Telemetry", "{accessLogging: [{disabled: true}]}", true},
		{"telemetry.istio.io/v1 Telemetry", "{accessLogging: [{disabled: true, providers: [{name: envoy}]}]}", false},
		{"networking.istio.io/v1 Sidecar", "{workloadSelector: {labels: {app: nobody}}, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}", true},
		{filter, patch("CLUSTER", "cluster: {service: "+full+"}", merge), false},
		{filter, patch("CLUSTER", "cluster: {service: fleetman-staff-service}", merge), true},
		{filter, patch("CLUSTER", "cluster: {service: "+full+", subset: nobody}", merge), true},
		{filter, patch("CLUSTER", "context: SIDECAR_OUTBOUND, cluster: {portNumber: 8081}", merge), true},
		{filter, patch("CLUSTER", "cluster: {name: 'inbound|8080||'}", merge), false},
		{filter, patch("CLUSTER", "cluster: {name: InboundPassthroughCluster}", merge), false},
		{filter, patch("CLUSTER", "proxy: {proxyVersion: '^1\\.20.*'}", merge), true},
		{filter, patch("HTTP_FILTER", "context: SIDECAR_INBOUND, listener: {portNumber: 8080, filterChain: {filter: {name: "+manager+", subFilter: {name: envoy.filters.http.router}}}}", insert), false},
		{filter, patch("HTTP_FILTER", "context: SIDECAR_INBOUND, listener: {portNumber: 8081, filterChain: {filter: {name: "+manager+", subFilter: {name: envoy.filters.http.router}}}}", insert), true},
		{filter, patch("HTTP_FILTER", "context: SIDECAR_OUTBOUND, listener: {portNumber: 8080, filterChain: {filter: {name: "+manager+", subFilter: {name: envoy.filters.http.fault}}}}", insert), false},
		{filter, patch("HTTP_FILTER", "context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: "+manager+", subFilter: {name: istio.alpn}}}}", insert), true},
		{filter, patch("HTTP_FILTER", "context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: "+manager+", subFilter: {name: envoy.filters.http.jwt_authn}}}}", insert), true},
		{filter, patch("VIRTUAL_HOST", "context: SIDECAR_OUTBOUND, routeConfiguration: {name: '8080', vhost: {name: '"+full+":8080'}}", "operation: MERGE, value: {per_request_buffer_limit_bytes: 7777}}"), false},
		{filter, patch("VIRTUAL_HOST", "context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: 'fleetman-staff-service:8080'}}", "operation: MERGE, value: {per_request_buffer_limit_bytes: 7777}}"), true},
		{filter, patch("VIRTUAL_HOST", "context: SIDECAR_INBOUND, routeConfiguration: {vhost: {name: 'inbound|http|8080'}}", "operation: MERGE, value: {per_request_buffer_limit_bytes: 7777}}"), false},
		{filter, patch("HTTP_ROUTE", "context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {route: {name: default}}}", "operation: MERGE, value: {route: {timeout: 7s}}}"), false},
		{filter, patch("HTTP_ROUTE", "context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {route: {name: nobody}}}", "operation: MERGE, value: {route: {timeout: 7s}}}"), true},
	} {
		apiVersion, kind, _ := strings.Cut(test.kind, " ")
		applied, err := m.Apply(t.Context(), plus(t, base, "apiVersion: "+apiVersion+"\nkind: "+kind+"\nmetadata: {name: a}\nspec: "+test.spec+"\n"))
		if err != nil {
			t.Errorf("%s %s: %v", test.kind, test.spec, err)
			continue
		}
		noted := slices.ContainsFunc(applied.Notes, func(note string) bool { return strings.Contains(note, "changes no proxy") })
		if same := bytes.Equal(generated(t, m), before); same != test.idle || noted != test.idle {
			t.Errorf("%s %s: changes no proxy: %v, notes %q, want %v", test.kind, test.spec, same, applied.Notes, test.idle)
		}
	}
}

// generated returns istiod's configuration of all proxies, without its version.
func generated(t testing.TB, m *mesh.Mesh) []byte {
	t.Helper()
	status := m.Status(t.Context())
	var all []any
	for _, p := range status.Proxies {
		pod := p.Name
		if p.Gateway {
			pod += "-0"
		}
		var dump any
		if !get(t, "http://"+status.Istiod.HTTP+"/debug/config_dump?proxyID="+pod+"."+p.Namespace+"&include_eds=true", &dump) {
			t.Fatalf("no configuration of %s", p.Name)
		}
		strip(dump)
		all = append(all, dump)
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return text
}

// strip removes times, versions, names of objects and the mark from a configuration, and sorts its lists, because istiod
// generates listeners and virtual hosts in any order.
func strip(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			strip(element)
		}
		text := func(element any) string { written, _ := json.Marshal(element); return string(written) }
		slices.SortFunc(value, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	case map[string]any:
		for _, key := range []string{"last_updated", "lastUpdated", "version_info", "versionInfo", "fleetman"} {
			delete(value, key)
		}
		if from, _ := value["config"].(string); strings.HasPrefix(from, "/apis/") {
			delete(value, "config")
		}
		for _, element := range value {
			strip(element)
		}
	}
}
