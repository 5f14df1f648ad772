package lint

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/nettest"
)

var dumped = fleetOf("staff", "staff-service", "fleetman/staff-service:6", 1) + `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: staff}
spec: {host: staff, subsets: [{name: all, labels: {app: staff-service}, trafficPolicy: {SUBSET}}], trafficPolicy: {POLICY}}
`

// TestDump proves by istiod's own configuration of a proxy what rules say of the
// pinned version: the fields that no proxy receives, and how policies merge.
func TestDump(t *testing.T) {
	m := startMesh(t)
	for _, field := range ignoredFields {
		bare := regexp.MustCompile(", "+field.name+": [^,}]+").ReplaceAllString(field.example, "")
		require.NotEqual(t, field.example, bare, "%s: the field must be the last of its object", field.name)
		with, without := clustersOf(t, m, field.example, ""), clustersOf(t, m, bare, "")
		assert.Equal(t, without["staff"], with["staff"], "%s reaches the proxy", field.name)
		other := clustersOf(t, m, `connectionPool: {http: {maxRetries: 8}}`, "")["staff"]
		assert.NotEqual(t, without["staff"], other, "%s: the comparison sees a change", field.name)
	}
	const ejection, budget = "consecutive5xx", "budgetPercent"
	for _, test := range []struct {
		name, policy, subset, cluster, field string
		want                                 bool
	}{
		{"a port's settings drop the ejection", "outlierDetection: {consecutive5xxErrors: 3}, portLevelSettings: [{port: {number: 8080}, connectionPool: {http: {maxRetries: 8}}}]", "", "staff", ejection, false},
		{"a port's settings drop the budget", "retryBudget: {percent: 30}, portLevelSettings: [{port: {number: 8080}, connectionPool: {http: {maxRetries: 8}}}]", "", "staff", budget, false},
		{"a subset's policy keeps the budget", "retryBudget: {percent: 30}", "connectionPool: {http: {maxRetries: 8}}", "all", budget, true},
		{"a subset's policy keeps other blocks", "outlierDetection: {consecutive5xxErrors: 3}", "connectionPool: {http: {maxRetries: 8}}", "all", ejection, true},
		{"a subset's block replaces the rule's", "outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 77}", "outlierDetection: {interval: 5s}", "all", "maxEjectionPercent", false},
	} {
		cluster := clustersOf(t, m, test.policy, test.subset)[test.cluster]
		assert.Equal(t, test.want, strings.Contains(cluster, test.field), "%s: has %s", test.name, test.field)
	}
}

// startMesh starts a mesh with one pod, whose program is a stand-in.
func startMesh(t *testing.T) *mesh.Mesh {
	t.Helper()
	binaries := meshtest.Binaries(t)
	network := nettest.Network(t)
	options := mesh.Options{Binaries: binaries, Local: local.Options{
		Bin: fakes.Dir(t), State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network), Environ: os.Environ(), Progress: func(line string) { t.Log(line) },
	}}
	m, err := mesh.Start(t.Context(), objectsOf(t, "connectionPool: {http: {maxRetries: 8}}", ""), options)
	require.NoError(t, err)
	t.Cleanup(m.Stop)
	return m
}

func objectsOf(t *testing.T, policy, subset string) *manifest.Objects {
	t.Helper()
	text := strings.NewReplacer("POLICY", policy, "SUBSET", subset).Replace(dumped)
	if subset == "" {
		text = strings.Replace(text, ", trafficPolicy: {}}], trafficPolicy", "}], trafficPolicy", 1)
	}
	objects, err := manifest.Decode("dumped.yaml", []byte(text))
	require.NoError(t, err)
	return &manifest.Objects{All: objects}
}

// clustersOf returns the outbound clusters that istiod generates for the pod's
// proxy with a policy: "staff", and the subset "all".
func clustersOf(t *testing.T, m *mesh.Mesh, policy, subset string) map[string]string {
	t.Helper()
	_, err := m.Apply(t.Context(), objectsOf(t, policy, subset))
	require.NoError(t, err, policy)
	all, err := clusters(t.Context(), m.Status(t.Context()).Istiod.HTTP, "staff-service-0.default")
	require.NoError(t, err)
	found := map[string]string{
		"staff": all["outbound|8080||staff.default.svc.cluster.local"],
		"all":   all["outbound|8080|all|staff.default.svc.cluster.local"],
	}
	require.True(t, found["staff"] != "" && found["all"] != "", "no cluster of the service among %d", len(all))
	return found
}
