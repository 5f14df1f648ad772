package envoy

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/wants"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func nodes() map[string]Node {
	return map[string]Node{
		"sidecar": {
			Role: Sidecar, IP: netip.MustParseAddr("127.0.1.11"), Name: "api-gateway-0", Namespace: "default",
			Workload: "api-gateway-0", ServiceAccount: "fleetman-api-gateway",
			Labels: map[string]string{"app": "fleetman-api-gateway", "version": "v1", "security.istio.io/tlsMode": "istio"},
			XDS:    netip.AddrPortFrom(loopback, 15010), SDSSocket: "/run/mesh/sds", AdminSocket: "/run/mesh/admin",
		},
		"gateway": {
			Role: Gateway, IP: netip.MustParseAddr("127.0.1.1"), Name: "istio-ingressgateway-0", Namespace: "istio-system",
			Workload: "istio-ingressgateway", ServiceAccount: "istio-ingressgateway",
			Labels: map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway"},
			XDS:    netip.AddrPortFrom(loopback, 15010), SDSSocket: "/run/mesh/sds", AdminSocket: "/run/mesh/admin",
		},
	}
}

func TestBootstrapGolden(t *testing.T) {
	for name, node := range nodes() {
		got, err := Bootstrap(node)
		require.NoError(t, err)
		golden.Compare(t, filepath.Join("testdata", name+".yaml"), string(got))
	}
}

// Labels that look like other types in YAML stay strings.
func TestBootstrapKeepsLabelsAsText(t *testing.T) {
	node := nodes()["sidecar"]
	node.Labels = map[string]string{"app": "yes", "version": "1.0", "odd": "a: \"b\"}\n- c # d", "empty": ""}
	text, err := Bootstrap(node)
	require.NoError(t, err)
	var read struct {
		Node struct {
			ID, Cluster string
			Metadata    struct{ Labels map[string]any }
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &read))
	for key, want := range node.Labels {
		assert.Equal(t, want, read.Node.Metadata.Labels[key], "label %s", key)
	}
	assert.Equal(t, []string{"sidecar~127.0.1.11~api-gateway-0.default~default.svc.cluster.local", "yes.default"}, []string{read.Node.ID, read.Node.Cluster}, "node and its cluster")
}

func TestBootstrapRefuses(t *testing.T) {
	tests := []struct {
		change func(*Node)
		want   string
	}{
		{func(n *Node) { n.Name = "a~b" }, `name: "a~b"`},
		{func(n *Node) { n.Namespace = "" }, `namespace: ""`},
		{func(n *Node) { n.ServiceAccount = "" }, `service account: ""`},
		{func(n *Node) { n.Workload = "A B" }, `workload: "A B"`},
		{func(n *Node) { n.SDSSocket = "" }, `the certificates' socket: "": must be an absolute path of at most 103 bytes`},
		{func(n *Node) { n.AdminSocket = "/" + strings.Repeat("a", 103) }, "the admin socket: "},
		{func(n *Node) { n.AdminSocket = "admin" }, `the admin socket: "admin": must be`},
	}
	for _, test := range tests {
		node := nodes()["sidecar"]
		test.change(&node)
		text, err := Bootstrap(node)
		assert.Nil(t, text, test.want)
		wants.Error(t, "one line", err, "…"+test.want+"…")
	}
}

func TestEnvoyAcceptsTheBootstraps(t *testing.T) {
	program := meshtest.EnvoyPath(t)
	for name, node := range nodes() {
		text, err := Bootstrap(node)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), name+".yaml")
		require.NoError(t, os.WriteFile(path, text, 0o644))
		output, err := exec.CommandContext(t.Context(), program, validateArgs(path)...).CombinedOutput()
		assert.True(t, err == nil && strings.Contains(string(output), "OK"), "%s: %v\n%s", name, err, output)
	}
	// Envoy refuses an invalid bootstrap.
	path := filepath.Join(t.TempDir(), "broken.yaml")
	text, _ := Bootstrap(nodes()["sidecar"])
	require.NoError(t, os.WriteFile(path, bytes.Replace(text, []byte("connect_timeout"), []byte("conect_timeout"), 1), 0o644))
	output, err := exec.CommandContext(t.Context(), program, validateArgs(path)...).CombinedOutput()
	assert.Error(t, err, "a misspelt field: %s", output)
}

// validateArgs returns the arguments of an Envoy that validates a bootstrap file and exits.
func validateArgs(bootstrap string) []string {
	return []string{"--config-path", bootstrap, "--mode", "validate", "--log-level", "error"}
}
