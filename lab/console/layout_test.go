package console

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
)

// drawnFleet is a fleet whose graph is measured.
type drawnFleet struct {
	name string
	pods map[string]int // by service
	// calls are FROM TO. A caller that is no service is a gateway, a callee that is none is outside of the fleet.
	calls    []string
	troubled string // a service with bad and ejected pods
}

var drawnFleets = []drawnFleet{
	{"small", map[string]int{"api-gateway": 1, "staff-service": 2}, []string{"istio-ingressgateway api-gateway", "api-gateway staff-service", "api-gateway monitoring.example.com"}, ""},
	{"circuit-breaking", map[string]int{"webapp": 1, "api-gateway": 1, "staff-service": 2, "position-tracker": 1, "vehicle-telemetry": 1, "position-simulator": 1}, []string{
		"istio-ingressgateway webapp", "webapp api-gateway", "api-gateway staff-service", "api-gateway position-tracker", "position-simulator position-tracker", "position-tracker vehicle-telemetry",
	}, "staff-service"},
	{"resilience", map[string]int{"webapp": 2, "api-gateway": 2, "staff-service": 3, "position-tracker": 2, "vehicle-telemetry": 2, "position-simulator": 1, "driver-monitoring-and-administration": 1}, []string{
		"istio-ingressgateway webapp", "istio-ingressgateway api-gateway", "webapp api-gateway", "api-gateway staff-service", "api-gateway position-tracker", "position-simulator position-tracker",
		"position-tracker vehicle-telemetry", "position-tracker staff-service", "staff-service driver-monitoring-and-administration", "driver-monitoring-and-administration a-host-with-a-long-name.monitoring.example.com",
		"vehicle-telemetry position-tracker", "api-gateway api-gateway",
	}, "staff-service"},
	{"sixty pods", map[string]int{"webapp": 6, "api-gateway": 10, "staff-service": 20, "position-tracker": 4, "vehicle-telemetry": 19, "position-simulator": 1}, []string{
		"istio-ingressgateway webapp", "webapp api-gateway", "api-gateway staff-service", "api-gateway position-tracker", "position-simulator position-tracker", "position-tracker vehicle-telemetry",
	}, "staff-service"},
}

// read returns the fleet after n calls of each kind.
func (d drawnFleet) read(n int) *Reading {
	r := &Reading{Time: time.Now()}
	next := netip.MustParseAddr("127.0.1.1")
	for _, name := range slices.Sorted(maps.Keys(d.pods)) {
		for i := range d.pods[name] {
			r.Pods = append(r.Pods, d.pod(name, i, next.String(), n))
			next = next.Next()
		}
	}
	gateways := map[string]bool{}
	for _, call := range d.calls {
		if from, _, _ := strings.Cut(call, " "); d.pods[from] == 0 && !gateways[from] {
			gateways[from] = true
			r.Proxies = append(r.Proxies, mesh.Traffic{Proxy: from, Gateway: true, Started: time.Unix(1, 0), Clusters: d.clusters(from, n)})
		}
	}
	for _, p := range r.Pods {
		r.Proxies = append(r.Proxies, d.proxy(p, n))
	}
	return r
}

func (d drawnFleet) pod(name string, i int, address string, n int) *Pod {
	var text strings.Builder
	text.WriteString("# TYPE http_client_request_duration_seconds histogram\n# TYPE fleetman_upstream_retries_total counter\n")
	for _, call := range d.calls {
		if from, to, _ := strings.Cut(call, " "); from == name {
			fmt.Fprintf(&text, "http_client_request_duration_seconds_bucket{server_address=%[1]q,http_response_status_code=\"502\",le=\"2.5\"} %[2]d\nhttp_client_request_duration_seconds_bucket{server_address=%[1]q,http_response_status_code=\"502\",le=\"+Inf\"} %[2]d\nhttp_client_request_duration_seconds_count{server_address=%[1]q,http_response_status_code=\"502\"} %[2]d\nhttp_client_request_duration_seconds_sum{server_address=%[1]q,http_response_status_code=\"502\"} %[2]d\nfleetman_upstream_retries_total{server_address=%[1]q} %[2]d\n", to, 100*n)
		}
	}
	p := &Pod{Pod: local.Pod{
		Name: fmt.Sprintf("%s-%d", name, i), Deployment: name, Program: name, Services: []string{"fleetman-" + name}, Image: "fleetman/" + name + ":6", Variant: "standard",
		Address: address, Port: 8080, State: "running", Ready: true, Started: time.Unix(1, 0),
	}, Metrics: samples(text.String()), Upstreams: []faults.Upstream{{Name: "x", Endpoints: []faults.Endpoint{{Address: "127.9.9.9:80", State: "closed"}}}}}
	if name == d.troubled && i > 0 {
		p.Name, p.Variant, p.Faults, p.Restarts, p.Ready, p.Why = fmt.Sprintf("%s-bad-%d", name, i), "placeholder", "delay=0s..5s;status=502,rate=0.5", 12, false, "its program ended with exit code 137"
	}
	return p
}

func (d drawnFleet) clusters(from string, n int) map[string]*envoy.ClusterStats {
	clusters := map[string]*envoy.ClusterStats{}
	for _, call := range d.calls {
		if caller, to, _ := strings.Cut(call, " "); caller == from {
			clusters["outbound|8080||fleetman-"+to] = &envoy.ClusterStats{Requests: uint64(100 * n), Retries: uint64(50 * n), Connections: 4, Handshakes: 2, EjectedNow: 1}
		}
	}
	return clusters
}

func (d drawnFleet) proxy(p *Pod, n int) mesh.Traffic {
	t := mesh.Traffic{Proxy: p.Name, Started: time.Unix(1, 0), Clusters: d.clusters(p.Deployment, n)}
	for cluster := range t.Clusters {
		if strings.HasSuffix(cluster, "-"+d.troubled) {
			t.Ejections = append(t.Ejections, mesh.Ejection{Cluster: "outbound|8080||fleetman-" + d.troubled, Host: "127.0.1.9:8080", Since: time.Now(), Until: time.Now().Add(time.Minute)})
		}
	}
	return t
}

type drawnSource struct {
	*fake
	fleet drawnFleet
	began time.Time
}

func (s drawnSource) Read(context.Context) (*Reading, error) {
	return s.fleet.read(int(time.Since(s.began).Seconds() * 10)), nil
}

// defects returns what is wrong with the graph's boxes, "" when the graph is whole and at rest.
//
//go:embed testdata/defects.js
var defects string

// TestGraphBoxes checks that the text of a card is inside, and that no label meets a card or another label.
func TestGraphBoxes(t *testing.T) {
	b := openTab(t, 1280, 800)
	for _, fleet := range drawnFleets {
		server := serveFake(t, drawnSource{&fake{}, fleet, time.Now()}, 0)
		for _, size := range [][2]int64{{1280, 800}, {390, 844}} {
			b.run(emulation.SetDeviceMetricsOverride(size[0], size[1], 1, false), chromedp.Navigate(server.URL()))
			what := fmt.Sprintf("%s at %d", fleet.name, size[0])
			b.until(what+": retries", `String(document.querySelectorAll(".retries:not(:empty)").length > 0)`, "true")
			b.until(what, strings.ReplaceAll(defects, "CALLS", fmt.Sprint(len(fleet.calls))), "")
			b.fits(size[0], size[1])
			b.shoot(fmt.Sprintf("graph-%s-%d", strings.ReplaceAll(fleet.name, " ", "-"), size[0]))
		}
		server.Close()
	}
}
