package mesh

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// TestIneffective checks that each field of the mesh configuration that istiod does not have is found.
func TestIneffective(t *testing.T) {
	at := serveText(t, map[string]string{
		"/debug/mesh": `{"accessLogFile": "/dev/stdout", "defaultTrafficPolicy": {"outlierDetection": {"interval": "10s", "maxEjectionPercent": 50}}}`,
	})
	for _, test := range []struct {
		name, config string
		want         []string
	}{
		{"no configuration", ``, nil},
		{"in effect", `{defaultTrafficPolicy: {outlierDetection: {maxEjectionPercent: 50}}}`, nil},
		{"a misspelt field", `{defaultTrafficPolcy: {}, accessLogFile: /dev/stdout}`, []string{"ConfigMap fleetman-mesh: defaultTrafficPolcy"}},
		{"a misspelt field far in", `{defaultTrafficPolicy: {outlierDetection: {intervall: 10s}}}`, []string{"ConfigMap fleetman-mesh: defaultTrafficPolicy"}},
		{"a field of the installation", `{accessLogFile: /dev/null}`, []string{"ConfigMap fleetman-mesh: accessLogFile"}},
		{"no YAML", `a: [`, []string{"ConfigMap fleetman-mesh: error converting YAML to JSON: yaml: line 1: did not find expected node content"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &Mesh{
				manifests: decode(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleetman-mesh, namespace: istio-system}\ndata: {mesh: '"+test.config+"'}\n"),
			}
			got, err := m.ineffective(t.Context(), &istiod{http: at})
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	other := &Mesh{manifests: decode(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleetman-mesh}\ndata: {mesh: 'a: b'}\n")}
	got, err := other.ineffective(context.Background(), nil)
	require.NoError(t, err)
	assert.Nil(t, got, "a ConfigMap of another namespace")
}

// TestCheckSelectors checks that istiod must read the namespace of the launcher's own objects.
func TestCheckSelectors(t *testing.T) {
	const refused = "ConfigMap fleetman-mesh: discoverySelectors: must select the namespace istio-system too, such as by {matchLabels: {kubernetes.io/metadata.name: istio-system}}: it has objects for every proxy"
	for _, test := range []struct{ name, config, want string }{
		{"none", "{}", ""},
		{"no YAML", "a: [", ""},
		{"another namespace", "discoverySelectors: [{matchLabels: {kubernetes.io/metadata.name: default}}]", refused},
		{"this one beside it", "discoverySelectors: [{matchLabels: {a: b}}, {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [istio-system]}]}]", ""},
		{"by a label that it lacks", "discoverySelectors: [{matchLabels: {mesh: a}}]", refused},
		{"no operator", "discoverySelectors: [{matchExpressions: [{key: a}]}]", `ConfigMap fleetman-mesh: discoverySelectors: "" is not a valid label selector operator`},
	} {
		objects := decode(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleetman-mesh, namespace: istio-system}\ndata: {mesh: '"+test.config+"'}\n")
		wants.Error(t, test.name, checkSelectors(objects), test.want)
		if test.want != "" { // before it looks at anything else
			_, _, err := new(Mesh).derive(objects)
			wants.Error(t, test.name, err, test.want)
		}
	}
}
