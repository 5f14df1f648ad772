package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
)

// The trace of a report, in four processes.
const reportTrace = `position-simulator INTERNAL report
  position-simulator CLIENT POST position-tracker
    position-tracker SERVER POST /vehicles
      position-tracker CLIENT GET vehicle-telemetry
        vehicle-telemetry SERVER GET /vehicles/:name
      position-tracker CLIENT POST vehicle-telemetry
        vehicle-telemetry SERVER POST /vehicles
      position-tracker CLIENT POST staff-service
        staff-service SERVER POST /driver/:vehicle/:speed
`

// The trace of a request of the page.
const pageTrace = `webapp SERVER GET /api/*path
  webapp CLIENT GET api-gateway
    api-gateway SERVER GET /vehicles/driver/:name
      api-gateway CLIENT GET staff-service
        staff-service SERVER GET /driver/:vehicle
`

// TestTraces checks that every report and every request of the page is one trace through all processes, and
// that their log records have its trace ID.
func TestTraces(t *testing.T) {
	t.Parallel()
	otlp := newCollector(t)
	t.Cleanup(func() {
		for id, drawing := range otlp.traces("position-simulator report") {
			if t.Failed() && drawing != reportTrace {
				t.Logf("trace %s:\n%s", id, drawing)
			}
		}
	})
	objects := manifests(t, filepath.Join(root, "k8s", "base"))
	fleet := startObjects(t, objects, environ(
		"OTEL_EXPORTER_OTLP_ENDPOINT="+otlp.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_METRICS_EXPORTER=none",
		"OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_BLRP_SCHEDULE_DELAY=20", // milliseconds
	), func(o *local.Options) {
		o.Set = []local.Setting{{Target: "position-simulator", Name: "REPORT_INTERVAL", Value: "50ms"}}
	})
	// end ends a service as a cluster does when it is scaled to 0; its telemetry is flushed when end returns
	end := func(service string) {
		t.Helper()
		_, err := fleet.Override(objects, nil, map[string]int{service: 0})
		require.NoError(t, err)
		change, err := fleet.Apply(t.Context(), objects)
		require.NoError(t, err)
		change.AwaitEnd(t.Context())
		awaitEvent(t, fleet, service+"-0", "its exit", func(event local.Event) bool {
			return event.Kind == local.Exited && assert.Equal(t, "exit status 0", event.Detail, service)
		})
	}
	t.Run("reports", func(t *testing.T) {
		reports := func() map[string]string { return otlp.traces("position-simulator report") }
		whole := func() (n int) {
			for _, drawing := range reports() {
				if drawing == reportTrace {
					n++
				}
			}
			return n
		}
		await(t, "the traces of 20 reports", func() bool { return whole() >= 20 || t.Failed() })
		end("position-simulator") // no new report
		await(t, "the rest of what was under way", func() bool { return whole() == len(reports()) || t.Failed() })
		for id, drawing := range reports() {
			assert.Equal(t, reportTrace, drawing, "trace %s", id)
		}
	})
	t.Run("a question of the page", func(t *testing.T) {
		r := send(t, http.MethodGet, nodePort(fleet.NodePorts(), "fleetman-webapp")+driver, "")
		require.Equal(t, http.StatusOK, r.status, r.body)
		require.Contains(t, r.body, `"name":"Pam Parry"`)
		var traces map[string]string
		await(t, "its trace", func() bool {
			traces = otlp.traces("webapp GET /api/*path")
			for _, drawing := range traces {
				return drawing == pageTrace
			}
			return false
		})
		assert.Len(t, traces, 1, "one request")
	})
	t.Run("log lines", func(t *testing.T) {
		end("staff-service")
		pods := fleet.Pods()
		gateway := pods[slices.IndexFunc(pods, func(p local.Pod) bool { return p.Deployment == "api-gateway" })]
		r := send(t, http.MethodGet, fmt.Sprintf("http://%s:%d/vehicles/driver/City%%20Truck", gateway.Address, gateway.Port), "")
		require.Equal(t, http.StatusInternalServerError, r.status, r.body)
		require.Contains(t, r.body, `"message":"connection refused reading staff-service GET /driver/City%20Truck"`)
		end("api-gateway")
		lines := otlp.logged("api-gateway", "request failed")
		require.Len(t, lines, 1)
		spans := slices.DeleteFunc(otlp.of("api-gateway")[lines[0].trace], func(s span) bool { return s.kind != "SERVER" })
		if len(spans) != 1 || spans[0].id != lines[0].span || spans[0].parent != "" {
			t.Errorf("the log record %v is not of its request %v", lines[0], spans)
		}
	})
}
