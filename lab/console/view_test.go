package console

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
)

// counts are the metrics of api-gateway after n calls to staff-service, a quarter of which failed and a
// tenth of which were retries, and n requests, of which a half was answered by a fallback.
func counts(n int) string {
	const text = `# TYPE http_client_request_duration_seconds histogram
http_client_request_duration_seconds_bucket{server_address="staff-service",http_response_status_code="200",le="0.1"} %[1]d
http_client_request_duration_seconds_bucket{server_address="staff-service",http_response_status_code="200",le="+Inf"} %[1]d
http_client_request_duration_seconds_count{server_address="staff-service",http_response_status_code="200"} %[1]d
http_client_request_duration_seconds_sum{server_address="staff-service",http_response_status_code="200"} 1
http_client_request_duration_seconds_bucket{server_address="staff-service",error_type="timeout",le="0.1"} 0
http_client_request_duration_seconds_bucket{server_address="staff-service",error_type="timeout",le="+Inf"} %[2]d
http_client_request_duration_seconds_count{server_address="staff-service",error_type="timeout"} %[2]d
http_client_request_duration_seconds_sum{server_address="staff-service",error_type="timeout"} 1
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_route="/vehicles/",http_response_status_code="200",le="+Inf"} %[3]d
http_server_request_duration_seconds_count{http_route="/vehicles/",http_response_status_code="200"} %[3]d
http_server_request_duration_seconds_sum{http_route="/vehicles/",http_response_status_code="200"} 1
http_server_request_duration_seconds_bucket{http_route="/vehicles/",http_response_status_code="500",le="+Inf"} %[2]d
http_server_request_duration_seconds_count{http_route="/vehicles/",http_response_status_code="500"} %[2]d
http_server_request_duration_seconds_sum{http_route="/vehicles/",http_response_status_code="500"} 1
# TYPE fleetman_upstream_retries_total counter
fleetman_upstream_retries_total{server_address="staff-service"} %[4]d
# TYPE fleetman_upstream_fallbacks_total counter
fleetman_upstream_fallbacks_total{server_address="staff-service",fleetman_fallback="last-known"} %[5]d
`
	return fmt.Sprintf(text, n*3/4, n/4, n, n/10, n/2)
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
	if !slices.Equal(nodes, want) {
		t.Errorf("nodes %q, want %q", nodes, want)
	}
	edges := map[string]Edge{}
	for _, e := range s.Edges {
		edges[e.From+" "+e.To] = e
	}
	e := edges["api-gateway staff-service"]
	if want := (Counts{Attempts: 40, Failed: 10, Retries: 4, Wire: 80, MeshRetries: 40}); e.Counts != want {
		t.Errorf("counts %+v, want %+v", e.Counts, want)
	}
	if e.Rate != 40 || e.Errors != 0.25 || e.Retries != 4 || e.MeshRetries != 40 || e.P50 < 0.066 || e.P50 > 0.067 || e.P99 != 0.1 || e.TLS != "mutual" {
		t.Errorf("edge %+v", e)
	}
	if len(e.Blocks) != 2 || e.Blocks[0].By != byLibrary || e.Blocks[1].By != byMesh {
		t.Errorf("blocks of the edge: %+v", e.Blocks)
	}
	if e := edges["istio-ingressgateway api-gateway"]; e.Rate != 40 || e.Errors != 0 || e.TLS != "plain" || e.P50 != 0.01 || e.P99 < 0.0295 || e.P99 > 0.03 {
		t.Errorf("edge of the gateway: %+v", e)
	}
	if len(edges) != 3 {
		t.Errorf("%d edges: %+v", len(edges), s.Edges)
	}
	bad := s.Nodes[2].Pods[1]
	text, _ := json.Marshal(bad.Blocks)
	const blocks = `[{"by":"library","in":"api-gateway-0","state":"open","until":"1970-01-01T00:33:20Z","cause":"status 502"},` +
		`{"by":"mesh","in":"api-gateway-0","state":"ejected","since":"1970-01-01T00:16:40Z","until":"1970-01-01T00:17:40Z","cause":"consecutive_5xx","times":2}]`
	if got := utc(string(text)); got != blocks || bad.Variant != "bad" || bad.Faults == "" || len(s.Nodes[2].Pods[0].Blocks) != 0 {
		t.Errorf("bad replica %+v\nblocks %s, want %s", bad, got, blocks)
	}
	gateway := s.Nodes[3].Pods[0]
	if !gateway.Library || !gateway.Proxied || gateway.Received.Rate != 50 || gateway.Received.Errors != 0.2 {
		t.Errorf("gateway %+v", gateway)
	}
	// 40 requests and 10 failures; 20 fallbacks. 36 calls for 80 attempts of the proxy.
	if want := (Point{Time: s.Time, Of: "api-gateway", Good: 20, Degraded: 20, Failed: 10, Calls: 36, Attempts: 80}); s.Point != want {
		t.Errorf("point %+v, want %+v", s.Point, want)
	}
}

// utc replaces this machine's time zone in times of 1970.
func utc(text string) string {
	var all []map[string]any
	if json.Unmarshal([]byte(text), &all) != nil {
		return text
	}
	for _, block := range all {
		for _, key := range []string{"since", "until"} {
			if at, err := time.Parse(time.RFC3339, fmt.Sprint(block[key])); err == nil {
				text = strings.ReplaceAll(text, fmt.Sprint(block[key]), at.UTC().Format(time.RFC3339))
			}
		}
	}
	return text
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
	if p := points[1]; p.Of != "webapp" || p.Good != 15 || p.Degraded != 5 || p.Failed != 2 {
		t.Errorf("point %+v", p)
	}
	if p := points[2]; p.Good != 0 || p.Degraded != 0 || p.Failed != 3 {
		t.Errorf("next point %+v", p)
	}
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
		if got := security(test.recent, test.all); got != test.want {
			t.Errorf("%+v %+v: got %q, want %q", test.recent, test.all, got, test.want)
		}
	}
}
