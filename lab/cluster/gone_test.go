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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestUpAwaitsNamespace: an up waits for the end of a namespace, says why it is not gone, and keeps to its limit.
func TestUpAwaitsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		a.put("v1", `{"kind":"Namespace","metadata":{"name":"fleetman","deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"conditions":[
			{"type":"NamespaceDeletionDiscoveryFailure","status":"False","message":"All resources successfully discovered"},
			{"type":"NamespaceFinalizersRemaining","status":"True","message":"Some content in the namespace has finalizers remaining: a/b in 1 resource instances"}]}}`)
		before := a.refs()
		o := options(t)
		o.ReadyTimeout = 20 * time.Second
		var lines []string
		o.Progress = func(line string) { lines = append(lines, line) }
		const why = "namespace fleetman (Some content in the namespace has finalizers remaining: a/b in 1 resource instances)"
		require.EqualError(t, a.client(t, "").Up(t.Context(), load(t, scenarios+"plain"), o), "cluster test: not gone after 20s: "+why)
		assert.Equal(t, []string{"waiting for the end of " + why}, lines)
		a.wantRefs(t, before)
	})
}

// keep gives webapp a finalizer.
func (a *api) keep() {
	s := a.objects["/apis/apps/v1/namespaces/fleetman/deployments/webapp"]
	s.own = merge(s.own, map[string]any{"metadata": map[string]any{"finalizers": []any{"a/b"}}})
}

// TestDownAwaits: a down says what is not gone and why, ends after two minutes, and says it after an interruption too.
func TestDownAwaits(t *testing.T) {
	for _, test := range []struct {
		after time.Duration // interruption
		want  string
	}{
		{time.Hour, "cluster test: not gone after 2m0s: Deployment fleetman/webapp (finalizer a/b)"},
		{30 * time.Second, "cluster test: not gone after 30s: Deployment fleetman/webapp (finalizer a/b)"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAPI()
			c := a.client(t, "")
			up(t, c, load(t, scenarios+"plain"), options(t))
			a.keep()
			var lines []string
			c.options.Progress = func(line string) { lines = append(lines, line) }
			ctx, cancel := context.WithTimeout(t.Context(), test.after)
			defer cancel()
			_, err := c.Down(ctx)
			require.ErrorAs(t, err, new(*UnfinishedError))
			require.EqualError(t, err, test.want)
			assert.Equal(t, []string{"waiting for the end of Deployment fleetman/webapp (finalizer a/b)"}, lines)
		})
	}
}

// TestUpInterrupted: an interruption removes a new fleet, and says what it leaves of another.
func TestUpInterrupted(t *testing.T) {
	const waits = "cluster test: not ready after 30s: Deployment webapp: 0 of 2 pods are available; "
	for _, test := range []struct {
		name, want string
		earlier    bool // there is a fleet
		kept       bool // webapp has a finalizer
	}{
		{name: "new", want: waits + "the new fleet of namespace fleetman was removed"},
		{name: "new, and not removed", kept: true, want: waits + "remove the fleet: cluster test: not gone after 2m0s: Deployment fleetman/webapp (finalizer a/b); " +
			"fleetman down --context test --namespace fleetman removes what is left"},
		{name: "earlier", earlier: true, want: waits + "the fleet of namespace fleetman stays, changed in part: the same up completes it, " +
			"fleetman down --context test --namespace fleetman removes it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI()
				c := a.client(t, "")
				before := a.refs()
				if test.earlier {
					up(t, c, load(t, scenarios+"plain"), options(t))
					before = a.refs()
				}
				a.made = func(o *unstructured.Unstructured) {
					if o.GetName() != "webapp" || o.GetKind() != "Deployment" {
						return
					}
					s := a.objects["/apis/apps/v1/namespaces/fleetman/deployments/webapp"]
					s.own, s.ready = map[string]any{"status": map[string]any{}}, false
					if test.kept {
						a.keep()
					}
				}
				o := options(t)
				o.Replicas = map[string]int{"webapp": 2}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(30*time.Second, cancel)
				err := c.Up(ctx, load(t, scenarios+"plain"), o)
				require.ErrorAs(t, err, new(*UnfinishedError))
				assert.EqualError(t, err, test.want)
				if !test.kept {
					a.wantRefs(t, before)
				}
			})
		})
	}
}

// TestUpReplaced: of two ups in one namespace, the one whose manifests were replaced fails, and removes nothing.
func TestUpReplaced(t *testing.T) {
	a := newAPI()
	other := false
	a.before = func(r *http.Request) (int, string) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/webapp") && r.URL.Query().Get("dryRun") == "" && !other {
			other = true
			up(t, a.client(t, ""), load(t, scenarios+"plain"), options(t))
		}
		return 0, ""
	}
	err := a.client(t, "").Up(t.Context(), load(t, "../../k8s/base"), options(t))
	require.EqualError(t, err, "cluster test: namespace fleetman: another up or apply has replaced the manifests meanwhile: must be one at a time; "+
		"fleetman status --context test shows the manifests")
	assert.NotNil(t, a.get("/apis/apps/v1/namespaces/fleetman/deployments/webapp"), "the other fleet")

	a.before = func(r *http.Request) (int, string) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/webapp") && r.URL.Query().Get("dryRun") == "" {
			a.before = nil
			down(t, a.client(t, ""))
		}
		return 0, ""
	}
	o := options(t)
	o.Replicas = map[string]int{"webapp": 2}
	err = a.client(t, "").Up(t.Context(), load(t, scenarios+"plain"), o)
	require.ErrorContains(t, err, "cluster test: namespace fleetman: its fleet was removed meanwhile")
}
