package kube

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/golden"
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

// An object that changes no proxy's configuration is noted, and so is a patch of an EnvoyFilter that matches in no proxy.
func TestIdle(t *testing.T) {
	const (
		entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out}\nspec: {hosts: [out.example.com, '*.wide.example.com'], workloadSelector: {labels: {app: legacy}}}\n"
		rules = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: staff}\nspec: {host: staff, subsets: [{name: safe, labels: {version: safe}}]}\n"
		route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: staff}\nspec: {hosts: [staff], http: [{name: all, route: [{destination: {host: staff}}]}]}\n"
	)
	var tests []struct {
		Kind, Note string
		Spec       json.RawMessage
	}
	golden.Cases(t, "testdata/idle.yaml", &tests)
	for _, test := range tests {
		apiVersion, kind, _ := strings.Cut(test.Kind, " ")
		w := world(t, deployment, service, entry, rules, route, "apiVersion: "+apiVersion+"\nkind: "+kind+"\nmetadata: {name: a}\nspec: "+string(test.Spec)+"\n")
		w.IstioVersion = "1.31.0"
		_, notes := derive(t, w)
		onlyNote(t, kind+" "+string(test.Spec), notes, "test.yaml: "+kind+" a: ", test.Note)
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
