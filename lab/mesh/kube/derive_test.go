package kube

import (
	_ "embed"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/wants"
)

//go:embed testdata/deployment.yaml
var deployment string

//go:embed testdata/service.yaml
var service string

// world has the pods of the manifests' first Deployment: staff-0 is ready,
// staff-1 is not.
func world(t *testing.T, documents ...string) World {
	t.Helper()
	objects, err := manifest.Decode("test.yaml", []byte(strings.Join(documents, "\n---\n")))
	require.NoError(t, err)
	w := World{
		Manifests: &manifest.Objects{All: objects}, Node: netip.MustParseAddr("127.0.0.1"), MeshConfig: "rootNamespace: istio-system", Began: time.Unix(1, 0),
		Gateways: []Gateway{{Name: "istio-ingressgateway", IP: netip.MustParseAddr("127.0.1.1"), Istio: "ingressgateway", NodePorts: map[int]int{80: 31380}}},
		States:   map[string]local.PodState{"staff-0": {ID: "staff-0", Ready: true}, "staff-1": {ID: "staff-1"}},
	}
	d := manifest.Of[*appsv1.Deployment](w.Manifests)[0]
	for i := range 2 {
		w.Pods = append(w.Pods, podOf(d, i))
	}
	return w
}

// podOf returns the nth pod of a Deployment, with a proxy.
func podOf(d *appsv1.Deployment, n int) local.MeshPod {
	name := fmt.Sprintf("%s-%d", d.Name, n)
	return local.MeshPod{
		ID: name, Name: name, Namespace: "default", Deployment: d, Labels: d.Spec.Template.Labels, Proxied: true,
		IP: netip.AddrFrom4([4]byte{127, 0, 1, byte(11 + n)}), Outbound: netip.AddrFrom4([4]byte{127, 0, 2, byte(11 + n)}),
		Inbound: []local.Inbound{{Declared: 8080, Port: 8080, App: 18011 + n}},
	}
}

func derive(t *testing.T, w World) (objects []Object, notes []string) {
	t.Helper()
	objects, notes, err := Derive(w)
	require.NoError(t, err)
	require.NoError(t, NewServer(time.Now).Replace(objects))
	return objects, notes
}

// find returns an object by its kind and name.
func find(t *testing.T, objects []Object, kind, name string) Object {
	t.Helper()
	for _, o := range objects {
		if o["kind"] == kind && mapOf(o["metadata"])["name"] == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func at(o any, path ...any) any {
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, ok := o.(Object)
			if !ok {
				m = mapOf(o)
			}
			o = m[key]
		case int:
			list, _ := o.([]any)
			if key >= len(list) {
				return nil
			}
			o = list[key]
		}
	}
	return o
}

// expect compares the value at a path, formatted as text.
func expect(t *testing.T, o Object, want string, path ...any) {
	t.Helper()
	assert.Equal(t, want, fmt.Sprint(at(o, path...)), "%s %v: %v", o["kind"], at(o, "metadata", "name"), path)
}

func TestDefaults(t *testing.T) {
	objects, notes := derive(t, world(t, deployment, service))
	assert.Empty(t, notes, "notes")
	pod := find(t, objects, "Pod", "staff-0")
	expect(t, pod, "127.0.1.11", "status", "podIP")
	expect(t, pod, "TCP", "spec", "containers", 0, "ports", 0, "protocol")
	expect(t, pod, "default", "spec", "serviceAccountName")
	expect(t, pod, "istio", "metadata", "labels", "security.istio.io/tlsMode")
	expect(t, pod, "staff", "metadata", "labels", "service.istio.io/canonical-name")
	expect(t, pod, "safe", "metadata", "labels", "service.istio.io/canonical-revision")
	expect(t, pod, "Ready", "status", "conditions", 3, "type")
	expect(t, pod, "True", "status", "conditions", 3, "status")
	expect(t, find(t, objects, "Pod", "staff-1"), "False", "status", "conditions", 3, "status")
	s := find(t, objects, "Service", "staff")
	expect(t, s, "ClusterIP", "spec", "type")
	expect(t, s, "TCP", "spec", "ports", 0, "protocol")
	ip, err := netip.ParseAddr(at(s, "spec", "clusterIP").(string))
	assert.True(t, err == nil && ip.IsPrivate(), "clusterIP %v", ip)
	slice := find(t, objects, "EndpointSlice", "staff-0")
	expect(t, slice, "8080", "ports", 0, "port")
	expect(t, slice, "http", "ports", 0, "name")
	expect(t, slice, "staff", "metadata", "labels", "kubernetes.io/service-name")
	expect(t, slice, "[127.0.1.11]", "endpoints", 0, "addresses")
	expect(t, slice, "true", "endpoints", 0, "conditions", "ready")
	expect(t, slice, "false", "endpoints", 1, "conditions", "ready")
	// an unchanged state makes equal objects, so that no watch gets a change
	server := NewServer(time.Now)
	for range 2 {
		again, _ := derive(t, world(t, deployment, service))
		require.NoError(t, server.Replace(again))
	}
	assert.Len(t, server.history, len(objects), "changes")
}

// A port that needs root is replaced in all objects that istiod reads.
func TestMovedPort(t *testing.T) {
	w := world(t, strings.ReplaceAll(deployment, "8080", "80"), strings.ReplaceAll(service, "web", "80"))
	for i := range w.Pods {
		w.Pods[i].Inbound = []local.Inbound{{Declared: 80, Port: 10080, App: 18011 + i}}
	}
	objects, _ := derive(t, w)
	expect(t, find(t, objects, "Pod", "staff-0"), "10080", "spec", "containers", 0, "ports", 0, "containerPort")
	expect(t, find(t, objects, "Service", "staff"), "80", "spec", "ports", 0, "port")
	expect(t, find(t, objects, "Service", "staff"), "10080", "spec", "ports", 0, "targetPort")
	expect(t, find(t, objects, "EndpointSlice", "staff-0"), "10080", "ports", 0, "port")
	expect(t, find(t, objects, "Sidecar", "fleetman-staff-0"), "10080", "spec", "ingress", 0, "port", "number")
}

func TestSidecars(t *testing.T) {
	w := world(t, deployment, service)
	w.Pods[1].Proxied = false
	objects, _ := derive(t, w)
	s := find(t, objects, "Sidecar", "fleetman-staff-0")
	expect(t, s, "map[fleetman.example/pod:staff-0]", "spec", "workloadSelector", "labels")
	expect(t, s, "map[name:http-8080 number:8080 protocol:HTTP]", "spec", "ingress", 0, "port")
	expect(t, s, "127.0.1.11", "spec", "ingress", 0, "bind")
	expect(t, s, "127.0.0.1:18011", "spec", "ingress", 0, "defaultEndpoint")
	expect(t, s, "[map[bind:127.0.2.11 captureMode:NONE hosts:[*/*]]]", "spec", "egress")
	assert.NotContains(t, fmt.Sprint(objects), "fleetman-staff-1", "a pod without a proxy has a Sidecar")
	expect(t, find(t, objects, "Pod", "staff-1"), "<nil>", "metadata", "labels", "security.istio.io/tlsMode")
}

// The generated Sidecars include the settings of the manifests' Sidecars, in Istio's order of precedence.
func TestUsersSidecar(t *testing.T) {
	sidecar := func(namespace, name, spec string) string {
		return fmt.Sprintf("apiVersion: networking.istio.io/v1beta1\nkind: Sidecar\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec)
	}
	mesh := sidecar("istio-system", "default", `{outboundTrafficPolicy: {mode: ALLOW_ANY}, egress: [{hosts: ["istio-system/*"]}]}`)
	namespaces := sidecar("default", "default", `{outboundTrafficPolicy: {mode: REGISTRY_ONLY}, egress: [{hosts: ["./*"]}]}`)
	pods := sidecar("default", "staff", `{workloadSelector: {labels: {app: staff}}, inboundConnectionPool: {http: {http1MaxPendingRequests: 7}},
  ingress: [{port: {number: 8080, name: http, protocol: HTTP}, defaultEndpoint: "127.0.0.1:8080", connectionPool: {tcp: {maxConnections: 3}}},
            {port: {number: 7000, name: http, protocol: HTTP}, defaultEndpoint: "127.0.0.1:7000"}]}`)
	others := sidecar("default", "others", `{workloadSelector: {labels: {app: other}}, egress: [{hosts: ["~/*"]}]}`)
	for _, test := range []struct {
		documents      []string
		policy, egress string
		notes          int // others selects no pod
	}{
		{[]string{others}, "<nil>", "[*/*]", 1},
		{[]string{mesh, others}, "map[mode:ALLOW_ANY]", "[istio-system/*]", 1},
		{[]string{mesh, namespaces, others}, "map[mode:REGISTRY_ONLY]", "[./*]", 1},
		{[]string{mesh, namespaces, pods, others}, "<nil>", "[*/*]", 3}, // one for each pod: no such port
	} {
		objects, notes := derive(t, world(t, append([]string{deployment, service}, test.documents...)...))
		s := find(t, objects, "Sidecar", "fleetman-staff-0")
		expect(t, s, test.policy, "spec", "outboundTrafficPolicy")
		expect(t, s, test.egress, "spec", "egress", 0, "hosts")
		expect(t, s, "127.0.2.11", "spec", "egress", 0, "bind")
		assert.Len(t, notes, test.notes, "notes")
		if test.notes > 1 {
			expect(t, s, "3", "spec", "ingress", 0, "connectionPool", "tcp", "maxConnections")
			expect(t, s, "127.0.0.1:18011", "spec", "ingress", 0, "defaultEndpoint")
			expect(t, s, "7", "spec", "inboundConnectionPool", "http", "http1MaxPendingRequests")
		}
	}
}

func gateway(selector, server string) string {
	return "apiVersion: networking.istio.io/v1alpha3\nkind: Gateway\nmetadata: {name: g}\nspec: {selector: " + selector + ", servers: [" + server + "]}\n"
}

func TestGateways(t *testing.T) {
	http := `{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}`
	objects, notes := derive(t, world(t, deployment, gateway("{istio: ingressgateway}", http+`, {port: {number: 31400, name: raw, protocol: TCP}, hosts: ["*"]}`)))
	assert.Empty(t, notes, "notes")
	expect(t, find(t, objects, "Gateway", "g"), "127.0.1.1", "spec", "servers", 0, "bind")
	expect(t, find(t, objects, "Gateway", "g"), "127.0.1.1", "spec", "servers", 1, "bind")
	assert.Equal(t, []int{80, 31400}, GatewayPorts(objects, "istio-ingressgateway"), "ports")
	s := find(t, objects, "Service", "istio-ingressgateway")
	expect(t, s, "8080", "spec", "ports", 0, "targetPort")
	expect(t, s, "31380", "spec", "ports", 0, "nodePort")
	expect(t, find(t, objects, "EndpointSlice", "istio-ingressgateway-0"), "[127.0.1.1]", "endpoints", 0, "addresses")

	for _, test := range []struct{ document, note string }{
		{gateway("{istio: mine}", http), "Gateway g: spec.selector: not applied: must select a gateway: istio: ingressgateway"},
		{gateway("{istio: ingressgateway}", `{port: {number: 443, name: s, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c}}`), "Gateway g: spec.servers[0].tls.credentialName: not applied: istiod sends certificates of Secrets to authenticated proxies alone"},
		{"apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {name: w}\nspec: {wasm: {url: oci://x}}\n", "TrafficExtension w: not applied: proxies here run no WebAssembly plug-ins"},
		{"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: w}\nspec: {url: oci://x}\n", "WasmPlugin w: not applied: proxies here run no WebAssembly plug-ins"},
	} {
		_, notes := derive(t, world(t, deployment, test.document))
		assert.Equal(t, []string{test.note}, notes)
	}
}

// Every Istio object is either served or noted: each kind in each of its versions is served, and a kind
// that Istio does not have is an error.
func TestNothingIsLeftOut(t *testing.T) {
	for i := range kinds {
		k := &kinds[i]
		if !k.Istio() {
			continue
		}
		for _, version := range k.Versions {
			document := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: x, namespace: other}\nspec: {}\n", k.apiVersion(version), k.Kind)
			objects, notes := derive(t, world(t, deployment, document))
			if k.Kind != "WasmPlugin" {
				find(t, objects, k.Kind, "x")
			}
			// objects that change nothing are noted; tests with a real istiod cover the others
			noted := slices.ContainsFunc(notes, func(note string) bool {
				return strings.HasPrefix(note, k.Kind+" other/x: not applied: ")
			})
			ours := []string{"ProxyConfig", "WasmPlugin", "WorkloadGroup"}
			assert.Equal(t, slices.Contains(ours, k.Kind), noted, "%s: notes %q", k.Kind, notes)
			expect(t, find(t, objects, "Namespace", "other"), "other", "metadata", "labels", "kubernetes.io/metadata.name")
		}
	}
	// package manifest reports an unknown kind of a known group
	_, _, err := Derive(world(t, deployment, "apiVersion: mesh.istio.io/v1\nkind: X\nmetadata: {name: x}\n"))
	wants.Error(t, "an unknown kind", err, "test.yaml: X x: kind: X: must be a kind that Istio has in mesh.istio.io/v1")
	// every object of every scenario
	paths, err := filepath.Glob("../../../k8s/scenarios/*/kustomization.yaml")
	deeper, _ := filepath.Glob("../../../k8s/scenarios/*/*/kustomization.yaml")
	if paths = append(paths, deeper...); err != nil || len(paths) < 10 {
		t.Fatalf("scenarios %q, %v", paths, err)
	}
	for _, path := range paths {
		all, err := manifest.Load(filepath.Dir(path))
		require.NoError(t, err)
		w := world(t, deployment)
		w.Manifests = all
		for i, d := range manifest.Of[*appsv1.Deployment](all) {
			w.Pods = append(w.Pods, podOf(d, 20+i))
		}
		objects, notes := derive(t, w)
		assert.Empty(t, notes, "%s: notes", path)
		for _, o := range all.All {
			find(t, objects, o.Kind, o.Name)
		}
	}
}

// The injector reads ProxyConfigs on a cluster; here the launcher does.
func TestProxyConfig(t *testing.T) {
	config := func(name, namespace, spec string) string {
		return "apiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: " + spec + "\n"
	}
	mesh := config("mesh", RootNamespace, "{concurrency: 2}")
	namespace := config("namespace", "default", "{concurrency: 3}")
	pod := config("pod", "default", "{selector: {matchLabels: {app: staff}}, concurrency: 0}")
	for _, test := range []struct {
		documents []string
		want      int
		notes     []string
	}{
		{nil, 1, nil},
		{[]string{mesh}, 2, nil},
		{[]string{mesh, namespace}, 3, nil},
		{[]string{mesh, pod, namespace}, 0, nil},
		{[]string{config("a", "default", "{concurrency: 4}"), namespace}, 4, nil},
		{[]string{mesh, config("a", "default", "{}")}, 2, nil},
		{[]string{config("a", "other", "{concurrency: 4}")}, 1, []string{"ProxyConfig other/a: not applied: it selects no proxy"}},
		{[]string{config("a", "default", "{selector: {matchLabels: {app: x}}, concurrency: 4}")}, 1, []string{"ProxyConfig a: not applied: it selects no proxy"}},
		{[]string{config("a", "default", "{environmentVariables: {A: b}, image: {imageType: debug}}")}, 1, []string{
			"ProxyConfig a: spec.environmentVariables: not applied: they are for Istio's agent, and none runs here",
			"ProxyConfig a: spec.image: not applied: all proxies are the same program",
		}},
	} {
		w := world(t, append([]string{deployment}, test.documents...)...)
		assert.Equal(t, test.want, Concurrency(w.Manifests, "default", PodLabels(&w.Pods[0])), "%q: workers", test.documents)
		_, notes := derive(t, w)
		assert.Equal(t, test.notes, notes, "%q: notes", test.documents)
	}
}

func TestNames(t *testing.T) {
	w := world(t, deployment, service,
		"apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\nspec: {ports: [{port: 80}]}\n",
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: se}\nspec: {hosts: [api.example.com, \"*.example.org\"]}\n")
	objects, _ := derive(t, w)
	text, wildcards := HostsFile(objects, &w.Pods[0])
	var names []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "127.0.2.11" {
			names = append(names, fields[1:]...)
		}
	}
	want := []string{
		"api.example.com", "far.other", "far.other.svc", "far.other.svc.cluster.local",
		"istio-ingressgateway.istio-system", "istio-ingressgateway.istio-system.svc", "istio-ingressgateway.istio-system.svc.cluster.local",
		"staff", "staff.default", "staff.default.svc", "staff.default.svc.cluster.local",
	}
	assert.Equal(t, want, names, "names")
	assert.Equal(t, []string{"*.example.org"}, wildcards, "wildcards")
	for _, test := range []struct {
		host  string
		known bool
		want  []string
	}{
		{"staff.default", true, []string{"127.0.1.11"}},
		{"staff.default.svc.cluster.local", true, []string{"127.0.1.11"}},
		{"far.other.svc", true, nil},
		{"staff.other", false, nil},
		{"staff.default.example.com", false, nil},
		{"api.example.com", false, nil},
	} {
		got, known := Endpoints(objects, test.host)
		assert.Equal(t, test.known, known, test.host)
		assert.Equal(t, test.want, got, test.host)
	}
	w.States = nil // no pod is ready
	objects, _ = derive(t, w)
	got, _ := Endpoints(objects, "staff.default")
	assert.Equal(t, []string{"127.0.1.11", "127.0.1.12"}, got, "endpoints without a ready one")
}

// TestAmbient: the namespace of the component ambient has one line that says why it has no mesh here.
func TestAmbient(t *testing.T) {
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio.io/dataplane-mode: ambient}}"
	const want = "Namespace default: istio.io/dataplane-mode: ambient: not applied: ztunnel redirects the traffic of a node's pods in the kernel, and processes here share one network; a cluster runs it"
	_, notes := derive(t, world(t, deployment, namespace))
	assert.Equal(t, []string{want}, notes, "notes")
}

// Services without names of ports, and containers without ports.
func TestPublished(t *testing.T) {
	all, err := manifest.Load("../../local/testdata/published")
	require.NoError(t, err)
	w := world(t, deployment)
	w.Manifests, w.Pods = all, nil
	for _, d := range manifest.Of[*appsv1.Deployment](all) {
		w.Pods = append(w.Pods, podOf(d, 0))
	}
	objects, notes := derive(t, w)
	assert.Empty(t, notes, "notes")
	expect(t, find(t, objects, "EndpointSlice", "fleetman-staff-service-0"), "8080", "ports", 0, "port")
	expect(t, find(t, objects, "Sidecar", "fleetman-staff-service-0"), "HTTP", "spec", "ingress", 0, "port", "protocol")
	expect(t, find(t, objects, "PeerAuthentication", "default"), "istio-system", "metadata", "namespace")
}

// Each revision has the pod of its control plane, an object with the label of a revision is of that one alone, and a
// Sidecar of another revision does not apply to a pod.
func TestRevisions(t *testing.T) {
	sidecar := func(name, revision string) string {
		return "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " + name + ", labels: {istio.io/rev: " + revision + "}}\nspec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n"
	}
	const rule = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: all}\nspec: {hosts: [staff], http: [{fault: {abort: {httpStatus: 500}}}]}\n"
	w := world(t, deployment, service, rule, sidecar("of-next", "next"), sidecar("of-nobody", "other"))
	w.Revisions = []string{"default", "next"}
	w.Pods[0].Revision, w.Pods[1].Revision = "default", "next"
	objects, notes := derive(t, w)
	expect(t, find(t, objects, "Pod", "istiod-0"), "default", "metadata", "labels", "istio.io/rev")
	expect(t, find(t, objects, "Pod", "istiod-next-0"), "next", "metadata", "labels", "istio.io/rev")
	expect(t, find(t, objects, "Pod", "staff-1"), `{"containers":["istio-proxy"],"revision":"next"}`, "metadata", "annotations", "sidecar.istio.io/status")
	expect(t, find(t, objects, "Sidecar", "fleetman-staff-0"), "<nil>", "spec", "outboundTrafficPolicy")
	expect(t, find(t, objects, "Sidecar", "fleetman-staff-1"), "map[mode:REGISTRY_ONLY]", "spec", "outboundTrafficPolicy")
	assert.Equal(t, []string{"test.yaml: Sidecar of-nobody: metadata.labels: changes no proxy: istio.io/rev: other: no pod is under that revision"}, notes, "notes")
	server := NewServer(time.Now)
	require.NoError(t, server.Replace(objects))
	for revision, want := range map[string]bool{"default": false, "next": true} {
		versions := server.IstioVersions(revision)
		if versions["VirtualService all"] == "" || (versions["Sidecar of-next"] != "") != want || versions["Sidecar of-nobody"] != "" {
			t.Errorf("revision %s: %v", revision, versions)
		}
	}
}
