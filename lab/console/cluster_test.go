package console

import (
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/wants"
)

// clusterFleet is a fleet of two pods with proxies behind a stand-in of an API server.
type clusterFleet struct {
	objects *kube.Server
	asked   atomic.Int64 // requests to the API server, port-forwards aside
	tunnels atomic.Int64

	mu      sync.Mutex
	rules   string // of staff-service
	n       int    // requests so far
	ejected bool   // staff-service, by api-gateway
	tokens  []string
}

func (f *clusterFleet) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// admin serves the admin listener of a pod.
func (f *clusterFleet) admin(pod string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if pod == "api-gateway-5f-x1" {
			fmt.Fprint(w, counts(f.n))
		}
	})
	mux.HandleFunc("GET /resilience", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"upstreams":[]}`) })
	mux.HandleFunc("/faults", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.Method == http.MethodPut {
			rule := make([]byte, r.ContentLength)
			_, _ = r.Body.Read(rule)
			f.rules = string(rule)
			f.tokens = append(f.tokens, r.Header.Get("Authorization"))
		}
		if f.rules == "" || !strings.HasPrefix(pod, "staff") {
			fmt.Fprint(w, `{"rules":[]}`)
			return
		}
		fmt.Fprintf(w, `{"rules":[{"rule":%q}]}`, f.rules)
	})
	return mux
}

// proxy serves the admin interface of a pod's proxy.
func (f *clusterFleet) proxy(pod string) http.Handler {
	const cluster = "outbound|8080||fleetman-staff-service.team.svc.cluster.local"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case strings.HasPrefix(pod, "api-gateway"):
			fmt.Fprintf(w, "cluster.%s;.upstream_rq_total: %d\n", cluster, f.n)
			if f.ejected {
				fmt.Fprintf(w, "cluster.%s;.outlier_detection.ejections_active: 1\n", cluster)
			}
		case strings.HasPrefix(pod, "istio-ingressgateway"):
			if !strings.Contains(r.URL.RawQuery, "histogram") {
				w.WriteHeader(http.StatusBadRequest)
			}
			fmt.Fprintf(w, "cluster.outbound|8080||fleetman-api-gateway.team.svc.cluster.local;.upstream_rq_total: %d\n", f.n)
			fmt.Fprintf(w, "cluster.outbound|8080||fleetman-api-gateway.other.svc.cluster.local;.upstream_rq_total: %d\n", 10*f.n)
		}
	})
	mux.HandleFunc("GET /clusters", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"cluster_statuses":[{"name":%q,"added_via_api":true,"host_statuses":[
			{"address":{"socket_address":{"address":"10.1.0.2","port_value":8080}},"health_status":{"failed_outlier_check":true}}]}]}`, cluster)
	})
	return mux
}

//go:embed testdata/cluster.yaml
var clusterObjects []byte

// startCluster starts the stand-in and returns a source of its fleet.
func startCluster(t *testing.T) (*clusterFleet, *Cluster) {
	t.Helper()
	f := &clusterFleet{objects: kube.NewServer(time.Now)}
	addresses := map[string]net.Addr{}
	serve := func(key string, handler http.Handler) {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		addresses[key] = server.Listener.Addr()
	}
	var list struct{ Items []kube.Object }
	require.NoError(t, yaml.Unmarshal(clusterObjects, &list))
	require.NoError(t, f.objects.Replace(list.Items))
	for _, name := range []string{"api-gateway-5f-x1", "staff-service-5f-x2", "istio-ingressgateway-5f-x3"} {
		serve(name+":9090", f.admin(name))
		serve(name+":15000", f.proxy(name))
		serve(name+":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.URL.Path) }))
	}
	f.objects.Forward = func(_, pod string, port int) net.Addr { return addresses[fmt.Sprintf("%s:%d", pod, port)] }
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/portforward") {
			f.tunnels.Add(1)
		} else {
			f.asked.Add(1)
		}
		f.objects.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n", front.URL)
	require.NoError(t, os.WriteFile(kubeconfig, []byte(text), 0o600))
	client, err := cluster.NewClient(cluster.Options{Context: "c", Kubeconfig: kubeconfig, Namespace: "team"})
	require.NoError(t, err)
	source := NewCluster(client, client.Flags(), "")
	t.Cleanup(client.Close)
	t.Cleanup(source.Close)
	return f, source
}

// TestCluster shows a fleet on a cluster with the calls of its pods and proxies, and changes it.
func TestCluster(t *testing.T) {
	f, source := startCluster(t)
	v := newView()
	v.state(readingOf(t, source))
	f.set(func() { f.n, f.ejected = 40, true })
	s := v.state(readingOf(t, source))
	var nodes []string
	for _, n := range s.Nodes {
		nodes = append(nodes, n.Kind+" "+n.ID)
	}
	assert.ElementsMatch(t, []string{"gateway istio-ingressgateway", "service api-gateway", "service staff-service"}, nodes)
	edges := edgesOf(s)
	calls := edges["api-gateway staff-service"]
	assert.Equal(t, Counts{Attempts: 40, Failed: 10, Retries: 4, Wire: 40}, calls.Counts)
	assert.Empty(t, calls.TLS)
	assert.Len(t, calls.Blocks, 1)
	assert.Equal(t, 40.0, edges["istio-ingressgateway api-gateway"].Counts.Wire, "without the calls of the namespace other")
	staff := podNamed(s, "staff-service-5f-x2")
	assert.True(t, staff.Proxied)
	require.Len(t, staff.Blocks, 1, "of the ejected pod")
	assert.Equal(t, "api-gateway-5f-x1", staff.Blocks[0].In)
	assert.Equal(t, 7*time.Second, staff.Blocks[0].Until.Sub(staff.Blocks[0].Since))

	did, err := source.Change(t.Context(), Change{Do: "fault", Pod: "staff-service-5f-x2", Rules: "status=503"})
	require.NoError(t, err)
	assert.Equal(t, "staff-service-5f-x2: status=503", did)
	assert.Equal(t, []string{"Bearer secret"}, f.tokens)
	f.set(func() { f.ejected = false })
	staff = podNamed(v.state(readingOf(t, source)), "staff-service-5f-x2")
	assert.Equal(t, "status=503", staff.Faults)
	assert.Empty(t, staff.Blocks)
	var events []string
	for event := range source.Events(t.Context()) {
		if events = append(events, event.Pod+" "+string(event.Kind)); len(events) == 3 {
			break
		}
	}
	assert.Equal(t, []string{"api-gateway-5f-x1 ejected", "staff-service-5f-x2 fault set", "api-gateway-5f-x1 returned"}, events)

	entry, err := source.Entry(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "http://api-gateway-5f-x1:8080", entry.url())
	client := http.Client{Transport: &http.Transport{DialContext: entry.Dial, DisableKeepAlives: true}}
	response, err := client.Get(entry.url() + "/vehicles/")
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode, "response of the entry")
}

func readingOf(t *testing.T, source Source) *Reading {
	t.Helper()
	r, err := source.Read(t.Context())
	require.NoError(t, err)
	return r
}

func podNamed(s *State, name string) (found PodView) {
	for _, n := range s.Nodes {
		for _, p := range n.Pods {
			if p.Name == name {
				found = p
			}
		}
	}
	return found
}

// TestClusterCannot checks that what a cluster does not have is refused with the reason that the page shows, and
// that the page's commands name the cluster.
func TestClusterCannot(t *testing.T) {
	_, source := startCluster(t)
	r := readingOf(t, source)
	wants.Text(t, "flags", strings.Join(r.Flags, " "), "--context c --kubeconfig /… --namespace team")
	require.NotEmpty(t, r.Cannot["pause"])
	for _, test := range []struct {
		change Change
		want   string
	}{
		{Change{Do: "pause", Pod: "staff-service-5f-x2"}, r.Cannot["pause"]},
		{Change{Do: "fault", Pod: "staff-service-5f-x2", Rules: "connect=refuse"}, `rules: "connect=refuse": must be faults of requests: those of connections need a fleet on this machine, with --relays`},
		{Change{Do: "kill", Pod: "staff-service-5f-x2", Signal: "STOP"}, `signal: "STOP": must be TERM or KILL`},
		{Change{Do: "scale", Deployment: "staff-service", Replicas: 0}, "replicas: 0: must be between 1 and 20"},
		{Change{Do: "apply", Scenario: "../x"}, `scenario: "../x": must be one of fleetman scenarios`},
		{Change{Do: "x"}, `do: "x": must be fault, kill, pause, set, scale or apply`},
	} {
		_, err := source.Change(t.Context(), test.change)
		assert.EqualError(t, err, test.want, "%+v", test.change)
	}
}

// TestClusterCost bounds the requests to the API server: pods are listed every two seconds at most, and each pod
// has one tunnel.
func TestClusterCost(t *testing.T) {
	f, source := startCluster(t)
	began := time.Now() // before the first list, so that pauses of a busy machine count
	readingOf(t, source)
	first := f.asked.Load()
	atMost := func(lists int64) {
		t.Helper()
		got, took := f.asked.Load()-first, time.Since(began)
		lists += int64(took / (listEvery - every/2))
		assert.LessOrEqual(t, got, 4*lists+2*int64(took/(10*time.Second)), "requests to the API server in %v", took)
	}
	for range 10 {
		readingOf(t, source)
	}
	atMost(0)
	source.mu.Lock()
	source.listed.at = time.Time{}
	source.mu.Unlock()
	readingOf(t, source)
	atMost(1)
	assert.EqualValues(t, 3, f.tunnels.Load(), "tunnels to 3 pods")
}

// TestChanges checks the events between two readings.
func TestChanges(t *testing.T) {
	at := func(pods ...*Pod) *Reading { return &Reading{Time: time.Unix(1000, 0), Pods: pods} }
	pod := func(name string, change func(*Pod)) *Pod {
		p := &Pod{Pod: local.Pod{Name: name, Deployment: "a", State: "running", Ready: true}, Upstreams: []faults.Upstream{{Name: "b", Endpoints: []faults.Endpoint{{Address: "10.0.0.1:80", State: "closed"}}}}}
		change(p)
		return p
	}
	same := func(*Pod) {}
	for _, test := range []struct {
		name          string
		before, after *Reading
		want          string
	}{
		{"the first reading", nil, at(pod("x", same)), ""},
		{"nothing", at(pod("x", same)), at(pod("x", same)), ""},
		{"a new pod for one that is gone", at(pod("x", same)), at(pod("y", same)), "y started: a new pod of Deployment a, x exited: the pod is gone"},
		{"not ready", at(pod("x", same)), at(pod("x", func(p *Pod) { p.Ready, p.Why = false, "probe" })), "x notready: probe"},
		{"ready", at(pod("x", func(p *Pod) { p.Ready = false })), at(pod("x", same)), "x ready: "},
		{"terminating", at(pod("x", same)), at(pod("x", func(p *Pod) { p.Ready, p.State = false, "terminating" })), "x terminating: "},
		{"a restart", at(pod("x", same)), at(pod("x", func(p *Pod) { p.Restarts = 2 })), "x started: its container has restarted 2 times"},
		{"a fault", at(pod("x", same)), at(pod("x", func(p *Pod) { p.Faults = "hang" })), "x fault set: hang"},
		{"no fault", at(pod("x", func(p *Pod) { p.Faults = "hang" })), at(pod("x", same)), "x fault cleared: no faults"},
		{"a breaker", at(pod("x", same)), at(pod("x", func(p *Pod) {
			p.Upstreams = []faults.Upstream{{Name: "b", Endpoints: []faults.Endpoint{{Address: "10.0.0.1:80", State: "open", LastFailure: "timeout"}}}}
		})), "x breaker: b at 10.0.0.1:80: open, was closed: timeout"},
		{"breakers that could not be read", at(pod("x", same)), at(pod("x", func(p *Pod) { p.Upstreams = nil })), ""},
	} {
		var got []string
		for _, e := range changes(test.before, test.after) {
			got = append(got, fmt.Sprintf("%s %s: %s", e.Pod, e.Kind, e.Detail))
		}
		assert.Equal(t, test.want, strings.Join(got, ", "), test.name)
	}
}
