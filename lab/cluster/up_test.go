package cluster

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
	a.before = func(r *http.Request) (int, string) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/webapp") {
			return 403, `deployments.apps "webapp" is forbidden: User "u" cannot patch resource "deployments" in API group "apps" in the namespace "fleetman"`
		}
		return 0, ""
	}
	err := a.client(t, "").Up(t.Context(), load(t, scenarios+"egress"), options(t))
	require.EqualError(t, err, "cluster test: Deployment fleetman/webapp: u: must be allowed to patch deployments.apps in namespace fleetman; fleetman up --context test --dry-run, with the same arguments, shows the ClusterRole")
	a.wantRefs(t, before)
}

// TestNotReady: the error says what is wrong with each pod.
func TestNotReady(t *testing.T) {
	pod := func(status string) string {
		return `{"kind":"Pod","metadata":{"name":"webapp-1","namespace":"fleetman","labels":{"app.kubernetes.io/managed-by":"fleetman"}},"spec":{"nodeName":"one","containers":[{"name":"webapp","image":"fleetman/webapp:6"}]},"status":` + status + `}`
	}
	for name, test := range map[string]struct{ deployment, pod, event, node, want string }{
		"image": {
			pod:  pod(`{"containerStatuses":[{"name":"webapp","image":"fleetman/webapp:6","state":{"waiting":{"reason":"ErrImageNeverPull","message":"m"}}}]}`),
			want: "pod webapp-1: image missing: fleetman/webapp:6: load it with fleetman images load, or name a registry with --images",
		},
		"image, by the event alone": {
			pod:   pod(`{"phase":"Pending","containerStatuses":[{"name":"webapp","state":{"waiting":{"reason":"ContainerCreating"}}}]}`),
			event: `{"kind":"Event","metadata":{"name":"e","namespace":"fleetman"},"involvedObject":{"name":"webapp-1"},"lastTimestamp":"2026-01-01T00:00:00Z","message":"Error: ImagePullBackOff"}`,
			want:  "pod webapp-1: image missing: fleetman/webapp:6: load it with fleetman images load, or name a registry with --images",
		},
		"crash": {
			pod:  pod(`{"containerStatuses":[{"name":"webapp","restartCount":4,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":2}}}]}`),
			want: "pod webapp-1: its container webapp ended with exit code 2, 4 times",
		},
		"crash, with its last lines": {
			pod:  pod(`{"containerStatuses":[{"name":"webapp","restartCount":1,"state":{"terminated":{"exitCode":1,"message":"configuration: PORT: \"x\": must be a port\n"}}}]}`),
			want: `pod webapp-1: its container webapp ended with exit code 1: configuration: PORT: "x": must be a port`,
		},
		"no node": {
			pod:  pod(`{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","message":"0/1 nodes are available: 1 Insufficient cpu."}]}`),
			want: "pod webapp-1: no node: 0/1 nodes are available: 1 Insufficient cpu.",
		},
		"probe": {
			pod:   pod(`{"phase":"Running","containerStatuses":[{"name":"webapp","state":{"running":{}}}]}`),
			event: `{"kind":"Event","metadata":{"name":"e","namespace":"fleetman"},"involvedObject":{"name":"webapp-1"},"lastTimestamp":"2026-01-01T00:00:00Z","message":"Readiness probe failed: HTTP probe failed with statuscode: 503"}`,
			want:  "pod webapp-1: Readiness probe failed: HTTP probe failed with statuscode: 503",
		},
		"node": {
			pod:  pod(`{"phase":"Running"}`),
			node: `{"kind":"Node","metadata":{"name":"one"},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}`,
			want: "pod webapp-1: node one is not ready",
		},
		"quota": {
			deployment: `pods "webapp-1" is forbidden: exceeded quota: small, requested: cpu=50m, used: cpu=1, limited: cpu=1`,
			want:       `Deployment webapp: quota: exceeded quota: small, requested: cpu=50m, used: cpu=1, limited: cpu=1`,
		},
		"policy": {
			deployment: `pods "webapp-1" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities`,
			want:       `Deployment webapp: policy: violates PodSecurity "restricted:latest": unrestricted capabilities`,
		},
		"limit range": {
			deployment: `pods "webapp-1" is forbidden: maximum cpu usage per Container is 10m, but limit is 100m`,
			want:       "Deployment webapp: limit range: maximum cpu usage per Container is 10m, but limit is 100m",
		},
		"webhook": {
			deployment: `Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": connection refused`,
			want:       `Deployment webapp: admission webhook: Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": connection refused`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI()
				c := a.client(t, "")
				if test.deployment != "" {
					a.made = func(o *unstructured.Unstructured) {
						if s := a.objects["/apis/apps/v1/namespaces/fleetman/deployments/webapp"]; s != nil {
							s.own = map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "ReplicaFailure", "status": "True", "message": test.deployment}}}}
						}
					}
				}
				for _, text := range []string{test.pod, test.event, test.node} {
					if text != "" {
						a.put("v1", text)
					}
				}
				o := options(t)
				o.ReadyTimeout = 100 * time.Millisecond
				err := c.Up(t.Context(), load(t, "../../k8s/base"), o)
				require.ErrorAs(t, err, new(*NotReadyError))
				assert.EqualError(t, err, "not ready after 0s: "+test.want)
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
