package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/wants"
)

const scenarios = "../../k8s/scenarios/"

func load(t *testing.T, path string) *manifest.Objects {
	t.Helper()
	objects, err := manifest.Load(path)
	require.NoError(t, err)
	return objects
}

func options(t *testing.T) UpOptions {
	return UpOptions{ReadyTimeout: time.Minute, Progress: func(line string) { t.Log(line) }, Agree: func([]string) error { return nil }, Manifests: []string{"/a", "/b"}}
}

func up(t *testing.T, c *Client, objects *manifest.Objects, o UpOptions) {
	t.Helper()
	require.NoError(t, c.Up(t.Context(), objects, o))
}

// down reports whether there was a fleet.
func down(t *testing.T, c *Client) (found bool) {
	t.Helper()
	found, err := c.Down(t.Context())
	require.NoError(t, err)
	return found
}

// TestUpDown: what the last scenario left is pruned, and down removes everything and nothing else.
func TestUpDown(t *testing.T) {
	a := newAPI().withIstio("v1")
	a.put("v1", `{"kind":"Namespace","metadata":{"name":"other"}}`)
	a.put("v1", `{"kind":"Service","metadata":{"name":"webapp","namespace":"other","labels":{"app.kubernetes.io/managed-by":"fleetman"}}}`)
	before := a.refs()
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"egress"), options(t))
	for _, path := range []string{
		"/api/v1/namespaces/fleetman", "/api/v1/namespaces/outside", "/apis/apps/v1/namespaces/fleetman/deployments/webapp",
		"/apis/networking.istio.io/v1/namespaces/fleetman/serviceentries/driver-monitoring",
	} {
		o := a.get(path)
		require.NotNil(t, o, path)
		assert.Equal(t, "fleetman", o.GetLabels()[managedBy], path)
		assert.Equal(t, fleetID("fleetman"), o.GetLabels()[partOfSet], path)
	}
	assert.Equal(t, "enabled", a.get("/api/v1/namespaces/fleetman").GetLabels()[manifest.InjectNamespace])
	parent := a.get("/api/v1/namespaces/fleetman/secrets/" + adminSecret).GetAnnotations()
	assert.Equal(t, "outside", parent[setPlaces])
	assert.Contains(t, parent[setKinds], "Deployment.apps,")
	assert.Equal(t, "/a\n/b", parent[manifestsOf])
	up(t, c, load(t, scenarios+"plain"), options(t))
	for _, gone := range []string{"Namespace outside", "ServiceEntry fleetman/driver-monitoring"} {
		assert.NotContains(t, a.refs(), gone, "left of the last scenario")
	}
	assert.Empty(t, a.get("/api/v1/namespaces/fleetman").GetLabels()[manifest.InjectNamespace], "left of the last scenario")
	assert.True(t, down(t, c), "found")
	a.wantRefs(t, before)
	assert.False(t, down(t, c), "found without a fleet")
}

// TestTold: a namespace that the user names and that exists is used, and stays.
func TestTold(t *testing.T) {
	a := newAPI().withIstio("v1")
	a.put("v1", `{"kind":"Namespace","metadata":{"name":"default","labels":{"team":"a"}}}`)
	c := a.client(t, "default")
	up(t, c, load(t, scenarios+"sidecars"), options(t))
	labels := func() map[string]string { return a.get("/api/v1/namespaces/default").GetLabels() }
	assert.Equal(t, map[string]string{"team": "a", manifest.InjectNamespace: "enabled"}, labels())
	down(t, c)
	a.wantRefs(t, []string{"Namespace default", "Node one"})
	assert.Equal(t, map[string]string{"team": "a"}, labels(), "after down")
}

// TestInterrupted: an up that ends at any request leaves nothing that down does not remove.
func TestInterrupted(t *testing.T) {
	objects := load(t, scenarios+"egress")
	for end := 1; ; end++ {
		a := newAPI().withIstio("v1")
		before := a.refs()
		ctx, kill := context.WithCancel(t.Context())
		changes := 0
		a.before = func(r *http.Request) (int, string) {
			if r.Method == http.MethodPatch || r.Method == http.MethodPost {
				changes++
			}
			if changes == end {
				kill()
			}
			if changes >= end { // as after kill -9: it removes nothing
				return 500, "killed"
			}
			return 0, ""
		}
		err := a.client(t, "").Up(ctx, objects, options(t))
		kill()
		a.before = nil
		if err == nil {
			assert.GreaterOrEqual(t, end, 20, "requests of up")
			return
		}
		t.Logf("ended at request %d", end)
		down(t, a.client(t, ""))
		a.wantRefs(t, before)
	}
}

// TestGivenUp: a fleet that cannot be applied as a whole is removed.
func TestGivenUp(t *testing.T) {
	a := newAPI().withIstio("v1")
	before := a.refs()
	a.refuse(http.MethodPatch, "/deployments/webapp", 403, `deployments.apps "webapp" is forbidden: User "u" cannot patch resource "deployments" in API group "apps" in the namespace "fleetman"`)
	err := a.client(t, "").Up(t.Context(), load(t, scenarios+"egress"), options(t))
	require.EqualError(t, err, "cluster test: Deployment fleetman/webapp: u: must be allowed to patch deployments.apps in namespace fleetman; fleetman up --context test --dry-run, with the same arguments, shows the ClusterRole")
	a.wantRefs(t, before)
}

// TestNotReady: the error says what is wrong with each pod.
func TestNotReady(t *testing.T) {
	var tests map[string]struct {
		Deployment, Event, Node, Want string
		Pod                           json.RawMessage
	}
	golden.Cases(t, "testdata/not-ready.yaml", &tests)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI()
				c := a.client(t, "")
				if test.Deployment != "" {
					a.made = func(*unstructured.Unstructured) {
						if s := a.objects["/apis/apps/v1/namespaces/fleetman/deployments/webapp"]; s != nil {
							s.own = map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "ReplicaFailure", "status": "True", "message": test.Deployment}}}}
						}
					}
				}
				if test.Pod != nil {
					a.put("v1", `{"kind":"Pod","metadata":{"name":"webapp-1","namespace":"fleetman","labels":{"app.kubernetes.io/managed-by":"fleetman"}},
						"spec":{"nodeName":"one","containers":[{"name":"webapp","image":"fleetman/webapp:6"}]},"status":`+string(test.Pod)+`}`)
				}
				if test.Event != "" {
					a.put("v1", `{"kind":"Event","metadata":{"name":"e","namespace":"fleetman"},"involvedObject":{"name":"webapp-1"},"lastTimestamp":"2026-01-01T00:00:00Z","message":"`+test.Event+`"}`)
				}
				if test.Node != "" {
					a.put("v1", `{"kind":"Node","metadata":{"name":"one"},"status":{"conditions":[{"type":"Ready","status":"`+test.Node+`"}]}}`)
				}
				o := options(t)
				o.ReadyTimeout = 100 * time.Millisecond
				err := c.Up(t.Context(), load(t, "../../k8s/base"), o)
				require.ErrorAs(t, err, new(*NotReadyError))
				assert.EqualError(t, err, "not ready after 0s: "+test.Want)
				assert.NotNil(t, a.get("/api/v1/namespaces/fleetman"), "the fleet stays, so that its pods can be inspected")
			})
		})
	}
}

// TestChange: images, replicas and variables.
func TestChange(t *testing.T) {
	a := newAPI()
	o := options(t)
	o.Change = Change{Replicas: map[string]int{"staff-service": 3}, Set: []local.Setting{{Target: "fleetman-staff-service", Name: "VARIANT", Value: "bad"}}}
	c := a.client(t, "x")
	c.images = "r.example/team/"
	up(t, c, load(t, "../../k8s/base"), o)
	replicas, staff := containerOf(t, a, "x", "staff-service")
	assert.Equal(t, "r.example/team/fleetman/staff-service:6", staff.Image)
	assert.Equal(t, int32(3), replicas, "replicas")
	assert.Contains(t, staff.Env, corev1.EnvVar{Name: "VARIANT", Value: "bad"})
	o.Change = Change{Set: []local.Setting{{Target: "staff-service", Name: "VARIAN", Value: "bad"}}}
	err := a.client(t, "x").Up(t.Context(), load(t, "../../k8s/base"), o)
	wants.Error(t, "a misspelled variable", err, `--set staff-service: "VARIAN": must be a variable of staff-service: did you mean VARIANT?`)
	for _, change := range []Change{{Replicas: map[string]int{"stuff": 1}}, {Set: []local.Setting{{Target: "stuff", Name: "A", Value: "b"}}}} {
		o.Change = change
		assert.ErrorContains(t, a.client(t, "x").Up(t.Context(), load(t, "../../k8s/base"), o), " stuff: must be the name of a Deployment")
	}
}
