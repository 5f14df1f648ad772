package console

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
)

//go:embed testdata/api-gateway.prom
var gatewayMetrics string

// counts are the metrics of api-gateway after n calls to staff-service, a quarter of which failed and a
// tenth of which were retries, and n requests, of which a half was answered by a fallback.
func counts(n int) string {
	return fmt.Sprintf(gatewayMetrics, n*3/4, n/4, n, n/10, n/2)
}

// states returns the last of the states of smallFleet after 0 and n calls, within a second.
func stateAfter(n int) *State {
	v := newView()
	var s *State
	for i, n := range []int{0, n} {
		r := smallFleet(n)
		r.Time = time.Unix(1000+int64(i), 0)
		s = v.state(r)
	}
	return s
}

func TestState(t *testing.T) {
	s := stateAfter(40)
	var nodes []string
	for _, n := range s.Nodes {
		var pods []string
		for _, p := range n.Pods {
			pods = append(pods, p.Name)
		}
		nodes = append(nodes, fmt.Sprintf("%s %s %v", n.Kind, n.ID, pods))
	}
	want := []string{
		"gateway istio-ingressgateway []", "service position-simulator [position-simulator-0]",
		"service staff-service [staff-service-0 staff-service-bad-0]", "service api-gateway [api-gateway-0]", "external monitoring.example.com []",
	}
	assert.Equal(t, want, nodes)
	edges := edgesOf(s)
	assert.Len(t, edges, 3)
	e := edges["api-gateway staff-service"]
	assert.Equal(t, Counts{Attempts: 40, Failed: 10, Retries: 4, Wire: 80, MeshRetries: 40}, e.Counts)
	assert.InDelta(t, 0.0665, e.P50, 0.0005)
	assert.Equal(t, Flow{Rate: 40, Errors: 0.25, P50: e.P50, P99: 0.1}, e.Flow)
	assert.Equal(t, []float64{4, 40}, []float64{e.Retries, e.MeshRetries})
	assert.Equal(t, "mutual", e.TLS)
	open := Block{By: byLibrary, In: "api-gateway-0", State: "open", Until: time.Unix(2000, 0), Cause: "status 502", pod: "staff-service-bad-0"}
	ejected := Block{
		By: byMesh, In: "api-gateway-0", State: "ejected", Since: time.Unix(1000, 0), Until: time.Unix(1060, 0), Cause: "consecutive_5xx", Times: 2, pod: "staff-service-bad-0",
	}
	assert.Equal(t, []Block{open, ejected}, e.Blocks)
	e = edges["istio-ingressgateway api-gateway"]
	assert.InDelta(t, 0.02975, e.P99, 0.00025)
	assert.Equal(t, Flow{Rate: 40, P50: 0.01, P99: e.P99}, e.Flow, "calls of the gateway")
	assert.Equal(t, "plain", e.TLS)
	good, bad := s.Nodes[2].Pods[0], s.Nodes[2].Pods[1]
	assert.Empty(t, good.Blocks)
	assert.Equal(t, []Block{open, ejected}, bad.Blocks)
	assert.Equal(t, "bad", bad.Variant)
	assert.NotEmpty(t, bad.Faults)
	gateway := s.Nodes[3].Pods[0]
	assert.True(t, gateway.Library && gateway.Proxied)
	assert.Equal(t, []float64{50, 0.2}, []float64{gateway.Received.Rate, gateway.Received.Errors})
	// 40 requests and 10 failures; 20 fallbacks. 36 calls for 80 attempts of the proxy.
	assert.Equal(t, Point{Time: s.Time, Of: "api-gateway", Good: 20, Degraded: 20, Failed: 10, Calls: 36, Attempts: 80}, s.Point)
}

// edgesOf returns the edges of a state by FROM TO.
func edgesOf(s *State) map[string]Edge {
	edges := map[string]Edge{}
	for _, e := range s.Edges {
		edges[e.From+" "+e.To] = e
	}
	return edges
}

// TestBlock checks what the page gets of a block: a time that is not known is left out.
func TestBlock(t *testing.T) {
	text, err := json.Marshal(Block{By: byLibrary, In: "a-0", State: "open", Until: time.Unix(2000, 0).UTC(), Cause: "status 502", pod: "b-0"})
	require.NoError(t, err)
	assert.Equal(t, `{"by":"library","in":"a-0","state":"open","until":"1970-01-01T00:33:20Z","cause":"status 502"}`, string(text))
}

// TestEntry checks where the outcomes are counted: at webapp, when it forwards requests, with those that its
// proxy answers instead.
func TestEntry(t *testing.T) {
	v := newView()
	var points []Point
	for at := range 3 {
		i := min(at, 1)
		r := smallFleet(10 * i)
		text := fmt.Sprintf(`# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_count{http_route="/api/*path",http_response_status_code="200"} %d
http_server_request_duration_seconds_count{http_route="/api/*path",http_response_status_code="502"} %d
http_server_request_duration_seconds_count{http_route="",http_response_status_code="200"} %d
`, 20*i, 2*i, 99*i)
		webapp := *r.Pods[3]
		webapp.Name, webapp.Program, webapp.Deployment, webapp.Services, webapp.Address = "webapp-0", "webapp", "webapp", []string{"fleetman-webapp"}, "127.0.1.9"
		webapp.Metrics, webapp.Upstreams = samples(text), nil
		r.Pods = append(r.Pods, &webapp)
		r.Proxies = append(r.Proxies, mesh.Traffic{Proxy: "webapp-0", Started: time.Unix(1, 0), Clusters: map[string]*envoy.ClusterStats{
			"inbound|80||": {Codes: map[int]uint64{200: uint64(100 * i), 502: uint64(2 * i), 504: uint64(3 * i)}},
		}})
		r.Time = time.Unix(1000+int64(at), 0)
		points = append(points, v.state(r).Point)
	}
	// 20 and 2 that failed, 5 fallbacks of api-gateway; then 3 failures that webapp still does not have
	outcomes := func(p Point) []float64 { return []float64{p.Good, p.Degraded, p.Failed} }
	assert.Equal(t, "webapp", points[1].Of)
	assert.Equal(t, []float64{15, 5, 2}, outcomes(points[1]))
	assert.Equal(t, []float64{0, 0, 3}, outcomes(points[2]))
}

func TestSecurity(t *testing.T) {
	for _, test := range []struct {
		recent, all secured
		want        string
	}{
		{secured{}, secured{}, ""},
		{secured{}, secured{0, 3}, "plain"},
		{secured{}, secured{3, 3}, "mutual"},
		{secured{}, secured{2, 3}, "mixed"},
		{secured{0, 1}, secured{9, 10}, "plain"}, // since a change of the policy
	} {
		assert.Equal(t, test.want, security(test.recent, test.all), "%+v", test)
	}
}
