package cluster

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"fleetman.example/lab/wants"
)

// TestErrors: one line for each fault of a cluster, and nothing is left behind.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		scenario string // plain without one
		set      func(*api)
		want     string // SERVER stands for the address
	}{
		"credentials": {
			set:  func(a *api) { a.refuse("", "", 401, "Unauthorized") },
			want: "cluster test: its credentials are expired or unknown to SERVER: log in again, or set others with --kubeconfig",
		},
		"unreachable": {
			set:  func(a *api) { a.away = func() bool { return true } },
			want: "cluster test: API server SERVER: connect: connection refused: must be reachable",
		},
		"old Kubernetes": {set: func(a *api) { a.version = "v1.27.4" }, want: "cluster test: Kubernetes v1.27.4: must be 1.30 or later"},
		"no Istio": {
			scenario: "mtls-strict", set: func(*api) {},
			want: "cluster test: Istio: not installed: must be 1.31 or later, for PeerAuthentication fleetman/default (security.istio.io/v1)",
		},
		"old Istio": {scenario: "mtls-strict", set: func(a *api) {
			a.withIstio("v1beta1")
			a.put("v1", `{"kind":"Pod","metadata":{"name":"istiod-1","namespace":"istio-system","labels":{"app":"istiod"}},"spec":{"containers":[{"image":"docker.io/istio/pilot:1.20.3"}]}}`)
		}, want: "cluster test: Istio: 1.20.3 is installed: must be 1.31 or later, for PeerAuthentication fleetman/default (security.istio.io/v1)"},
		"no Gateway API": {
			scenario: "gateway-api", set: func(a *api) { a.withIstio("v1") },
			want: "cluster test: HTTPRoute fleetman/fleetman-staff-service: gateway.networking.k8s.io HTTPRoute: unknown kind: its CustomResourceDefinition must be installed",
		},
		"no control plane of the revision": {
			scenario: "upgrade-by-revision", set: func(a *api) { a.withIstio("v1") },
			want: "cluster test: istio.io/rev: next: must be the revision of an istiod in namespace istio-system, or its tag: istioctl install --set revision=next installs one",
		},
		"the namespace exists": {
			set:  func(a *api) { a.put("v1", `{"kind":"Namespace","metadata":{"name":"fleetman"}}`) },
			want: "cluster test: namespace fleetman: exists, and fleetman did not make it: use it with --namespace fleetman, or choose another",
		},
		"an object of another fleet": {scenario: "egress", set: func(a *api) {
			a.withIstio("v1")
			a.put("v1", `{"kind":"Namespace","metadata":{"name":"outside","annotations":{"`+createdBy+`":"`+fleetID("b")+`"}}}`)
		}, want: "cluster test: Namespace outside: exists, and belongs to a fleet in another namespace: end that one first with " +
			"fleetman down --context test --namespace NAMESPACE; its NAMESPACE is that of kubectl get secrets -A -l applyset.kubernetes.io/id=" + fleetID("b")},
		"the namespace of another fleet": {scenario: "egress", set: func(a *api) {
			a.withIstio("v1")
			a.put("v1", `{"kind":"Namespace","metadata":{"name":"outside","annotations":{"`+createdBy+`":"`+fleetID("outside")+`"}}}`)
		}, want: "cluster test: Namespace outside: exists, and belongs to a fleet in another namespace: end that one first with " +
			"fleetman down --context test --namespace outside"},
		"an object exists": {set: func(a *api) {
			a.put("v1", `{"kind":"Namespace","metadata":{"name":"fleetman","annotations":{"fleetman.example/created-by":"`+fleetID("fleetman")+`"}}}`)
			a.put("apps/v1", `{"kind":"Deployment","metadata":{"name":"webapp","namespace":"fleetman"}}`)
		}, want: "cluster test: Deployment fleetman/webapp: exists, and fleetman did not make it: must be deleted, or choose another --namespace"},
		"no permission": {set: func(a *api) {
			a.refuse("", "/secrets/fleetman-admin", 403, `secrets "fleetman-admin" is forbidden: User "system:serviceaccount:a:b" cannot get resource "secrets" in API group "" in the namespace "fleetman"`)
		}, want: "cluster test: Secret fleetman/fleetman-admin: system:serviceaccount:a:b: must be allowed to get secrets in namespace fleetman; fleetman up --context test --dry-run, with the same arguments, shows the ClusterRole"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI()
			test.set(a)
			before := a.refs()
			err := a.client(t, "").Up(t.Context(), load(t, scenarios+cmp.Or(test.scenario, "plain")), options(t))
			assert.EqualError(t, err, strings.ReplaceAll(test.want, "SERVER", apiAddress))
			a.wantRefs(t, before)
		})
	}
}

// TestOutage: requests wait up to a minute for an API server that was there before, other than POST.
func TestOutage(t *testing.T) {
	for _, test := range []struct {
		method string
		before bool // it has responded
		away   time.Duration
		took   time.Duration
		fails  bool
	}{
		{"GET", false, time.Second, 0, true},
		{"GET", false, 0, 0, false},
		{"GET", true, 30 * time.Second, 30 * time.Second, false},
		{"PATCH", true, 30 * time.Second, 30 * time.Second, false},
		{"DELETE", true, time.Second, time.Second, false},
		{"GET", true, time.Hour, time.Minute, true},
		{"POST", true, time.Second, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, began := newAPI(), time.Now()
			a.away = func() bool { return time.Since(began) < test.away }
			o := &outage{next: a, responded: new(atomic.Bool)}
			o.responded.Store(test.before)
			request, err := http.NewRequestWithContext(t.Context(), test.method, apiAddress, strings.NewReader("body"))
			require.NoError(t, err)
			response, err := o.RoundTrip(request)
			if err == nil {
				response.Body.Close()
			}
			assert.Equal(t, test.took, time.Since(began), "%+v: duration", test)
			assert.Equal(t, test.fails, err != nil, "%+v: %v", test, err)
			assert.Equal(t, test.before || err == nil, o.responded.Load(), "%+v: has responded", test)
		})
	}
}

// TestUpOutage: Up waits for an API server that goes away for 30 s. One that stays away ends it with one line, and
// down removes what is left.
func TestUpOutage(t *testing.T) {
	const gone = "API server " + apiAddress + ": connect: connection refused: must be reachable"
	objects := load(t, scenarios+"egress")
	for away, want := range map[time.Duration]string{
		30 * time.Second: "",
		10 * time.Minute: "cluster test: Deployment fleetman/position-simulator: " + gone + "; remove the fleet: cluster test: Secret fleetman/fleetman-admin: " + gone +
			"; fleetman down --context test --namespace fleetman removes what is left",
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAPI().withIstio("v1")
			before := a.refs()
			var until time.Time
			a.away = func() bool { return time.Now().Before(until) }
			a.made = func(o *unstructured.Unstructured) {
				if o.GetKind() == "ServiceEntry" && until.IsZero() {
					until = time.Now().Add(away)
				}
			}
			err := a.client(t, "").Up(t.Context(), objects, options(t))
			wants.Error(t, "away for "+away.String(), err, want)
			time.Sleep(time.Until(until))
			down(t, a.client(t, ""))
			a.wantRefs(t, before)
		})
	}
}

func TestContexts(t *testing.T) {
	const file, none = "testdata/kubeconfig.yaml", "testdata/none"
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Context: "a", Kubeconfig: file}, ""},
		{Options{Context: "a", Getenv: func(string) string { return file }}, ""},
		{Options{Context: "x", Kubeconfig: file}, "--context x: must be one of a, b, in " + file},
		{Options{Context: "x", Getenv: func(string) string { return none }}, "--context x: no context in " + none + ": must name a context of a kubeconfig, see --kubeconfig"},
		{Options{Context: "a", Kubeconfig: none}, "--kubeconfig " + none + ": stat " + none + ": no such file or directory: must be a kubeconfig"},
	} {
		_, err := NewClient(test.o)
		wants.Error(t, test.o.Context+" of "+test.o.Kubeconfig, err, test.want)
	}
}

// TestCommandLines: a command line that is shown has the kubeconfig that the user gave.
func TestCommandLines(t *testing.T) {
	const file = "/my config"
	c, err := newClient(Options{Context: "a", Kubeconfig: file}, &rest.Config{Host: apiAddress}, new(atomic.Bool))
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, "fleetman down --context a --kubeconfig '"+file+"' --namespace x", c.DownCommand("x"), "with a kubeconfig")
	assert.Equal(t, "fleetman down --context test --namespace x", newAPI().client(t, "").DownCommand("x"), "without")
}

// TestAgree: objects in other namespaces are listed before anything is applied.
func TestAgree(t *testing.T) {
	a := newAPI().withIstio("v1")
	before := a.refs()
	objects := load(t, scenarios+"plain")
	more := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(more, []byte("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}\n"), 0o600))
	objects.All = append(objects.All, load(t, more).All...)
	o := options(t)
	var asked []string
	o.Agree = func(objects []string) error { asked = objects; return errors.New("no") }
	require.EqualError(t, a.client(t, "").Up(t.Context(), objects, o), "no")
	assert.Equal(t, []string{"PeerAuthentication istio-system/default"}, asked)
	a.wantRefs(t, before)
	o.Agree = func([]string) error { return nil }
	c := a.client(t, "")
	require.NoError(t, c.Up(context.WithoutCancel(t.Context()), objects, o))
	down(t, c)
	a.wantRefs(t, before)
}
