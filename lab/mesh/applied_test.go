package mesh

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/wants"
)

// TestMissingEndpoints checks that each Service is found of which istiod has not the published version, or not the
// published endpoints.
func TestMissingEndpoints(t *testing.T) {
	texts := map[string]string{}
	i := &istiod{http: serveText(t, texts)}
	m := &Mesh{api: kube.NewServer(time.Now), manifests: decode(t, "")}
	service := func(name string, annotations map[string]any) kube.Object {
		return kube.Object{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name, "namespace": "default", "annotations": annotations}}
	}
	slice := func(of, addressType string, ports ...any) kube.Object {
		return kube.Object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": addressType, "ports": ports,
			"metadata": map[string]any{"name": of + "-" + addressType, "namespace": "default", "labels": map[string]any{"kubernetes.io/service-name": of}},
			"endpoints": []any{
				map[string]any{"addresses": []any{"10.0.0.1"}, "conditions": map[string]any{"ready": true}},
				map[string]any{"addresses": []any{"10.0.0.2"}, "conditions": map[string]any{"ready": false}},
				map[string]any{"addresses": []any{"10.0.0.3"}},
			},
		}
	}
	port := map[string]any{"port": int64(8080)}
	m.objects = []kube.Object{
		service("a", nil), slice("a", "IPv4", port), slice("a", "FQDN", port),
		service("hidden", map[string]any{"networking.istio.io/exportTo": "x,~"}), slice("hidden", "IPv4", port),
		service("idle", nil), slice("idle", "IPv4"),
	}
	require.NoError(t, m.api.Replace(m.objects))
	version := m.api.ServiceVersions()["Service a"]
	registry := func(a string) string {
		text := fmt.Sprintf(`[{"resourceVersion": "7", "Attributes": {"ServiceRegistry": "External", "Name": "a", "Namespace": "default"}}, {"ResourceVersion": %q, "Attributes": {"ServiceRegistry": "Kubernetes", "Name": "a", "Namespace": "default"}}`, a)
		for _, name := range []string{"hidden", "idle"} {
			text += fmt.Sprintf(`, {"ResourceVersion": %q, "Attributes": {"ServiceRegistry": "Kubernetes", "Name": %q, "Namespace": "default"}}`, m.api.ServiceVersions()["Service "+name], name)
		}
		return text + "]"
	}
	endpoint := func(address string, health int) string {
		return fmt.Sprintf(`{"Addresses": [%q], "HealthStatus": %d}`, address, health)
	}
	of := func(registry string, endpoints ...string) string {
		return fmt.Sprintf(`{"a.default.svc.cluster.local": {"default": {"Shards": {%q: [%s]}}}}`, registry, strings.Join(endpoints, ","))
	}
	one, two, three := endpoint("10.0.0.1", 1), endpoint("10.0.0.2", 2), endpoint("10.0.0.3", 1)
	for _, test := range []struct {
		name, services, shards string
		want                   []string
	}{
		{"all", registry(version), of("Kubernetes/Kubernetes", one, two, three), nil},
		{"without what is not ready", registry(version), of("Kubernetes/Kubernetes", one, three), nil},
		{"another version", registry("1"), of("Kubernetes/Kubernetes", one, three), []string{"Service a"}},
		{"no Services", "[]", "{}", []string{"Service a", "Service hidden", "Service idle"}},
		{"no endpoints", registry(version), "{}", []string{"the endpoints of Service a"}},
		{"a new endpoint is missing", registry(version), of("Kubernetes/Kubernetes", three), []string{"the endpoints of Service a"}},
		{"a new endpoint is not ready", registry(version), of("Kubernetes/Kubernetes", endpoint("10.0.0.1", 2), three), []string{"the endpoints of Service a"}},
		{"an old endpoint is ready", registry(version), of("Kubernetes/Kubernetes", one, endpoint("10.0.0.2", 1), three), []string{"the endpoints of Service a"}},
		{"those of a ServiceEntry", registry(version), of("External/Kubernetes", one, three), []string{"the endpoints of Service a"}},
	} {
		texts["/debug/registryz"], texts["/debug/endpointShardz"] = test.services, test.shards
		got, err := m.missingEndpoints(t.Context(), i)
		require.NoError(t, err, test.name)
		assert.Equal(t, test.want, got, test.name)
	}
	texts["/debug/registryz"], texts["/debug/endpointShardz"] = "[]", "{}"
	m.manifests = decode(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleetman-mesh, namespace: istio-system}\ndata: {mesh: 'discoverySelectors: [{matchLabels: {a: b}}]'}\n")
	got, err := m.missingEndpoints(t.Context(), i)
	require.NoError(t, err)
	assert.Empty(t, got, "with discoverySelectors")
}

// serveText returns the address of a server that responds with the text of a path, or 404.
func serveText(t *testing.T, texts map[string]string) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// TestMissingObjects checks that an istiod must have the version of each object, and each deletion.
func TestMissingObjects(t *testing.T) {
	texts := map[string]string{}
	m := &Mesh{api: kube.NewServer(time.Now), manifests: decode(t, "")}
	m.istiods = []*istiod{{name: "istiod", http: serveText(t, texts)}}
	service := func(name string) kube.Object {
		return kube.Object{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": map[string]any{"name": name, "namespace": "default"}}
	}
	require.NoError(t, m.api.Replace([]kube.Object{service("a"), service("b")}))
	require.NoError(t, m.api.Replace([]kube.Object{service("a")}))
	has := func(name, version string) string {
		return fmt.Sprintf(`{"kind": "VirtualService", "metadata": {"name": %q, "namespace": "default", "resourceVersion": %q}}`, name, version)
	}
	version := m.api.IstioVersions("")["VirtualService a"]
	texts["/debug/registryz"], texts["/debug/endpointShardz"] = "[]", "{}"
	for _, test := range []struct{ config, want string }{
		{has("a", version), ""},
		{has("a", "0"), "istiod does not have VirtualService a"},
		{has("a", version) + "," + has("b", "1"), "istiod does not have the deletion of VirtualService b"},
		{has("b", "1"), "istiod does not have VirtualService a, the deletion of VirtualService b"},
	} {
		texts["/debug/configz"] = "[" + test.config + "]"
		wants.Error(t, test.config, m.missing(t.Context()), test.want)
	}
}

// TestLate checks what a proxy must have of a change, and that it need not use all of it for ever.
func TestLate(t *testing.T) {
	istiodHas, proxyHas := map[string]string{}, map[string]string{}
	p := &proxy{name: "a-0", node: envoy.Node{Name: "a-0", Namespace: "default"}, admin: envoy.NewClient(serveText(t, proxyHas))}
	defer p.admin.Close()
	m := &Mesh{istiods: []*istiod{{name: "istiod", http: serveText(t, istiodHas)}}, proxies: []*proxy{p}}
	for _, test := range []struct {
		name               string
		mark, warming      int
		listeners, unacked int // pushes after, and before, that of the clusters
		warm, late         bool
	}{
		{name: "all", mark: 7, warm: true},
		{name: "a later mark", mark: 8, warm: true},
		{name: "an earlier mark", mark: 6, late: true},
		{name: "a cluster warms", mark: 7, warming: 1, warm: true, late: true},
		{name: "a cluster warms for long", mark: 7, warming: 1},
		{name: "listeners come later", mark: 7, listeners: -1, late: true},
		{name: "listeners have come later", mark: 7, listeners: 1},
		{name: "not acknowledged", mark: 7, unacked: 1, late: true},
	} {
		proxyHas["/config_dump"] = fmt.Sprintf(`{"configs": [{"cluster": {"metadata": {"filter_metadata": {"fleetman": {"mark": %d}}}}}]}`, test.mark)
		proxyHas["/stats"] = fmt.Sprintf(`{"stats": [{"name": "cluster_manager.warming_clusters", "value": %d}]}`, test.warming)
		istiodHas["/debug/syncz"] = fmt.Sprintf(`[{"proxy": "a-0.default", "resources": {
			"type.googleapis.com/envoy.config.cluster.v3.Cluster": {"sent": %[1]q, "acked": %[1]q},
			"type.googleapis.com/envoy.config.listener.v3.Listener": {"sent": %[2]q, "acked": %[3]q}}}]`, nonce(10), nonce(10+test.listeners), nonce(10+test.listeners-test.unacked))
		want := ""
		if test.late {
			want = "proxies not in sync with istiod: a-0"
		}
		wants.Error(t, test.name, m.late(t.Context(), 7, test.warm), want)
	}
	assert.Equal(t, 0, push(""), "no nonce")
	m.proxies = append(m.proxies, &proxy{name: "b-0", admin: envoy.NewClient(serveText(t, nil))})
	wants.Error(t, "another one", m.late(t.Context(), 7, false), "proxies not in sync with istiod: a-0, b-0")
}

// nonce returns that of an update of a push.
func nonce(push int) string {
	return fmt.Sprintf("2026-11-27T20:29:40Z/%d%s", push, "11e0a5c1-2f6b-4c43-8a53-0c0a4a8b8a7d")
}
