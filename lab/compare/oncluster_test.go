package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/local"
	"fleetman.example/lab/wants"
)

// testCluster is a cluster that is never connected to.
func testCluster(t *testing.T, namespace string) *Cluster {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "config", "apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n")
	client, err := cluster.NewClient(cluster.Options{Context: "a", Kubeconfig: filepath.Join(dir, "config"), Namespace: namespace})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &Cluster{client: client, found: cluster.Description{Kubernetes: "v1.36.3", Nodes: 2, Cores: 8, Platform: "linux/amd64"}}
}

// TestNamespaces: each arm has a namespace of its own, whatever its name is.
func TestNamespaces(t *testing.T) {
	at := testCluster(t, "cmp")
	long := strings.Repeat("attempts=3,", 10)
	seen := map[string]string{}
	for arm, want := range map[string]string{
		"none": "^cmp-none$", "mesh-tuned": "^cmp-mesh-tuned$", "Mesh": "^cmp-mesh-[0-9a-f]{6}$",
		"library:attempts=3": "^cmp-library-attempts-3-[0-9a-f]{6}$", "library-attempts=3": "^cmp-library-attempts-3-[0-9a-f]{6}$",
		long + "a": "^cmp-attempts-3-.*-[0-9a-f]{6}$", long + "b": "^cmp-attempts-3-.*-[0-9a-f]{6}$",
	} {
		got := at.namespace(arm)
		assert.Regexp(t, want, got, arm)
		assert.Empty(t, validation.IsDNS1123Label(got), arm)
		assert.Empty(t, seen[got], arm+" has the namespace of another arm")
		seen[got] = arm
	}
}

// TestChangeOnCluster: variables of all services are set in each, and those of one are over them.
func TestChangeOnCluster(t *testing.T) {
	e := decode(t, "# q?\narms: [{name: library, manifests: repo:k8s/base, replicas: {staff-service: 2}, env: {all: {VARIANT: all}, staff-service: {VARIANT: own}}}]\nseeds: [7]\n")
	at := testCluster(t, "cmp")
	change := at.change(comparison(t, Options{Experiment: e, Root: "../..", Out: t.TempDir(), Cluster: at}).plans[0])
	last := map[string]string{}
	for _, s := range change.Set {
		last[s.Target+" "+s.Name] = s.Value
	}
	assert.Subset(t, last, map[string]string{"staff-service VARIANT": "own", "api-gateway VARIANT": "all", "webapp SEED": "7"}, "variables")
	assert.Equal(t, map[string]int{"staff-service": 2}, change.Replicas, "replicas")
	assert.Equal(t, "cmp", change.Comparison, "comparison")
	assert.True(t, change.FreeNodePorts, "free node ports")
}

// TestGroups: with --parallel the arms with one fault and one seed run at once.
func TestGroups(t *testing.T) {
	e := decode(t, `# q?
arms: [{name: a, manifests: repo:k8s/base}, {name: b, manifests: repo:k8s/base}]
faults: [{name: f, inject: [{service: staff-service, rules: reset}]}, {name: g, inject: [{service: staff-service, rules: hang}]}]
phases: {healthy: 1s, fault: 8s, after: 1s}
seeds: [1, 2]
`)
	for parallel, want := range map[bool]int{false: 8, true: 4} {
		at := testCluster(t, "cmp")
		at.Parallel = parallel
		c := comparison(t, Options{Experiment: e, Root: "../..", Out: t.TempDir(), Cluster: at})
		left, all, lasts := c.Left()
		assert.Len(t, c.o.groups(c.left), want, "groups, parallel: %v", parallel)
		assert.Equal(t, []int{8, 8}, []int{left, all}, "left, of all, parallel: %v", parallel)
		assert.Equal(t, time.Duration(want)*45*time.Second, lasts, "parallel: %v", parallel)
	}
}

// TestPlaces: pods have the names that the records have, and a pod that replaces another one takes its place.
func TestPlaces(t *testing.T) {
	pod := func(name string, started int, state string, ready bool, restarts int) local.Pod {
		return local.Pod{Name: name, Deployment: "staff-service", State: state, Ready: ready, Restarts: restarts, Started: time.Unix(int64(started), 0)}
	}
	places := map[string]local.Pod{}
	for _, step := range []struct {
		name   string
		pods   []local.Pod
		want   string
		events string
	}{
		{"start", []local.Pod{pod("s-b", 2, "running", true, 0), pod("s-a", 1, "running", true, 0)}, "staff-service-0=s-a staff-service-1=s-b", ""},
		{"a crash between two looks", []local.Pod{pod("s-b", 2, "running", true, 0), pod("s-a", 9, "running", true, 1)}, "staff-service-0=s-a staff-service-1=s-b", "staff-service-0 exited, staff-service-0 ready"},
		{"terminating", []local.Pod{pod("s-b", 2, "running", true, 0), pod("s-a", 9, "terminating", false, 1)}, "staff-service-0=s-a staff-service-1=s-b", "staff-service-0 notready"},
		{"replaced", []local.Pod{pod("s-b", 2, "running", true, 0), pod("s-a", 9, "terminating", false, 1), pod("s-c", 20, "waiting", false, 0)}, "staff-service-0=s-c staff-service-1=s-b", "staff-service-0 exited, staff-service-0 started"},
		{"ready", []local.Pod{pod("s-b", 2, "running", true, 0), pod("s-c", 20, "running", true, 0)}, "staff-service-0=s-c staff-service-1=s-b", "staff-service-0 ready"},
		{"killed at once", []local.Pod{pod("s-c", 20, "running", true, 0)}, "staff-service-0=s-c staff-service-1=s-b", "staff-service-1 exited, staff-service-1 notready"},
		{"its successor", []local.Pod{pod("s-c", 20, "running", true, 0), pod("s-d", 30, "running", true, 0)}, "staff-service-0=s-c staff-service-1=s-d", "staff-service-1 started, staff-service-1 ready"},
	} {
		next := assign(places, step.pods)
		var got, events []string
		for place, now := range next {
			got = append(got, place+"="+now.Name)
			if before, known := places[place]; known {
				for _, e := range changes(place, before, now, time.Unix(0, 0)) {
					events = append(events, fmt.Sprint(e.Pod, " ", e.Kind))
				}
			}
		}
		slices.Sort(got)
		assert.Equal(t, step.want, strings.Join(got, " "), step.name)
		assert.Equal(t, step.events, strings.Join(events, ", "), step.name+", events")
		places = next
	}
	f := &clusterFleet{places: places, events: local.NewEventLog()}
	require.Len(t, f.Pods(), 2)
	assert.Equal(t, "staff-service-1", f.Pods()[1].Name, "the pod's place")
	assert.Equal(t, "s-d", f.pod("staff-service-1").Name, "its own name")
}

// TestUsed: a kubelet that has not measured again makes no second sample, and what was before the load does not count.
func TestUsed(t *testing.T) {
	began := time.Unix(100, 0)
	f := &clusterFleet{}
	for _, at := range []int{99, 101, 101, 103} {
		f.samples = append(f.samples, usageSample{time.Unix(int64(at), 0), "webapp-0", used(float64(at), 1)})
	}
	var got []string
	for _, s := range f.used(began) {
		got = append(got, fmt.Sprint(time.Duration(s.At), s.Counts[0].N))
	}
	assert.Equal(t, []string{"1s 101", "3s 103"}, got, "samples")
}

// stub is a place without fleets.
type stub struct {
	*Cluster
	begin func(ctx context.Context, p plan) error
}

func (s stub) ready(context.Context, []plan) error              { return nil }
func (s stub) start(ctx context.Context, p plan) (fleet, error) { return nil, s.begin(ctx, p) }

const twoArms = "# q?\narms: [{name: a, manifests: repo:k8s/base}, {name: b, manifests: repo:k8s/base}]\nseeds: [1]\n"

// TestMadeAgain: a run that the cluster lost is made again, a bounded number of times, and one that cannot be made is
// not.
func TestMadeAgain(t *testing.T) {
	lost := lostError{errors.New("API server: no response for 30s")}
	for name, test := range map[string]struct {
		err   error
		times int
	}{
		"lost":              {lost, 3},
		"no permission":     {errors.New("u: must be allowed to get nodes/proxy"), 1},
		"a pod is away":     {&net.OpError{Op: "dial", Err: errors.New("away")}, 3},
		"still terminating": {LeftError{lost}, 3},
	} {
		times := 0
		lines := []string{}
		at := stub{testCluster(t, "cmp"), func(context.Context, plan) error { times++; return test.err }}
		p := plan{o: Options{at: at, Progress: func(line string) { lines = append(lines, line) }}, arm: experiment.Arm{Name: "a"}, fault: experiment.Fault{Name: "f"}, seed: 1}
		_, err := p.attempt(t.Context())
		assert.ErrorIs(t, err, test.err, name)
		assert.Equal(t, test.times, times, name)
		assert.Equal(t, slices.Repeat([]string{"a, f, seed 1: " + test.err.Error() + ": measuring again"}, times-1), lines, name)
	}
}

// TestParallel: when one arm fails, the others that run at the same time are stopped, and its error is the only one,
// but for fleets that are left.
func TestParallel(t *testing.T) {
	for _, left := range []bool{false, true} {
		at := testCluster(t, "cmp")
		at.Parallel = true
		c := comparison(t, Options{
			Experiment: decode(t, twoArms), Root: "../..", Out: t.TempDir(), Command: "fleetman compare x", Cluster: at, Progress: func(line string) { t.Log(line) },
		})
		c.o.at = stub{at, func(ctx context.Context, p plan) error {
			if p.arm.Name == "a" {
				return errors.New("no room")
			}
			<-ctx.Done()
			if left {
				return LeftError{errors.New("namespace cmp-b is left")}
			}
			return ctx.Err()
		}}
		want := []string{"a, healthy, seed 1: no room"}
		if left {
			want = append(want, "b, healthy, seed 1: namespace cmp-b is left")
		}
		assert.ElementsMatch(t, want, strings.Split(c.Run(t.Context()).Error(), "\n"), "fleets are left: %v", left)
	}
}

// TestLost: what went away in a run is its error.
func TestLost(t *testing.T) {
	now := time.Now()
	for want, f := range map[string]*clusterFleet{
		"":                                 {looked: now},
		"API server: no response for 30s":  {looked: now, gap: 30 * time.Second},
		"API server: no response for 1m0s": {looked: now.Add(-time.Minute)},
		"node one is not ready":            {looked: now, places: map[string]local.Pod{"a-0": {Why: "node one is not ready"}, "b-0": {Why: "node one is not ready"}}},
	} {
		err := f.err(t.Context())
		wants.Error(t, "err", err, want)
		_, lost := errors.AsType[lostError](err)
		assert.Equal(t, want != "", lost, want)
	}
}
