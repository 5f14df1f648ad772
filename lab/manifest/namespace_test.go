package manifest

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// TestIn: whatever names the default namespace follows, and nothing else does.
func TestIn(t *testing.T) {
	text := `
apiVersion: v1
kind: Service
metadata: {name: staff, annotations: {note: the default is staff.default.svc}}
spec: {selector: {app: default}, ports: [{port: 80, name: default}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: outside}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: default, namespace: default}
spec:
  hosts: [staff.default.svc.cluster.local, other.default, default.example.com]
  gateways: [default/gate, mesh]
  exportTo: [default]
  http: [{route: [{destination: {host: staff.default, subset: default}}, {destination: {host: a.outside.svc.cluster.local}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: outside}
spec: {rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/webapp], namespaces: [default]}}]}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: b}
spec: {configPatches: [{match: {routeConfiguration: {vhost: {name: "staff.default.svc.cluster.local:8080"}}}}]}
`
	objects := decode(t, text)
	moved, err := objects.In("team")
	require.NoError(t, err)
	var got strings.Builder
	for _, o := range moved.All {
		got.WriteString(o.Ref() + " " + string(o.JSON) + "\n")
	}
	want := `Service team/staff {"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"note":"the default is staff.team.svc"},"name":"staff","namespace":"team"},"spec":{"ports":[{"name":"default","port":80}],"selector":{"app":"default"}}}
Namespace team {"apiVersion":"v1","kind":"Namespace","metadata":{"labels":{"istio-injection":"enabled"},"name":"team"}}
Namespace outside {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"outside"}}
VirtualService team/default {"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"default","namespace":"team"},"spec":{"exportTo":["team"],"gateways":["team/gate","mesh"],"hosts":["staff.team.svc.cluster.local","other.team","default.example.com"],"http":[{"route":[{"destination":{"host":"staff.team","subset":"default"}},{"destination":{"host":"a.outside.svc.cluster.local"}}]}]}}
AuthorizationPolicy outside/a {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"a","namespace":"outside"},"spec":{"rules":[{"from":[{"source":{"namespaces":["team"],"principals":["cluster.local/ns/team/sa/webapp"]}}]}]}}
EnvoyFilter team/b {"apiVersion":"networking.istio.io/v1alpha3","kind":"EnvoyFilter","metadata":{"name":"b","namespace":"team"},"spec":{"configPatches":[{"match":{"routeConfiguration":{"vhost":{"name":"staff.team.svc.cluster.local:8080"}}}}]}}
`
	assert.Equal(t, want, got.String())
	_, err = objects.In("A")
	wants.Error(t, "namespace A", err, `namespace: "A": must be lower-case letters, digits, '-' and '.'`)
}

// TestScenariosIn: no scenario names the default namespace once it is moved.
func TestScenariosIn(t *testing.T) {
	files, err := filepath.Glob("../../k8s/scenarios/*/kustomization.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files, "scenarios")
	arms, err := filepath.Glob("../../k8s/scenarios/*/*/kustomization.yaml")
	require.NoError(t, err)
	for _, file := range append(files, arms...) {
		objects := load(t, filepath.Dir(file))
		before := len(objects.All)
		moved, err := objects.In("team")
		require.NoError(t, err)
		assert.Len(t, moved.All, before, file)
		for _, o := range moved.All {
			inDefault := bytes.Contains(o.JSON, []byte(".default.")) || bytes.Contains(o.JSON, []byte("ns/default")) || o.Namespace == DefaultNamespace
			assert.False(t, inDefault, "%s: %s: %s", file, o.Ref(), o.JSON)
		}
	}
	assert.FileExists(t, "../../k8s/components/sidecars/namespace.yaml") // the Namespace that the test moves
}
