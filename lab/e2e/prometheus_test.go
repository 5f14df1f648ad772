package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/local"
	"fleetman.example/lab/monitoring"
	"fleetman.example/lab/skip"
	"fleetman.example/lab/trial"
)

// The faults of TestPrometheus, by pod. Together they make the library and the mesh do all that the boards show.
var observedFaults = map[string]string{
	"staff-service-0":    "status=503,rate=0.6,method=GET;delay=3s,rate=0.3",
	"api-gateway-0":      "status=500,rate=0.2,path=/vehicles/driver;delay=2s,rate=0.1",
	"position-tracker-0": "status=503,rate=0.7,method=POST",
}

// provoked are the counters of the proxies that rise under these faults. Envoy exports them at zero, too.
var provoked = []string{
	"envoy_cluster_upstream_rq_retry[", "envoy_cluster_upstream_rq_retry{", "rq_retry_overflow", "ejections_active", "ejections_enforced_total", "cx_none_healthy",
}

// TestPrometheus checks with a real Prometheus, which scrapes a fleet under faults, that every query of every
// panel, alert and rule is valid, and returns series with the labels of its legend.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		skip.Without(t, "no prometheus: apt-get install prometheus")
	}
	trial.Run(t, func(t *trial.T) { returnSeries(t, program) })
}

// returnSeries waits for a series of each query. What the faults provoke within three minutes is in part chance.
func returnSeries(t testing.TB, program string) {
	t.Helper()
	// The arm in which library and mesh have all their policies. Calls of webapp wait for a delayed api-gateway, and
	// its breaker is seldom open: so its bulkhead refuses all the time.
	var node netip.Addr
	m, _ := startMesh(t, manifests(t, scenarios("resilience/twice")), func(o *local.Options) {
		o.Set = []local.Setting{{Target: "api-gateway", Name: "BULKHEAD", Value: "2"}, {Target: "webapp", Name: "BULKHEAD", Value: "4"}}
		node = o.NodeAddress
	})
	for pod, rules := range observedFaults {
		setFaults(t, m.Fleet(), pod, rules)
	}
	visit(t, nodePort(m.Fleet().NodePorts(), "fleetman-webapp")+driver)
	repository, err := filepath.Abs(root)
	require.NoError(t, err)
	p := startPrometheus(t, program, node, monitoring.ScrapeConfig(m.Fleet().Pods(), m.Status(t.Context()).Proxies, time.Second, repository))
	_, err = m.Fleet().Kill("vehicle-telemetry-0", syscall.SIGSTOP) // for FleetmanTargetDown
	require.NoError(t, err)

	pending, began := queries(t), time.Now()
	t.Logf("%d queries", len(pending))
	for deadline := time.Now().Add(3 * time.Minute); len(pending) > 0; time.Sleep(time.Second) {
		for expr, q := range pending {
			if q.failed = p.check(t, expr, q.labels); q.failed == "" {
				t.Logf("after %.0f s: %s: %.60s", time.Since(began).Seconds(), q.of, expr)
				delete(pending, expr)
			}
		}
		if time.Now().After(deadline) {
			for expr, q := range pending {
				t.Errorf("%s: %s: %s", q.of, q.failed, expr)
			}
			return
		}
	}
	p.rulesAreHealthy(t)
}

// visit requests a URL 30 times a second until the test ends.
func visit(t testing.TB, address string) {
	ctx, stop := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	sending.Go(func() {
		for tick := time.Tick(time.Second / 30); ctx.Err() == nil; <-tick {
			sending.Go(func() { _, _ = try(ctx, &client, http.MethodGet, address, "") }) // faults make some fail
		}
	})
	t.Cleanup(func() { stop(); sending.Wait(); client.CloseIdleConnections() })
}

// expected is a query of a board or a rule.
type expected struct {
	of     string   // the board and panel, or the rule
	labels []string // that each of its series has
	failed string   // the last result
}

var legendLabel = regexp.MustCompile(`{{(\w+)}}`)

// queries returns the queries of all panels and rules, read from the files of k8s/dashboards.
func queries(t testing.TB) map[string]*expected {
	t.Helper()
	found := map[string]*expected{}
	files, err := filepath.Glob(filepath.Join(root, "k8s", "dashboards", "*"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var content struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, LegendFormat string }
			}
			Groups []struct {
				Rules []struct{ Alert, Record, Expr string }
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &content), file)
		for _, panel := range content.Panels {
			for _, target := range panel.Targets {
				q := &expected{of: filepath.Base(file) + ": " + panel.Title}
				for _, label := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					q.labels = append(q.labels, label[1])
				}
				found[strings.ReplaceAll(target.Expr, "$__rate_interval", "10s")] = q
			}
		}
		for _, group := range content.Groups {
			for _, rule := range group.Rules {
				found[rule.Expr] = &expected{of: filepath.Base(file) + ": " + rule.Alert + rule.Record}
			}
		}
	}
	require.GreaterOrEqual(t, len(found), 50, "queries")
	// What Kiali asks for.
	found[`sum by (source_workload_namespace, source_workload, source_canonical_service, source_canonical_revision, destination_service_namespace, destination_service, destination_service_name, destination_workload, request_protocol, response_code, response_flags) (rate(istio_requests_total{reporter="source"}[15s])) > 0`] = &expected{
		of:     "Kiali's graph",
		labels: []string{"source_workload_namespace", "source_workload", "source_canonical_service", "destination_service_namespace", "destination_service", "destination_service_name", "destination_workload", "request_protocol", "response_code", "response_flags"},
	}
	return found
}

// prometheus is a running Prometheus.
type prometheus struct{ url string }

func startPrometheus(t testing.TB, program string, node netip.Addr, config map[string]any) *prometheus {
	t.Helper()
	dir := t.TempDir()
	text, err := yaml.Marshal(config)
	require.NoError(t, err)
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, text, 0o644))
	out, err := exec.Command("promtool", "check", "config", file).CombinedOutput()
	require.NoError(t, err, "promtool: %s", out)
	address := netip.AddrPortFrom(node, 9090).String()
	cmd := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p := &prometheus{"http://" + address}
	await(t, "Prometheus to be ready", func() bool {
		r, err := try(t.Context(), fresh, http.MethodGet, p.url+"/-/ready", "")
		return err == nil && r.status == http.StatusOK
	})
	return p
}

// get reads a document of the API.
func (p *prometheus) get(t testing.TB, path string, into any) (failed string) {
	t.Helper()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	require.NoError(t, json.Unmarshal([]byte(send(t, http.MethodGet, p.url+path, "").body), &answer))
	return answer.Error
}

// check returns what is wrong with the series of a query, or "".
func (p *prometheus) check(t testing.TB, expr string, labels []string) string {
	t.Helper()
	var data struct {
		Result model.Vector
	}
	if failed := p.get(t, "/api/v1/query?query="+url.QueryEscape(expr), &data); failed != "" {
		return failed
	}
	if len(data.Result) == 0 {
		return "no series"
	}
	numbers, least := 0, 0.
	if slices.ContainsFunc(provoked, func(counter string) bool { return strings.Contains(expr, counter) }) {
		least = 1e-6
	}
	for _, series := range data.Result {
		for _, label := range labels {
			if series.Metric[model.LabelName(label)] == "" {
				return fmt.Sprintf("no label %s in %v", label, series.Metric)
			}
		}
		if float64(series.Value) >= least { // false for NaN
			numbers++
		}
	}
	if numbers == 0 {
		return fmt.Sprintf("no number of at least %g", least)
	}
	return ""
}

// rulesAreHealthy checks that Prometheus itself evaluates all rules without an error.
func (p *prometheus) rulesAreHealthy(t testing.TB) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	await(t, "all rules to be evaluated", func() bool {
		require.Empty(t, p.get(t, "/api/v1/rules", &data))
		n := 0
		for _, group := range data.Groups {
			for _, rule := range group.Rules {
				require.NotEqual(t, "err", rule.Health, "%s: %s", rule.Name, rule.LastError)
				if rule.Health != "ok" {
					return false
				}
				n++
			}
		}
		return n >= 10
	})
}
