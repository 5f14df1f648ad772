package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	job, err := arm.job("fleetman-load-0", time.Minute)
	require.NoError(t, err)
	if _, err := arm.apply(t.Context(), job); err != nil { // as a comparison does that is killed
		t.Fatal(err)
	}
	up("x-library", "x")
	if err := arm.CheckFree(t.Context()); err == nil || err.Error() != "cluster test: namespace x-none: exists: end its fleet first with fleetman down --context test --namespace x, or choose another --namespace" {
		t.Errorf("its namespace exists: %v", err)
	}
	if found, err := c.Down(t.Context()); err != nil || !found {
		t.Errorf("down: %v, %v", found, err)
	}
	a.wantRefs(t, before)
	if err := arm.CheckFree(t.Context()); err != nil {
		t.Errorf("its namespace is gone: %v", err)
	}
	long, err := c.In(strings.Repeat("x", 64))
	require.NoError(t, err)
	if err := long.CheckFree(t.Context()); err == nil || !strings.Contains(err.Error(), "must be a shorter one") {
		t.Errorf("a long name: %v", err)
	}
}

// TestJob: the load's pod has no proxy, is not one of the fleet, and prefers nodes without the fleet.
func TestJob(t *testing.T) {
	a := newAPI()
	c := a.client(t, "x")
	c.images = "r.example/"
	o, err := c.job("fleetman-load-1", time.Minute)
	require.NoError(t, err)
	text, err := o.MarshalJSON()
	var job batchv1.Job
	if err != nil || json.Unmarshal(text, &job) != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template
	container := pod.Spec.Containers[0]
	if container.Image != "r.example/fleetman/lab:6" || !slices.Equal(container.Args, []string{"load", "127.0.0.1:15998"}) || *job.Spec.BackoffLimit != 0 || *job.Spec.ActiveDeadlineSeconds != 60 {
		t.Errorf("%s", text)
	}
	if job.Labels[managedBy] != "fleetman" || pod.Labels[managedBy] != "fleetman" || pod.Labels[helperLabel] == "" || pod.Labels["sidecar.istio.io/inject"] != "false" {
		t.Errorf("labels %v, of the pod %v", job.Labels, pod.Labels)
	}
	selector, err := metav1.LabelSelectorAsSelector(pod.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector)
	if err != nil || selector.String() != "app.kubernetes.io/managed-by=fleetman,!fleetman.example/helper" {
		t.Errorf("away from %v, %v", selector, err)
	}
}

const kubeletSummary = `{"node":{},"pods":[
	{"podRef":{"name":"webapp-1","namespace":"x","uid":"u"},"containers":[
		{"name":"webapp","cpu":{"time":"2026-11-27T10:00:01Z","usageNanoCores":1,"usageCoreNanoSeconds":2500000000},"memory":{"workingSetBytes":4096}},
		{"name":"istio-proxy","cpu":{"time":"2026-11-27T10:00:02Z","usageCoreNanoSeconds":500000000},"memory":{"workingSetBytes":8192}},
		{"name":"fleetman-load","cpu":{"time":"2026-11-27T10:00:02Z","usageCoreNanoSeconds":7},"memory":{"workingSetBytes":1}},
		{"name":"starting","cpu":{"time":"2026-11-27T10:00:02Z"},"memory":{}}]}]}`

// TestUsage: the kubelet's counters.
func TestUsage(t *testing.T) {
	a := newAPI()
	a.pages = map[string]string{"/api/v1/nodes/one/proxy/stats/summary": kubeletSummary}
	c := a.client(t, "x")
	got, err := c.Usage(t.Context(), []string{"one"})
	at := time.Date(2026, 11, 27, 10, 0, 1, 500_000_000, time.UTC)
	want := []Usage{
		{Namespace: "x", Pod: "webapp-1", At: at, CPU: 2.5, Memory: 4096},
		{Namespace: "x", Pod: "webapp-1", Proxy: true, At: at.Add(time.Second), CPU: .5, Memory: 8192},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
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
		a.before = func(*http.Request) (int, string) {
			return 403, `it is forbidden: User "u" cannot get resource "` + resource
		}
		err := test.read(a.client(t, "x"))
		if want := "cluster test: " + test.want + "; fleetman up --dry-run shows the ClusterRole"; err == nil || err.Error() != want || !Final(err) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
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
		if err := yaml.UnmarshalStrict(text.Bytes(), &role); err != nil || role.Name != "fleetman-compare" {
			t.Fatalf("%v: %s", err, text.String())
		}
		allowed := map[string]bool{}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					allowed[fmt.Sprint(verb, " ", resource, ".", rule.APIGroups[0])] = true
				}
			}
		}
		for _, needed := range []string{"patch jobs.batch", "get nodes/proxy.", "create pods/portforward.", "list namespaces.", "patch peerauthentications.security.istio.io", "patch deployments.apps"} {
			if !allowed[needed] {
				t.Errorf("not allowed: %s", needed)
			}
		}
		for _, superfluous := range []string{"get nodes.", "create pods.", "list secrets.", "get jobs.batch"} {
			if allowed[superfluous] {
				t.Errorf("allowed: %s", superfluous)
			}
		}
		if allowed["update pods/ephemeralcontainers."] != fromPod {
			t.Errorf("allowed to send from a pod: %v, want %v", !fromPod, fromPod)
		}
	}
}
