package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if _, err := objects.In("A"); err == nil || err.Error() != `namespace: "A": must be lower-case letters, digits, '-' and '.'` {
		t.Errorf("namespace A: %v", err)
	}
}

// TestScenariosIn: no scenario names the default namespace once it is moved.
func TestScenariosIn(t *testing.T) {
	files, err := filepath.Glob("../../k8s/scenarios/*/kustomization.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	arms, err := filepath.Glob("../../k8s/scenarios/*/*/kustomization.yaml")
	require.NoError(t, err)
	for _, file := range append(files, arms...) {
		objects := load(t, filepath.Dir(file))
		before := len(objects.All)
		moved, err := objects.In("team")
		require.NoError(t, err)
		if len(moved.All) != before {
			t.Errorf("%s: %d objects, want %d", file, len(moved.All), before)
		}
		for _, o := range moved.All {
			if bytes.Contains(o.JSON, []byte(".default.")) || bytes.Contains(o.JSON, []byte("ns/default")) || o.Namespace == DefaultNamespace {
				t.Errorf("%s: %s: %s", file, o.Ref(), o.JSON)
			}
		}
	}
	if _, err := os.Stat("../../k8s/components/sidecars/namespace.yaml"); err != nil {
		t.Error(err) // the Namespace that the test moves
	}
}
