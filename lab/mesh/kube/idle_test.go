package kube

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/local"
	"fleetman.example/lab/wants"
)

// onlyNote checks that there is one note, with the prefix, or none when want is "".
func onlyNote(t *testing.T, of string, notes []string, prefix, want string) {
	t.Helper()
	var all []string
	if want != "" {
		all = []string{prefix + want}
	}
	assert.Equal(t, all, notes, of)
}

// A match of a listener that only proxies with iptables have is translated, or noted when no listener here
// can match.
func TestEnvoyFilterListeners(t *testing.T) {
	for _, test := range []struct{ match, want, note string }{
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[filter:map[name:envoy.filters.network.tcp_proxy]]]]", ""},
		{`{listener: {portNumber: 15006}}`, "map[context:SIDECAR_INBOUND listener:map[]]", ""},
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {destinationPort: 8080}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[] portNumber:8080]]", ""},
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {name: 0.0.0.0_8080}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[] portNumber:8080]]", ""},
		{`{context: SIDECAR_OUTBOUND, listener: {name: 0.0.0.0_80}}`, "map[context:SIDECAR_OUTBOUND listener:map[portNumber:80]]", ""},
		{`{context: SIDECAR_OUTBOUND, listener: {portNumber: 80}}`, "map[context:SIDECAR_OUTBOUND listener:map[portNumber:80]]", ""},
		{`{context: SIDECAR_OUTBOUND, listener: {name: virtualOutbound}}`, "map[context:SIDECAR_OUTBOUND listener:map[name:virtualOutbound]]", "virtualOutbound: a proxy here has outbound listeners for the ports of Services alone"},
		{`{context: SIDECAR_OUTBOUND, listener: {name: 10.96.0.7_8080}}`, "map[context:SIDECAR_OUTBOUND listener:map[name:10.96.0.7_8080]]", "name: 10.96.0.7_8080: a proxy here has its listeners at addresses of its own: match by portNumber"},
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {name: virtualInbound-catchall-http}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[name:virtualInbound-catchall-http]]]", "filterChain.name: virtualInbound-catchall-http: a proxy here has inbound listeners for the ports of its pod alone"},
	} {
		filter := "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: ef}\nspec: {configPatches: [{applyTo: HTTP_FILTER, match: " + test.match + "}]}\n"
		objects, notes := derive(t, world(t, deployment, service, filter))
		expect(t, find(t, objects, "EnvoyFilter", "ef"), test.want, "spec", "configPatches", 0, "match")
		onlyNote(t, test.match, notes, "test.yaml: EnvoyFilter ef: spec.configPatches[0].match.listener: not applied: ", test.note)
	}
}

// An object that changes no proxy's configuration is noted.
func TestIdle(t *testing.T) {
	const entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out}\nspec: {hosts: [out.example.com, '*.wide.example.com'], workloadSelector: {labels: {app: legacy}}}\n"
	for _, test := range []struct{ kind, spec, want string }{
		{"networking.istio.io/v1 DestinationRule", "{host: stuff}", "spec.host: changes no proxy: stuff: no Service and no ServiceEntry has that host"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff}", "spec: changes no proxy: neither trafficPolicy nor subsets"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, trafficPolicy: {portLevelSettings: [{port: {number: 80}}]}}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, trafficPolicy: {portLevelSettings: [{port: {number: 80}}, {port: {number: 8080}}]}}", "spec.trafficPolicy.portLevelSettings[1].port.number: changes no proxy: 8080: staff has no such port"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, subsets: [{name: a, trafficPolicy: {portLevelSettings: [{port: {number: 81}}]}}]}", "spec.subsets[0].trafficPolicy.portLevelSettings[0].port.number: changes no proxy: 81: staff has no such port"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, exportTo: [other], trafficPolicy: {}}", "spec.exportTo: changes no proxy: [other]: no pod there has a proxy"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, exportTo: [., other], trafficPolicy: {}}", ""},
		{"networking.istio.io/v1 ServiceEntry", "{hosts: [b.example.com], exportTo: [\"~\"]}", "spec.exportTo: changes no proxy: [~]: no pod there has a proxy"},
		{"networking.istio.io/v1 WorkloadEntry", "{address: 127.0.0.9, labels: {app: legacy}}", ""},
		{"networking.istio.io/v1 WorkloadEntry", "{address: 127.0.0.9, labels: {app: staff}}", ""},
		{"networking.istio.io/v1 WorkloadEntry", "{address: 127.0.0.9, labels: {app: stuff}}", "spec.labels: changes no proxy: map[app:stuff]: no ServiceEntry and no Service of its namespace selects them"},
		{"security.istio.io/v1 RequestAuthentication", "{}", "spec.jwtRules: changes no proxy: there are none"},
		{"telemetry.istio.io/v1 Telemetry", "{tracing: [{randomSamplingPercentage: 10}]}", "spec.tracing: changes no proxy: the mesh has no collector of traces: OTEL_EXPORTER_OTLP_ENDPOINT sets one"},
		{"telemetry.istio.io/v1 Telemetry", "{metrics: [{overrides: [{disabled: true}]}]}", "spec.metrics: changes no proxy: the proxies report their own statistics alone"},
		{"telemetry.istio.io/v1 Telemetry", "{accessLogging: [{providers: [{name: loki}]}]}", "spec.accessLogging[0].providers[0].name: changes no proxy: loki: must be one of envoy, prometheus, stackdriver"},
		{"telemetry.istio.io/v1 Telemetry", "{accessLogging: [{disabled: true}]}", "spec.accessLogging: changes no proxy: the mesh has no default provider: name one, such as envoy"},
		{"telemetry.istio.io/v1 Telemetry", "{accessLogging: [{disabled: true, providers: [{name: envoy}]}]}", ""},
		{"networking.istio.io/v1alpha3 EnvoyFilter", "{}", "spec.configPatches: changes no proxy: there are none"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff.default, subsets: [{name: a}]}", "spec.host: changes no proxy: staff.default: no Service and no ServiceEntry has that host"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff.default.svc.cluster.local, subsets: [{name: a}]}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff.other.svc.cluster.local}", "spec.host: changes no proxy: staff.other.svc.cluster.local: no Service and no ServiceEntry has that host"},
		{"networking.istio.io/v1 DestinationRule", "{host: '*.local', trafficPolicy: {}}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: out.example.com, trafficPolicy: {}}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: a.wide.example.com, trafficPolicy: {}}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, workloadSelector: {matchLabels: {app: none}}}", "spec.workloadSelector.matchLabels: changes no proxy: map[app:none]: no pod with a proxy has these labels"},
		{"networking.istio.io/v1 VirtualService", "{hosts: [stuff]}", "spec.hosts: [stuff]: no request reaches its routes: no Service and no ServiceEntry has one of these hosts"},
		{"networking.istio.io/v1 VirtualService", "{hosts: [stuff, staff]}", ""},
		{"networking.istio.io/v1 VirtualService", "{hosts: ['page.example.com'], gateways: [edge]}", ""},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: staff}}, portLevelMtls: {'8080': {mode: STRICT}}}", ""},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: staff}}, portLevelMtls: {'8081': {mode: STRICT}}}", "spec.portLevelMtls.8081: changes no proxy: the selected pods have no such port"},
		{"security.istio.io/v1 AuthorizationPolicy", "{selector: {matchLabels: {app: stuff}}}", "spec.selector.matchLabels: changes no proxy: map[app:stuff]: no pod with a proxy has these labels"},
		{"security.istio.io/v1 AuthorizationPolicy", "{}", ""},
		{"telemetry.istio.io/v1 Telemetry", "{selector: {matchLabels: {istio: ingressgateway}}}", "spec.selector.matchLabels: changes no proxy: map[istio:ingressgateway]: no pod with a proxy has these labels"},
		{"networking.istio.io/v1alpha3 EnvoyFilter", "{workloadSelector: {labels: {app: stuff}}}", "spec.workloadSelector.labels: changes no proxy: map[app:stuff]: no pod with a proxy has these labels"},
	} {
		apiVersion, kind, _ := strings.Cut(test.kind, " ")
		_, notes := derive(t, world(t, deployment, service, entry, "apiVersion: "+apiVersion+"\nkind: "+kind+"\nmetadata: {name: a}\nspec: "+test.spec+"\n"))
		onlyNote(t, kind+" "+test.spec, notes, "test.yaml: "+kind+" a: ", test.want)
	}
	w := world(t, deployment, service, "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {mtls: {mode: STRICT}}\n")
	for i := range w.Pods {
		w.Pods[i].Proxied = false
	}
	_, notes := derive(t, w)
	assert.Equal(t, []string{"test.yaml: PeerAuthentication a: metadata.namespace: changes no proxy: default: no pod there has a proxy"}, notes, "notes without proxies")
}

// A field with the path of a certificate in the proxy's container is an error.
func TestCertificateFiles(t *testing.T) {
	_, _, err := Derive(world(t, deployment, service, "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, serverCertificate: /etc/certs/tls.crt, privateKey: /etc/certs/tls.key}}]}\n"))
	wants.Error(t, "a file", err, "test.yaml: Gateway gw: spec.servers[0].tls.serverCertificate: /etc/certs/tls.crt: must be empty: proxies here run without containers and their files")
}

// A patch of an EnvoyFilter that matches in no proxy is noted.
func TestEnvoyFilterMatches(t *testing.T) {
	const (
		rules = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: staff}\nspec: {host: staff, subsets: [{name: safe, labels: {version: safe}}]}\n"
		route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: staff}\nspec: {hosts: [staff], http: [{name: all, route: [{destination: {host: staff}}]}]}\n"
		full  = "staff.default.svc.cluster.local"
	)
	for _, test := range []struct{ patch, want string }{
		{"applyTo: CLUSTER, match: {cluster: {service: " + full + "}}", ""},
		{"applyTo: CLUSTER, match: {cluster: {service: staff}}", "match.cluster.service: changes no proxy: staff: must be the full name " + full},
		{"applyTo: CLUSTER, match: {cluster: {service: stuff." + full + "}}", `match.cluster: changes no proxy: {"service":"stuff.` + full + `"}: no proxy has such a cluster`},
		{"applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND, cluster: {portNumber: 80, subset: safe}}", ""},
		{"applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND, cluster: {portNumber: 8080}}", `match.cluster: changes no proxy: {"portNumber":8080}: no proxy has such a cluster`},
		{"applyTo: CLUSTER, match: {context: SIDECAR_INBOUND, cluster: {portNumber: 8080, service: " + full + "}}", ""},
		{"applyTo: CLUSTER, match: {cluster: {subset: risky}}", `match.cluster: changes no proxy: {"subset":"risky"}: no proxy has such a cluster`},
		{"applyTo: CLUSTER, match: {cluster: {name: 'outbound|80|safe|" + full + "'}}", ""},
		{"applyTo: CLUSTER, match: {cluster: {name: 'outbound|81||" + full + "'}}", `match.cluster: changes no proxy: {"name":"outbound|81||` + full + `"}: no proxy has such a cluster`},
		{"applyTo: CLUSTER, match: {cluster: {name: 'inbound|8080||'}}", ""},
		{"applyTo: CLUSTER, match: {cluster: {name: PassthroughCluster}}", ""},
		{"applyTo: CLUSTER, match: {cluster: {name: none}}, patch: {operation: ADD}", ""},
		{"applyTo: BOOTSTRAP", "applyTo: changes no proxy: BOOTSTRAP: a proxy here has a bootstrap of its own"},
		{"applyTo: CLUSTER, match: {proxy: {proxyVersion: '^1\\.20.*'}}", "match.proxy.proxyVersion: changes no proxy: ^1\\.20.*: the proxies' version is 1.31.0"},
		{"applyTo: CLUSTER, match: {proxy: {proxyVersion: '^1\\.31.*'}}", ""},
		{"applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND, routeConfiguration: {name: '80', vhost: {name: '" + full + ":80'}}}", ""},
		{"applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND, routeConfiguration: {name: '8080'}}", "match.routeConfiguration.name: changes no proxy: 8080: no proxy has routes of that name"},
		{"applyTo: VIRTUAL_HOST, match: {routeConfiguration: {portNumber: 8081}}", "match.routeConfiguration.portNumber: changes no proxy: 8081: no proxy has routes for that port"},
		{"applyTo: VIRTUAL_HOST, match: {routeConfiguration: {vhost: {name: 'staff:80'}}}", "match.routeConfiguration.vhost.name: changes no proxy: staff:80: no proxy has a virtual host of that name"},
		{"applyTo: VIRTUAL_HOST, match: {context: SIDECAR_INBOUND, routeConfiguration: {vhost: {name: 'inbound|http|8080'}}}", ""},
		{"applyTo: HTTP_ROUTE, match: {routeConfiguration: {vhost: {route: {name: all}}}}", ""},
		{"applyTo: HTTP_ROUTE, match: {routeConfiguration: {vhost: {route: {name: none}}}}", "match.routeConfiguration.vhost.route.name: changes no proxy: none: no proxy has a route of that name"},
		{"applyTo: HTTP_FILTER, match: {listener: {portNumber: 8081}}", "match.listener.portNumber: changes no proxy: 8081: no proxy has a listener at that port"},
		{"applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {name: envoy.http_connection_manager}}}}", "match.listener.filterChain.filter.name: changes no proxy: envoy.http_connection_manager: no proxy has a filter of that name"},
		{"applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: istio.alpn}}}}}", "match.listener.filterChain.filter.subFilter.name: changes no proxy: istio.alpn: no proxy has a filter of that name"},
		{"applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.jwt_authn}}}}}", "match.listener.filterChain.filter.subFilter.name: changes no proxy: envoy.filters.http.jwt_authn: no proxy has a filter of that name"},
		{"applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {subFilter: {name: own}}}}}, patch: {value: {name: own}}", ""},
		{"applyTo: LISTENER_FILTER, match: {listener: {listenerFilter: envoy.filters.listener.original_dst}}", "match.listener.listenerFilter: changes no proxy: envoy.filters.listener.original_dst: no proxy has a filter of that name"},
	} {
		w := world(t, deployment, service, rules, route, "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: ef}\nspec: {configPatches: [{"+test.patch+"}]}\n")
		w.IstioVersion = "1.31.0"
		_, notes := derive(t, w)
		onlyNote(t, test.patch, notes, "test.yaml: EnvoyFilter ef: spec.configPatches[0].", test.want)
	}
	w := world(t, deployment, service, "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: ef}\nspec: {workloadSelector: {labels: {app: staff}}, configPatches: [{applyTo: LISTENER, match: {context: GATEWAY}}]}\n")
	_, notes := derive(t, w)
	assert.Equal(t, []string{"test.yaml: EnvoyFilter ef: spec.configPatches[0].match.context: changes no proxy: GATEWAY: the filter selects no such proxy"}, notes, "notes of a gateway alone")
}

// The settings of Istio's objects for a pod's port apply to the port that replaces it.
func TestMovedPorts(t *testing.T) {
	objects := []string{
		"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {selector: {matchLabels: {app: staff}}, portLevelMtls: {'80': {mode: STRICT}}}",
		"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {rules: [{to: [{operation: {ports: ['80'], notPorts: ['81']}}], when: [{key: destination.port, values: ['80']}]}]}",
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.example.com], ports: [{number: 80, name: http}], workloadSelector: {labels: {app: staff}}}",
		"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {portNumber: 80}}}, " +
			"{applyTo: HTTP_FILTER, match: {listener: {portNumber: 80}}}, {applyTo: CLUSTER, match: {cluster: {name: 'inbound|80||'}}}, {applyTo: HTTP_FILTER, match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 80}}}]}",
	}
	w := world(t, append([]string{deployment, strings.Replace(service, "targetPort: web", "targetPort: 80", 1)}, objects...)...)
	for i := range w.Pods {
		w.Pods[i].Inbound = []local.Inbound{{Declared: 80, Port: 10080, App: 18011 + i}}
	}
	made, notes := derive(t, w)
	assert.Empty(t, notes, "notes")
	expect(t, find(t, made, "PeerAuthentication", "a"), "map[10080:map[mode:STRICT]]", "spec", "portLevelMtls")
	policy := find(t, made, "AuthorizationPolicy", "a")
	expect(t, policy, "map[notPorts:[81] ports:[80 10080]]", "spec", "rules", 0, "to", 0, "operation")
	expect(t, policy, "[80 10080]", "spec", "rules", 0, "when", 0, "values")
	expect(t, find(t, made, "ServiceEntry", "a"), "map[name:http number:80 targetPort:10080]", "spec", "ports", 0)
	filter := find(t, made, "EnvoyFilter", "a")
	for i, want := range []string{
		"map[context:SIDECAR_INBOUND listener:map[portNumber:10080]]",
		"map[listener:map[portNumber:80]]",
		"map[context:SIDECAR_INBOUND listener:map[portNumber:10080]]",
		"map[cluster:map[name:inbound|10080||] context:SIDECAR_INBOUND]",
		"map[context:SIDECAR_OUTBOUND listener:map[portNumber:80]]",
	} {
		expect(t, filter, want, "spec", "configPatches", i, "match")
	}
}
