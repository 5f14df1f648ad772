package machine

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/parts"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/skip"
)

func TestReceived(t *testing.T) {
	dir := t.TempDir()
	log := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	entry := func(check, cluster, upstream, identity string) string {
		return fmt.Sprintf(`{"check":%q,"cluster":%q,"upstream":%q,"identity":%q,"msg":"access","method":"GET","path":"/driver/x","status":200}`, check, cluster, upstream, identity)
	}
	logs := map[string]string{
		"staff-0": log("staff-0",
			entry("mine", "inbound|8080||", "127.0.0.1:18005", "spiffe://cluster.local/ns/default/sa/api-gateway"),
			entry("mine", "inbound|8080||", "", ""),                 // refused by the proxy
			entry("other", "inbound|8080||", "127.0.0.1:18005", ""), // of another check
			entry("mine", "outbound|8080||monitoring.outside.svc.cluster.local", "127.0.1.9:8080", ""),
			"mine is in a line that is no entry", `{"check":"mine","msg":"access"`),
		"gateway": log("gateway", entry("mine", "outbound|8080||staff.default.svc.cluster.local", "127.0.1.5:8080", "")),
	}
	calls, err := received(logs, map[string]string{"staff-0": "staff-service"}, map[string]string{"127.0.1.9": "driver-monitoring"}, "mine")
	if err != nil {
		t.Fatal(err)
	}
	want := []check.Call{
		{Deployment: "staff-service", Method: "GET", Path: "/driver/x", Identity: "spiffe://cluster.local/ns/default/sa/api-gateway"},
		{Deployment: "driver-monitoring", Method: "GET", Path: "/driver/x"},
	}
	if fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("%v, not %v", calls, want)
	}
	if _, err := received(map[string]string{"x": filepath.Join(dir, "none")}, nil, nil, "mine"); err == nil || !strings.Contains(err.Error(), "log of the proxy of x") {
		t.Errorf("no log: %v", err)
	}
}

func TestLookUp(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	text := "# fleetman\n127.0.1.5 staff staff.default # two pods\n127.0.1.6 staff\n\n127.0.1.7 webapp\n"
	if err := os.WriteFile(hosts, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 200 {
		address, err := lookUp(hosts, "staff")
		if err != nil {
			t.Fatal(err)
		}
		seen[address] = true
	}
	if len(seen) != 2 || !seen["127.0.1.5"] || !seen["127.0.1.6"] {
		t.Errorf("staff leads to %v", seen)
	}
	if _, err := lookUp(hosts, "fleetman"); err == nil || !strings.Contains(err.Error(), "looking up fleetman: "+hosts) {
		t.Errorf("a name in a comment: %v", err)
	}
	if _, err := lookUp(hosts+"x", "staff"); err == nil || !strings.Contains(err.Error(), "looking up staff") {
		t.Errorf("no file: %v", err)
	}
}

func TestSourcesHaveAddressesOfTheirOwn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	route := atNode(netip.MustParseAddr("127.0.0.1"), listener.Addr().(*net.TCPAddr).Port)
	if route.Host != listener.Addr().String() {
		t.Errorf("host %s", route.Host)
	}
	for source, want := range map[int]string{0: "127.0.0.1", 1: "127.0.250.1", 250: "127.0.250.250"} {
		conn, err := route.Dial(t.Context(), source)
		if err != nil {
			skip.Without(t, fmt.Sprintf("source %d: %v: macOS has one loopback address, others come by `ifconfig lo0 alias ADDRESS`", source, err))
		}
		if got := conn.LocalAddr().(*net.TCPAddr).IP.String(); got != want {
			t.Errorf("source %d comes from %s", source, got)
		}
		conn.Close()
	}
}

// Fleets at once share no address and no directory.
func TestAt(t *testing.T) {
	network, node := netip.MustParsePrefix("127.0.41.7/24"), netip.MustParseAddr("127.0.40.1")
	for _, test := range []struct {
		network netip.Prefix
		node    netip.Addr
		slot    int
		want    string
	}{
		{network, node, 0, "127.0.41.7/24 127.0.40.1 /state"},
		{network, node, 1, "127.0.43.0/24 127.0.40.2 /state-2"},
		{network, node, 3, "127.0.47.0/24 127.0.40.4 /state-4"},
		{netip.Prefix{}, netip.Addr{}, 2, "127.0.5.0/24 127.0.0.3 /state-3"},
		{netip.MustParsePrefix("127.2.0.0/16"), node, 1, "127.4.0.0/16 127.0.40.2 /state-2"},
		{netip.MustParsePrefix("127.255.255.0/24"), node, 1, "fleets at once: 127.255.255.0/24 and 127.0.40.1 leave no addresses for fleet 2"},
		{netip.MustParsePrefix("fd00::/64"), node, 1, "fleets at once: IPv4 addresses are expected, not fd00::/64 and 127.0.40.1"},
	} {
		o, err := At(local.Options{Network: test.network, NodeAddress: test.node, State: "/state"}, test.slot)
		got := fmt.Sprintf("%v %v %s", o.Network, o.NodeAddress, o.State)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("slot %d of %v: %s, not %s", test.slot, test.network, got, test.want)
		}
	}
}

// realPrograms are what a scenario needs to run as it is.
func realPrograms(t *testing.T, state string) Options {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: half a minute")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "services", "webapp", "ui", "dist", "index.html")); err != nil {
		skip.Without(t, "the page is not built: make ui")
	}
	source := parts.Source{Root: root, Getenv: os.Getenv, Progress: func(line string) { t.Log(line) }}
	if os.Getenv("CI") != "true" {
		if _, err := source.Have(); err != nil {
			t.Skip(strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	return Options{
		Local: local.Options{
			Root: root, State: state, Environ: os.Environ(),
			Network: netip.MustParsePrefix("127.0.41.0/24"), NodeAddress: netip.MustParseAddr("127.0.40.1"),
		},
		Parts: source.Find,
	}
}

// An update that a proxy rejects fails the check, though nobody would see it in
// an answer: here of a filter that only Istio's own Envoy has.
func TestARejectedUpdateFailsTheCheck(t *testing.T) {
	options := realPrograms(t, filepath.Join(t.TempDir(), "fleet"))
	scenarios := filepath.Join(options.Local.Root, "k8s", "scenarios")
	found, err := check.Find(scenarios, filepath.Join(scenarios, "sidecars"))
	if err != nil {
		t.Fatal(err)
	}
	filter, err := manifest.Decode("filter.yaml", []byte(`
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: stats}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: INSERT_FIRST
      value:
        name: istio.stats
        typed_config: {"@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/stats.PluginConfig, value: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	found[0].Objects.All = append(found[0].Objects.All, filter...)
	found[0].File.Promises = found[0].File.Promises[:1]
	results, err := check.Runner{Scenarios: scenarios, Start: Starter(options), NoControl: true}.Run(t.Context(), found)
	if err != nil || len(results) != 1 {
		t.Fatalf("%+v, %v", results, err)
	}
	if results[0].OK() || !strings.Contains(results[0].Error, "rejected an update: ") {
		t.Errorf("%+v", results[0])
	}
}

// A whole scenario with the real programs, and its control, both at once:
// copies of calls at a workload that answers none.
func TestMirroringWithRealProgramsEndToEnd(t *testing.T) {
	options := realPrograms(t, filepath.Join(t.TempDir(), "fleet"))
	scenarios := filepath.Join(options.Local.Root, "k8s", "scenarios")
	found, err := check.Find(scenarios, filepath.Join(scenarios, "mirroring"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[int]map[string]uint64{} // seeds by slot
	start := Starter(options)
	runner := check.Runner{Scenarios: scenarios, Jobs: 2, Seed: 7, Start: func(ctx context.Context, slot int, objects *manifest.Objects) (check.Target, error) {
		target, err := start(ctx, slot, objects)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			seen[slot] = target.Seeds(ctx)
			if _, err := target.Route(scenario.Origin{Workload: "nobody"}, "x:80"); err == nil {
				t.Error("a route from a workload that is not there")
			}
		}
		return target, err
	}}
	results, err := runner.Run(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	var report bytes.Buffer
	for _, result := range results {
		if err := check.WriteLine(&report, result); err != nil {
			t.Fatal(err)
		}
		if !result.OK() || result.Control == nil || !result.Control.Broken {
			t.Errorf("%+v", result)
		}
	}
	if len(results) != 1 || len(seen) != 2 {
		t.Errorf("%d results, %d fleets", len(results), len(seen))
	}
	if len(seen[0]) < 6 || fmt.Sprint(seen[0]) != fmt.Sprint(seen[1]) {
		t.Errorf("seeds %v and %v: of every pod one is expected, the same in both", seen[0], seen[1])
	}
	for pod, seed := range seen[0] {
		if seed == 0 || seed == seen[0]["webapp-0"] && pod != "webapp-0" {
			t.Errorf("seeds %v: each of its own", seen[0])
		}
	}
	t.Log(report.String())
}
