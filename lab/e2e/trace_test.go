package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/skip"
)

const webappPage = root + "/services/webapp/ui/dist/index.html"

// programs builds services as their images do, and returns the directory of the programs.
func programs(t testing.TB, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"build", "-tags", "nomsgpack", "-o", dir + string(filepath.Separator)}
	for _, name := range names {
		args = append(args, "./services/"+name)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "go %q: %s", args, out)
	return dir
}

// process is a running service.
type process struct {
	url string // empty for a service without a port
	end func() // terminates it as a cluster does; its telemetry is flushed when end returns
}

// run starts a program on a free port and returns when it listens.
func run(t testing.TB, program string, environment ...string) process {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DRAIN_DELAY=0s"}, environment...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	listening := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var line struct{ Msg, Addr string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				listening <- line.Addr
			}
			_, _ = t.Output().Write(append(lines.Bytes(), '\n'))
		}
		close(listening)
		ended <- cmd.Wait()
	}()
	over := false
	p := process{end: func() {
		if over {
			return
		}
		over = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			assert.NoError(t, err, filepath.Base(program))
		case <-time.After(patience):
			t.Errorf("%s does not end", filepath.Base(program))
			_ = cmd.Process.Kill()
			<-ended
		}
	}}
	t.Cleanup(p.end)
	select {
	case addr, ok := <-listening:
		require.True(t, ok, "%s ended before it listened", filepath.Base(program))
		if addr != "" {
			p.url = "http://" + addr
		}
	case <-time.After(patience):
		t.Fatalf("%s does not listen", filepath.Base(program))
	}
	return p
}

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
	names := []string{"position-simulator", "position-tracker", "vehicle-telemetry", "staff-service", "api-gateway"}
	_, err := os.Stat(webappPage)
	withPage := err == nil
	if withPage {
		names = append(names, "webapp")
	}
	dir := programs(t, names...)
	otlp := newCollector(t)
	t.Cleanup(func() {
		for id, drawing := range otlp.traces("position-simulator report") {
			if t.Failed() && drawing != reportTrace {
				t.Logf("trace %s:\n%s", id, drawing)
			}
		}
	})
	start := func(name string, environment ...string) process {
		return run(t, filepath.Join(dir, name), append([]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + otlp.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_METRICS_EXPORTER=none",
			"OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_BLRP_SCHEDULE_DELAY=20", // milliseconds
		}, environment...)...)
	}
	telemetry, staff := start("vehicle-telemetry"), start("staff-service")
	tracker := start("position-tracker", "VEHICLE_TELEMETRY_URL="+telemetry.url, "STAFF_SERVICE_URL="+staff.url)
	gateway := start("api-gateway", "POSITION_TRACKER_URL="+tracker.url, "STAFF_SERVICE_URL="+staff.url)

	t.Run("reports", func(t *testing.T) {
		simulator := start("position-simulator", "POSITION_TRACKER_URL="+tracker.url, "FLEET_SIZE=3", "REPORT_INTERVAL=50ms")
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
		simulator.end() // no new report
		await(t, "the rest of what was under way", func() bool { return whole() == len(reports()) || t.Failed() })
		for id, drawing := range reports() {
			assert.Equal(t, reportTrace, drawing, "trace %s", id)
		}
	})

	t.Run("a question of the page", func(t *testing.T) {
		if !withPage {
			skip.Without(t, "the page is not built: make ui")
		}
		webapp := start("webapp", "API_GATEWAY_URL="+gateway.url)
		r := send(t, http.MethodGet, webapp.url+driver, "")
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
		staff.end()
		r := send(t, http.MethodGet, gateway.url+"/vehicles/driver/City%20Truck", "")
		require.Equal(t, http.StatusInternalServerError, r.status, r.body)
		require.Contains(t, r.body, `"message":"connection refused reading staff-service GET /driver/City%20Truck"`)
		gateway.end()
		lines := otlp.logged("api-gateway", "request failed")
		require.Len(t, lines, 1)
		spans := slices.DeleteFunc(otlp.of("api-gateway")[lines[0].trace], func(s span) bool { return s.kind != "SERVER" })
		if len(spans) != 1 || spans[0].id != lines[0].span || spans[0].parent != "" {
			t.Errorf("the log record %v is not of its request %v", lines[0], spans)
		}
	})
}
