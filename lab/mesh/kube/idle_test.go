package kube

import (
	"slices"
	"strings"
	"testing"
)

// TestEnvoyFilterListeners: what matches by a listener that only iptables need
// is translated, or a note tells that no listener here can match.
func TestEnvoyFilterListeners(t *testing.T) {
	for _, test := range []struct{ match, want, note string }{
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {filter: {name: f}}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[filter:map[name:f]]]]", ""},
		{`{listener: {portNumber: 15006}}`, "map[context:SIDECAR_INBOUND listener:map[]]", ""},
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {destinationPort: 8080}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[] portNumber:8080]]", ""},
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {name: 0.0.0.0_8080}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[] portNumber:8080]]", ""},
		{`{context: SIDECAR_OUTBOUND, listener: {name: 0.0.0.0_8080}}`, "map[context:SIDECAR_OUTBOUND listener:map[portNumber:8080]]", ""},
		{`{context: SIDECAR_OUTBOUND, listener: {portNumber: 8080}}`, "map[context:SIDECAR_OUTBOUND listener:map[portNumber:8080]]", ""},
		{`{context: SIDECAR_OUTBOUND, listener: {name: virtualOutbound}}`, "map[context:SIDECAR_OUTBOUND listener:map[name:virtualOutbound]]", "virtualOutbound: a proxy here has outbound listeners for the ports of Services alone"},
		{`{context: SIDECAR_OUTBOUND, listener: {name: 10.96.0.7_8080}}`, "map[context:SIDECAR_OUTBOUND listener:map[name:10.96.0.7_8080]]", "name: 10.96.0.7_8080: a proxy here has its listeners at addresses of its own: match by portNumber"},
		{`{context: SIDECAR_INBOUND, listener: {name: virtualInbound, filterChain: {name: virtualInbound-catchall-http}}}`, "map[context:SIDECAR_INBOUND listener:map[filterChain:map[name:virtualInbound-catchall-http]]]", "filterChain.name: virtualInbound-catchall-http: a proxy here has inbound listeners for the ports of its pod alone"},
	} {
		filter := "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: ef}\nspec: {configPatches: [{applyTo: HTTP_FILTER, match: " + test.match + "}]}\n"
		objects, notes := derive(t, world(t, deployment, service, filter))
		expect(t, find(t, objects, "EnvoyFilter", "ef"), test.want, "spec", "configPatches", 0, "match")
		var want []string
		if test.note != "" {
			want = []string{"test.yaml: EnvoyFilter ef: spec.configPatches[0].match.listener: not applied: " + test.note}
		}
		if !slices.Equal(notes, want) {
			t.Errorf("%s: notes %q, want %q", test.match, notes, want)
		}
	}
}

// TestIdle: an object that changes no proxy's configuration is told.
func TestIdle(t *testing.T) {
	const entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out}\nspec: {hosts: [out.example.com, '*.wide.example.com']}\n"
	for _, test := range []struct{ kind, spec, want string }{
		{"networking.istio.io/v1 DestinationRule", "{host: stuff}", "spec.host: changes no proxy: stuff: no Service and no ServiceEntry has that host"},
		{"networking.istio.io/v1 DestinationRule", "{host: staff}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff.default}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff.default.svc.cluster.local}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff.other.svc.cluster.local}", "spec.host: changes no proxy: staff.other.svc.cluster.local: no Service and no ServiceEntry has that host"},
		{"networking.istio.io/v1 DestinationRule", "{host: '*.local'}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: out.example.com}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: a.wide.example.com}", ""},
		{"networking.istio.io/v1 DestinationRule", "{host: staff, workloadSelector: {matchLabels: {app: none}}}", "spec.workloadSelector.matchLabels: changes no proxy: map[app:none]: no pod with a proxy has these labels"},
		{"networking.istio.io/v1 VirtualService", "{hosts: [stuff]}", "spec.hosts: changes no proxy: [stuff]: no Service and no ServiceEntry has one of these hosts"},
		{"networking.istio.io/v1 VirtualService", "{hosts: [stuff, staff]}", ""},
		{"networking.istio.io/v1 VirtualService", "{hosts: ['page.example.com'], gateways: [door]}", ""},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: staff}}, portLevelMtls: {'8080': {mode: STRICT}}}", ""},
		{"security.istio.io/v1 PeerAuthentication", "{selector: {matchLabels: {app: staff}}, portLevelMtls: {'8081': {mode: STRICT}}}", "spec.portLevelMtls.8081: changes no proxy: the selected pods have no such port"},
		{"security.istio.io/v1 AuthorizationPolicy", "{selector: {matchLabels: {app: stuff}}}", "spec.selector.matchLabels: changes no proxy: map[app:stuff]: no pod with a proxy has these labels"},
		{"security.istio.io/v1 AuthorizationPolicy", "{}", ""},
		{"telemetry.istio.io/v1 Telemetry", "{selector: {matchLabels: {istio: ingressgateway}}}", "spec.selector.matchLabels: changes no proxy: map[istio:ingressgateway]: no pod with a proxy has these labels"},
		{"networking.istio.io/v1alpha3 EnvoyFilter", "{workloadSelector: {labels: {app: stuff}}}", "spec.workloadSelector.labels: changes no proxy: map[app:stuff]: no pod with a proxy has these labels"},
	} {
		apiVersion, kind, _ := strings.Cut(test.kind, " ")
		_, notes := derive(t, world(t, deployment, service, entry, "apiVersion: "+apiVersion+"\nkind: "+kind+"\nmetadata: {name: a}\nspec: "+test.spec+"\n"))
		var want []string
		if test.want != "" {
			want = []string{"test.yaml: " + kind + " a: " + test.want}
		}
		if !slices.Equal(notes, want) {
			t.Errorf("%s %s: notes %q, want %q", kind, test.spec, notes, want)
		}
	}
	w := world(t, deployment, service, "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {mtls: {mode: STRICT}}\n")
	for i := range w.Pods {
		w.Pods[i].Proxied = false
	}
	if _, notes := derive(t, w); !slices.Equal(notes, []string{"test.yaml: PeerAuthentication a: metadata.namespace: changes no proxy: default: no pod there has a proxy"}) {
		t.Errorf("without proxies: notes %q", notes)
	}
}

// TestCertificateFiles: a proxy here has no file of a container.
func TestCertificateFiles(t *testing.T) {
	_, _, err := Derive(world(t, deployment, service, "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, serverCertificate: /etc/certs/tls.crt, privateKey: /etc/certs/tls.key}}]}\n"))
	if want := "test.yaml: Gateway gw: spec.servers[0].tls.serverCertificate: /etc/certs/tls.crt: must be empty: no proxy here has a file of a container"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
