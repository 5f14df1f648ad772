package cluster

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// TestArms: down removes the fleets of a comparison, and nothing of another one.
func TestArms(t *testing.T) {
	a := newAPI()
	c := a.client(t, "x")
	up := func(namespace, comparison string) *Client {
		arm, err := c.In(namespace)
		require.NoError(t, err)
		t.Cleanup(arm.Close)
		o := options(t)
		o.Comparison = comparison
		up(t, arm, load(t, scenarios+"plain"), o)
		return arm
	}
	up("y-none", "y")
	before := a.refs()
	arm := up("x-none", "x")
	_, err := arm.apply(t.Context(), arm.job("fleetman-load-0", time.Minute)) // as a comparison does that is killed
	require.NoError(t, err)
	up("x-library", "x")
	require.EqualError(t, arm.CheckFree(t.Context()), "cluster test: namespace x-none: exists: end its fleet first with fleetman down --context test --namespace x, or choose another --namespace")
	assert.True(t, down(t, c), "found")
	a.wantRefs(t, before)
	require.NoError(t, arm.CheckFree(t.Context()), "its namespace is gone")
	long, err := c.In(strings.Repeat("x", 64))
	require.NoError(t, err)
	require.ErrorContains(t, long.CheckFree(t.Context()), "must be a shorter one")
}

// TestJob: the load's pod has no proxy, is not one of the fleet, and prefers nodes without the fleet.
func TestJob(t *testing.T) {
	a := newAPI()
	c := a.client(t, "x")
	c.images = "r.example/"
	var job batchv1.Job
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(c.job("fleetman-load-1", time.Minute).Object, &job))
	pod := job.Spec.Template
	container := pod.Spec.Containers[0]
	assert.Equal(t, "r.example/fleetman/lab:6", container.Image)
	assert.Equal(t, []string{"load", "127.0.0.1:15998"}, container.Args)
	assert.Equal(t, int32(0), *job.Spec.BackoffLimit)
	assert.Equal(t, int64(60), *job.Spec.ActiveDeadlineSeconds)
	assert.Equal(t, map[string]string{managedBy: "fleetman", partOfSet: fleetID("x")}, job.Labels)
	assert.Equal(t, map[string]string{managedBy: "fleetman", partOfSet: fleetID("x"), helperLabel: "true", "sidecar.istio.io/inject": "false"}, pod.Labels)
	selector, err := metav1.LabelSelectorAsSelector(pod.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector)
	require.NoError(t, err)
	assert.Equal(t, "app.kubernetes.io/managed-by=fleetman,!fleetman.example/helper", selector.String(), "away from")
}

// TestUsage: the kubelet's counters.
func TestUsage(t *testing.T) {
	a := newAPI()
	summary, err := os.ReadFile("testdata/summary.json")
	require.NoError(t, err)
	a.pages = map[string]string{"/api/v1/nodes/one/proxy/stats/summary": string(summary)}
	c := a.client(t, "x")
	got, err := c.Usage(t.Context(), []string{"one"})
	at := time.Date(2026, 11, 27, 10, 0, 1, 500_000_000, time.UTC)
	want := []Usage{
		{Namespace: "x", Pod: "webapp-1", At: at, CPU: 2.5, Memory: 4096},
		{Namespace: "x", Pod: "webapp-1", Proxy: true, At: at.Add(time.Second), CPU: .5, Memory: 8192},
	}
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// TestDenied: the error about a response that is no object has the verb and the resource, too.
func TestDenied(t *testing.T) {
	for resource, test := range map[string]struct {
		read func(*Client) error
		want string
	}{
		`nodes/proxy" in API group "" at the cluster scope`: {
			func(c *Client) error { _, err := c.Usage(t.Context(), []string{"one"}); return err },
			"node one: its summary: u: must be allowed to get nodes/proxy",
		},
		`pods/log" in API group "" in the namespace "x"`: {
			func(c *Client) error {
				_, err := c.ProxyText(t.Context(), local.Pod{Namespace: "x", Name: "p"}, metav1.Now())
				return err
			},
			"log of the proxy of p: u: must be allowed to get pods/log in namespace x",
		},
	} {
		a := newAPI()
		a.refuse("", "", 403, `it is forbidden: User "u" cannot get resource "`+resource)
		c := a.client(t, "x")
		c.options.Command = "compare"
		err := test.read(c)
		assert.EqualError(t, err, "cluster test: "+test.want+"; fleetman compare --context test --dry-run, with the same arguments, shows the ClusterRole")
		assert.True(t, Final(err))
	}
}

// TestPlanComparison: the role has what the arms and the load need, and nothing else. Package clustertest compares it
// with the requests of a comparison.
func TestPlanComparison(t *testing.T) {
	a := newAPI()
	for _, fromPod := range []bool{false, true} {
		var text bytes.Buffer
		require.NoError(t, a.client(t, "x").PlanComparison([]*manifest.Objects{load(t, "../../k8s/base"), load(t, scenarios+"mtls-strict")}, fromPod, &text))
		var role rbacv1.ClusterRole
		require.NoError(t, yaml.UnmarshalStrict(text.Bytes(), &role))
		assert.Equal(t, "fleetman-compare", role.Name)
		var allowed []string
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					allowed = append(allowed, fmt.Sprint(verb, " ", resource, ".", rule.APIGroups[0]))
				}
			}
		}
		assert.Subset(t, allowed, []string{"patch jobs.batch", "get nodes/proxy.", "create pods/portforward.", "list namespaces.", "patch peerauthentications.security.istio.io", "patch deployments.apps"})
		for _, superfluous := range []string{"get nodes.", "create pods.", "list secrets.", "get jobs.batch"} {
			assert.NotContains(t, allowed, superfluous)
		}
		assert.Equal(t, fromPod, slices.Contains(allowed, "update pods/ephemeralcontainers."), "allowed to send from a pod")
	}
}
