package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/process"
	"fleetman.example/lab/wants"
)

func decode(t *testing.T, text string) *manifest.Objects {
	t.Helper()
	objects, err := manifest.Decode("test.yaml", []byte(text))
	require.NoError(t, err)
	return &manifest.Objects{All: objects}
}

// read returns a file of testdata.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(text)
}

func TestDifferences(t *testing.T) {
	before := read(t, "differences.yaml")
	after := strings.NewReplacer("port: 80", "port: 81", "name: old", "name: new", `"{}"`, `""`).Replace(before)
	after = strings.Replace(after, "kind: Gateway\nmetadata: {name: a}", "kind: Gateway\nmetadata: {name: a}\nspec: {}", 1)
	got := differences(decode(t, before), decode(t, after))
	assert.ElementsMatch(t, []string{"Service a changed", "Gateway a changed", "VirtualService new created", "VirtualService old deleted", "ConfigMap istio-system/fleetman-mesh changed"}, got)
	assert.Empty(t, differences(decode(t, before), decode(t, before)), "differences of equal objects")
}

func TestDNS(t *testing.T) {
	socket, address, err := listenDNS()
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveDNS(t.Context(), socket, func(name string) ([]netip.Addr, bool) {
			switch name {
			case "driver-monitoring.outside":
				return []netip.Addr{netip.MustParseAddr("127.0.1.8"), netip.MustParseAddr("127.0.1.9")}, true
			case "empty.outside":
				return nil, true
			}
			return nil, false
		})
	}()
	defer func() { socket.Close(); <-done }()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", address.String())
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Invalid packets are ignored.
	conn, err := net.Dial("udp", address.String())
	require.NoError(t, err)
	defer conn.Close()
	for _, garbage := range []string{"x", strings.Repeat("\xff", 100)} {
		_, err := conn.Write([]byte(garbage))
		require.NoError(t, err)
	}
	found, err := resolver.LookupNetIP(ctx, "ip", "Driver-Monitoring.outside.")
	require.NoError(t, err)
	assert.ElementsMatch(t, []netip.Addr{netip.MustParseAddr("127.0.1.8"), netip.MustParseAddr("127.0.1.9")}, found)
	for _, name := range []string{"empty.outside.", "localhost.invalid."} { // one without addresses, and an unknown one
		_, err := resolver.LookupNetIP(ctx, "ip", name)
		assert.Error(t, err, name)
	}
}

func TestTracing(t *testing.T) {
	for _, test := range []struct {
		environ []string
		want    string // address, path and whether it uses gRPC
		note    string
	}{
		{nil, "", ""},
		{[]string{"OTEL_TRACES_EXPORTER=otlp"}, "127.0.0.1:4318 /v1/traces false", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.9:99/x/"}, "127.0.0.9:99 /x/v1/traces false", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.9", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.8/y"}, "127.0.0.8:4318 /y false", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.9", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "127.0.0.9:4317  true", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.9", "OTEL_TRACES_EXPORTER=none"}, "", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://127.0.0.9"}, "", "must be an http:// URL"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.9:4318"}, "", "must be an http:// URL"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.9:99999"}, "", "must have a port"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://nowhere.invalid"}, "", "resolve nowhere.invalid: "},
	} {
		collector, note := tracing(t.Context(), process.Getenv(test.environ))
		got := ""
		if collector != nil {
			got = fmt.Sprint(collector.Address, " ", collector.Path, " ", collector.GRPC)
		}
		assert.Equal(t, test.want, got, "%q", test.environ)
		assert.Equal(t, test.note == "", note == "", "%q: no note", test.environ)
		assert.Contains(t, note, test.note, "%q", test.environ)
	}
}

// script writes a program to a directory of its own and returns its path.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

// When istiod does not start, Start returns an error with the last line of its log.
func TestStartFails(t *testing.T) {
	bin := filepath.Dir(script(t, "webapp", "exit 0"))
	objects := decode(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: webapp}\nspec: {selector: {matchLabels: {app: w}}, template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, image: fleetman/webapp}]}}}\n")
	state, network := t.TempDir(), nettest.Network(t)
	for _, test := range []struct {
		pilot  string
		within time.Duration
		want   string
	}{
		{script(t, "pilot-discovery", "echo no port; exit 3"), 2 * time.Minute, "istiod failed with exit status 3; its log is " + filepath.Join(state, "logs", "istiod.log") + ", last line: no port"},
		{script(t, "pilot-discovery", "exec sleep 100"), time.Second, "istiod is not ready: "},
		{"/nonexistent", 2 * time.Minute, "istiod failed with fork/exec /nonexistent: no such file or directory; "},
	} {
		m, err := Start(t.Context(), objects, Options{
			Binaries: binaries.Set{Pilot: binaries.Binary{Path: test.pilot}, Envoy: binaries.Binary{Path: "/nonexistent"}},
			Local:    local.Options{Bin: bin, State: state, ReadyTimeout: test.within, Network: network, NodeAddress: nettest.Node(network)},
		})
		if err == nil {
			m.Stop()
		}
		wants.Error(t, test.pilot, err, test.want+"…")
	}
}

// istiod does not watch a kind without a CustomResourceDefinition, so it never has an object of that
// kind. Apply returns an error and restores the old objects.
func TestApplyObjectThatIstiodLacks(t *testing.T) {
	found := meshtest.Binaries(t)
	bin := filepath.Dir(script(t, "position-simulator", "exec sleep 1000"))
	const pod = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: webapp}\nspec: {selector: {matchLabels: {app: w}}, template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, image: fleetman/position-simulator}]}}}\n"
	const telemetry = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: unseen}\nspec: {accessLogging: [{disabled: true}]}\n"
	network := nettest.Network(t)
	m, err := Start(t.Context(), decode(t, pod), Options{
		Binaries: found,
		Local:    local.Options{Bin: bin, State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network)},
		hide: func(o kube.Object) bool {
			return o["kind"] == "CustomResourceDefinition" && o["metadata"].(map[string]any)["name"] == "telemetries.telemetry.istio.io"
		},
	})
	require.NoError(t, err)
	defer m.Stop()
	for within := 4 * time.Second; ; within *= 2 { // until it is long enough for istiod to take the others
		ctx, cancel := context.WithTimeout(t.Context(), within)
		applied, err := m.Apply(ctx, decode(t, pod+"---\n"+telemetry))
		cancel()
		if err != nil && err.Error() == "mesh: istiod does not have Telemetry unseen; the old objects are restored" {
			break
		}
		if err == nil || within > time.Minute {
			t.Fatalf("%+v, %v", applied, err)
		}
	}
	applied, err := m.Apply(t.Context(), decode(t, pod))
	require.NoError(t, err, "Apply of the restored objects")
	assert.Empty(t, applied.Changed, "changed by it")
}

// TestApplyAwaitsProxies checks that every proxy has the change when Apply returns, also with an istiod that collects
// changes for longer than usual, as on a busy machine.
func TestApplyAwaitsProxies(t *testing.T) {
	found := meshtest.Binaries(t)
	found.Pilot.Path = script(t, "pilot-discovery", `PILOT_DEBOUNCE_AFTER=1s exec '`+found.Pilot.Path+`' "$@"`)
	bin := filepath.Dir(script(t, "position-simulator", "exec sleep 1000"))
	before := read(t, "pod.yaml")
	const rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, subsets: [{name: all}]}\n"
	network := nettest.Network(t)
	m, err := Start(t.Context(), decode(t, before), Options{
		Binaries: found, Local: local.Options{Bin: bin, State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network), ReadyTimeout: 3 * time.Minute},
	})
	require.NoError(t, err)
	defer m.Stop()
	expect := func(what, pod string, clusters ...string) {
		address := ""
		for _, p := range m.site.Pods() {
			if p.ID == pod {
				address = p.IP.String()
			}
		}
		for _, p := range m.allProxies() {
			if p.name != pod && !p.gateway { // that of the old pod, which ends
				continue
			}
			config, err := p.admin.Config(t.Context())
			require.NoError(t, err)
			endpoints := endpointsOf(t, config)
			for _, cluster := range clusters {
				assert.Equal(t, []string{address}, endpoints["outbound|8080|"+cluster+"|a.default.svc.cluster.local"], "%s: endpoints of a, subset %q, at %s", what, cluster, p.name)
			}
		}
	}
	expect("at the start", "a-0", "")
	_, err = m.Apply(t.Context(), decode(t, before+rule))
	require.NoError(t, err)
	expect("a new subset", "a-0", "", "all")
	_, err = m.Apply(t.Context(), decode(t, strings.Replace(before+rule, "value: before", "value: after", 1)))
	require.NoError(t, err)
	expect("another pod", "a-1", "", "all")
}

// endpointsOf returns the addresses of the healthy endpoints of each cluster in a configuration dump.
func endpointsOf(t *testing.T, dump []byte) map[string][]string {
	t.Helper()
	var all struct {
		Configs []struct {
			Endpoints []struct {
				Config struct {
					Cluster    string `json:"cluster_name"`
					Localities []struct {
						Endpoints []struct {
							Health   string `json:"health_status"`
							Endpoint struct {
								Address struct {
									Socket struct {
										Address string `json:"address"`
									} `json:"socket_address"`
								} `json:"address"`
							} `json:"endpoint"`
						} `json:"lb_endpoints"`
					} `json:"endpoints"`
				} `json:"endpoint_config"`
			} `json:"dynamic_endpoint_configs"`
		} `json:"configs"`
	}
	require.NoError(t, json.Unmarshal(dump, &all))
	found := map[string][]string{}
	for _, config := range all.Configs {
		for _, of := range config.Endpoints {
			for _, locality := range of.Config.Localities {
				for _, e := range locality.Endpoints {
					if e.Health == "HEALTHY" {
						found[of.Config.Cluster] = append(found[of.Config.Cluster], e.Endpoint.Address.Socket.Address)
					}
				}
			}
		}
	}
	return found
}

// A proxy is down after several failed probes in a row, and up after one that succeeds.
func TestProbing(t *testing.T) {
	var h probing
	var got []string
	for i, answer := range "gbbbgbbbbbgg" {
		var err error
		if answer == 'b' {
			err = context.DeadlineExceeded
		}
		if changed, ready := h.add(err); changed {
			got = append(got, fmt.Sprint(i, ready))
		}
	}
	assert.Equal(t, []string{"8 false", "10 true"}, got)
}

// TestCheck: a rejection that no poll has seen yet, of clusters, listeners or routes, makes a run invalid.
func TestCheck(t *testing.T) {
	for _, stat := range []string{"cluster_manager.cds.update_rejected", "listener_manager.lds.update_rejected", "http.outbound.rds.8080.update_rejected"} {
		texts := map[string]string{"/config_dump": "{}"}
		p := &proxy{name: "webapp-0", admin: envoy.NewClient(serveText(t, texts)), supervisor: process.New(process.Config{})}
		m := &Mesh{options: Options{Rejected: func(string, string) {}}, failed: map[string]bool{}, proxies: []*proxy{p}}
		p.mesh = m
		for value, want := range []string{"", "proxy of webapp-0: rejected an update: " + stat + " is 1"} {
			texts["/stats"] = fmt.Sprintf(`{"stats":[{"name":%q,"value":%d}]}`, stat, value)
			wants.Error(t, stat, m.Check(t.Context()), want)
		}
	}
}

func TestRetried(t *testing.T) {
	const staff = "outbound|8080|safe|staff.default.svc.cluster.local"
	for _, test := range []struct {
		is, was envoy.ClusterStats
		want    string
	}{
		{envoy.ClusterStats{Retries: 3, RetrySuccess: 2}, envoy.ClusterStats{Retries: 3, RetrySuccess: 1}, ""},
		{envoy.ClusterStats{Retries: 4, RetrySuccess: 2}, envoy.ClusterStats{Retries: 3, RetrySuccess: 2}, "its proxy sent 1 retry to staff.default:8080 subset safe: 0 succeeded"},
		{envoy.ClusterStats{Retries: 9, RetrySuccess: 5, RetryOverflow: 2}, envoy.ClusterStats{Retries: 3, RetrySuccess: 1}, "its proxy sent 6 retries to staff.default:8080 subset safe: 4 succeeded; 2 more were refused by its retry budget or maxRetries"},
	} {
		test.is.Cluster = staff
		assert.Equal(t, test.want, retried(&test.is, &test.was))
	}
	assert.Equal(t, "httpbin.org:80", Upstream("outbound|80||httpbin.org"))
}

// Only messages about the manifests' own objects are returned, each once.
func TestFindings(t *testing.T) {
	objects := decode(t, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: other}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s2}\n")
	const message = `{"code": "IST0101", "level": "Error", "message": "Referenced gateway not found: \"nobody\"", "origin": "VirtualService other/v"}`
	got, err := findings([]byte("["+message+","+message+`,
		{"code": "IST0102", "level": "Warning", "message": "m", "origin": "Namespace other"},
		{"code": "IST0110", "level": "Error", "message": "The Sidecars [fleetman-a-0 s] in namespace", "origin": "Sidecar default/s"},
		{"code": "IST0110", "level": "Error", "message": "The Sidecars [fleetman-a-0 s s2] in namespace", "origin": "Sidecar default/s2"},
		{"code": "IST0127", "level": "Warning", "message": "m", "origin": "Sidecar other/fleetman-x-0"}]`), objects)
	want := []string{
		`VirtualService other/v: error: Referenced gateway not found: "nobody" (istioctl analyze, IST0101)`,
		"Namespace other: warning: m (istioctl analyze, IST0102)",
		"Sidecar s2: error: The Sidecars [fleetman-a-0 s s2] in namespace (istioctl analyze, IST0110)",
	}
	require.NoError(t, err)
	assert.Equal(t, want, got)
	_, err = findings([]byte("x"), objects)
	assert.Error(t, err, "no JSON")
}

func TestWithTargets(t *testing.T) {
	const rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, subsets: [{name: safe}, {name: risky}]}\n"
	const entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec: {hosts: [e.example]}\n"
	const route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [a]}\n"
	for _, test := range []struct {
		name, before, after string
		want                string // the objects and the subsets; empty: those after
	}{
		{"nothing removed", rule, rule + "---\n" + route, ""},
		{"a route removed", rule + "---\n" + route, rule, ""},
		{"objects removed", rule + "---\n" + entry, route, "VirtualService v, DestinationRule a safe risky, ServiceEntry e"},
		{"a subset removed", rule, strings.Replace(rule, ", {name: risky}", ", {name: new}", 1), "DestinationRule a safe new risky"},
		{"all subsets removed", rule, strings.Replace(rule, ", subsets: [{name: safe}, {name: risky}]", "", 1), "DestinationRule a safe risky"},
	} {
		after := decode(t, test.after)
		merged, differs := withTargets(decode(t, test.before), after)
		if !differs {
			assert.Same(t, after, merged, test.name)
			assert.Empty(t, test.want, test.name)
			continue
		}
		var got []string
		for _, o := range merged.All {
			text := o.Ref()
			for _, match := range regexp.MustCompile(`"name":"(safe|risky|new)"`).FindAllStringSubmatch(string(o.JSON), -1) {
				text += " " + match[1]
			}
			got = append(got, text)
		}
		assert.Equal(t, test.want, strings.Join(got, ", "), test.name)
	}
}
