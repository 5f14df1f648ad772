package runner

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/skip"
	"fleetman.example/lab/wants"
)

func TestReceived(t *testing.T) {
	dir := t.TempDir()
	log := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
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
	require.NoError(t, err)
	want := []check.Call{
		{Deployment: "staff-service", Method: "GET", Path: "/driver/x", Identity: "spiffe://cluster.local/ns/default/sa/api-gateway"},
		{Deployment: "driver-monitoring", Method: "GET", Path: "/driver/x"},
	}
	assert.Equal(t, want, calls, "calls")
	_, err = received(map[string]string{"x": filepath.Join(dir, "none")}, nil, nil, "mine")
	wants.Error(t, "no log", err, "…log of the proxy of x…")
}

func TestSourcesHaveAddressesOfTheirOwn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	node := local.NodePort{Address: listener.Addr().(*net.TCPAddr).AddrPort()}
	route := nodeRoute([]local.NodePort{node}, func(local.NodePort) bool { return true }, dialNode)
	assert.Equal(t, listener.Addr().String(), route.Host, "host")
	for source, want := range map[int]string{0: "127.0.0.1", 1: "127.0.250.1", 250: "127.0.250.250"} {
		conn, err := route.Dial(t.Context(), source)
		if err != nil {
			skip.Without(t, fmt.Sprintf("source %d: %v: macOS has one loopback address, others come by `ifconfig lo0 alias ADDRESS`", source, err))
		}
		assert.Equal(t, want, conn.LocalAddr().(*net.TCPAddr).IP.String(), fmt.Sprint("source ", source))
		conn.Close()
	}
}

// Fleets that run at once share neither addresses nor directories.
func TestPlaces(t *testing.T) {
	o := Options{Local: local.Options{State: "state", Network: netip.MustParsePrefix("127.0.41.0/24")}}
	assert.Equal(t, o.Local, o.at(0).Local, "the first place")
	third := o.at(2).Local
	assert.Equal(t, []string{"127.0.45.0/24", "127.0.0.3", filepath.Join("state", "2")}, []string{third.Network.String(), third.NodeAddress.String(), third.State}, "the third place")
}

// realPrograms returns the options for fleets of the real programs.
func realPrograms(t *testing.T, state string) Options {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: half a minute")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(root, "services", "webapp", "ui", "dist", "index.html")); err != nil {
		skip.Without(t, "the page is not built: make ui")
	}
	found, network := meshtest.Binaries(t), nettest.Network(t)
	return Options{
		Local: local.Options{
			Root: root, State: state, Environ: os.Environ(), ReadyTimeout: 3 * time.Minute,
			Network: network, NodeAddress: nettest.Node(network),
		},
		Binaries: func(context.Context) (binaries.Set, error) { return found, nil },
	}
}

// An update that a proxy rejects fails the check, though nobody would see it in
// an answer: here of a filter that only Istio's own Envoy has.
func TestARejectedUpdateFailsTheCheck(t *testing.T) {
	options := realPrograms(t, filepath.Join(t.TempDir(), "fleet"))
	scenarios := filepath.Join(options.Local.Root, "k8s", "scenarios")
	found, err := check.Find(scenarios, filepath.Join(scenarios, "sidecars"))
	require.NoError(t, err)
	filter, err := manifest.Decode("filter.yaml", []byte(meshtest.RejectedFilter))
	require.NoError(t, err)
	found[0].Objects.All = append(found[0].Objects.All, filter...)
	found[0].File.Promises = found[0].File.Promises[:1]
	results, err := check.Runner{Scenarios: scenarios, Start: Starter(options), NoControl: true}.Run(t.Context(), found)
	require.NoError(t, err)
	require.Len(t, results, 1)
	assert.False(t, results[0].OK(), "%+v", results[0])
	assert.Contains(t, results[0].Error, "rejected an update: ")
}

// TestKillInNamespace kills a pod of a namespace other than the default one.
func TestKillInNamespace(t *testing.T) {
	objects, err := manifest.Decode("fleet.yaml", []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: staff, namespace: apart}
spec: {selector: {matchLabels: {app: staff}}, template: {metadata: {labels: {app: staff}}, spec: {containers: [{name: c, image: fleetman/staff-service}]}}}
`))
	require.NoError(t, err)
	network := nettest.Network(t)
	fleet, err := local.Start(t.Context(), &manifest.Objects{All: objects}, local.Options{Bin: fakes.Dir(t), State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network)})
	require.NoError(t, err)
	defer fleet.Stop()
	require.NoError(t, Running(fleet, nil).Kill(t.Context(), "staff"))
	for event := range fleet.Events(t.Context()) {
		if event.Kind == local.Terminating {
			return
		}
	}
}
