package observe_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server/servertest"
)

func init() {
	gin.SetMode(gin.ReleaseMode) // gin's debug mode prints every route
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			_ = os.Unsetenv(name) // set by the user who runs the tests
		}
	}
}

// setenv sets variables of the process, which the exporters read, until the end of the test.
func setenv(t *testing.T, values map[string]string) {
	t.Helper()
	for name, value := range values {
		t.Setenv(name, value)
	}
}

// start starts telemetry with the environment of the process. lines returns its log.
func start(t *testing.T) (o *observe.Observer, lines func() []map[string]any) {
	t.Helper()
	log := new(servertest.Buffer)
	o = servertest.Must(observe.Start(t.Context(), "test", os.Getenv, log))
	return o, func() []map[string]any { return servertest.Lines(t, log.String()) }
}

// tracing switches on the export of traces, to a collector that counts its requests.
func tracing(t *testing.T, values map[string]string) (exports func() int64) {
	t.Helper()
	var n atomic.Int64
	collector := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n.Add(1)
	})
	setenv(t, map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"})
	setenv(t, values)
	return n.Load
}

func TestOffByDefault(t *testing.T) {
	const endpoint = "http://127.0.0.1:1" // nothing listens there
	for name, values := range map[string]map[string]string{
		"nothing set":    nil,
		"none":           {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
		"disabled":       {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
		"disabled, TRUE": {"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, values)
			before := runtime.NumGoroutine()
			o, lines := start(t)
			if n := runtime.NumGoroutine(); n > before {
				t.Errorf("%d goroutines started", n-before)
			}
			if h := http.NewServeMux(); o.Handler(h, true) != http.Handler(h) {
				t.Error("the service's handler is wrapped")
			}
			ctx, span := o.Tracer().Start(t.Context(), "x")
			if span.IsRecording() || span.SpanContext().IsValid() {
				t.Error("a span is recorded")
			}
			span.End()
			o.Log.InfoContext(ctx, "hello")
			if err := o.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			got := lines()
			if len(got) != 1 || got[0]["msg"] != "hello" || got[0]["service"] != "test" || got[0]["level"] != "INFO" || got[0]["trace_id"] != nil {
				t.Errorf("logged %v", got)
			}
		})
	}
}

func TestTracesAreExported(t *testing.T) {
	for name, values := range map[string]map[string]string{
		"by exporter": nil,
		"by endpoint": {"OTEL_TRACES_EXPORTER": ""},
	} {
		t.Run(name, func(t *testing.T) {
			exports := tracing(t, values)
			o, lines := start(t)
			ctx, span := o.Tracer().Start(t.Context(), "x")
			o.Log.With("a", 1).InfoContext(ctx, "within")
			span.End()
			if err := o.Shutdown(ctx); err != nil || exports() != 1 {
				t.Errorf("%d exports, %v", exports(), err)
			}
			sc := span.SpanContext()
			if line := lines()[0]; line["trace_id"] != sc.TraceID().String() || line["span_id"] != sc.SpanID().String() {
				t.Errorf("logged %v within %v", line, sc)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		values map[string]string
		want   []string
	}{
		"trace exporter":  {map[string]string{"OTEL_TRACES_EXPORTER": "nonsense"}, []string{"OTEL_TRACES_EXPORTER", "nonsense"}},
		"metric exporter": {map[string]string{"OTEL_METRICS_EXPORTER": "nonsense"}, []string{"OTEL_METRICS_EXPORTER", "nonsense"}},
		"log exporter":    {map[string]string{"OTEL_LOGS_EXPORTER": "nonsense"}, []string{"OTEL_LOGS_EXPORTER", "nonsense"}},
		"protocol":        {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon"}, []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon"}},
		"resource":        {map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "no-value"}, []string{"OTEL_RESOURCE_ATTRIBUTES", "no-value"}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tc.values)
			o, err := observe.Start(t.Context(), "test", os.Getenv, io.Discard)
			if o != nil || err == nil {
				t.Fatalf("got %v, %v", o, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to name %s", err, want)
				}
			}
		})
	}
}

// If the collector cannot be reached at the end, Flush logs it.
func TestFlushWithoutACollector(t *testing.T) {
	setenv(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "100"})
	var log bytes.Buffer
	o := servertest.Must(observe.Start(t.Context(), "test", os.Getenv, &log))
	if o.Flush(t.Context()); !strings.Contains(log.String(), `"level":"WARN","msg":"telemetry not flushed"`) {
		t.Errorf("logged %s", log.String())
	}
}

func TestCheck(t *testing.T) {
	r := env.New(envtest.Map(map[string]string{
		"OTEL_TRACES_EXPORTER": "foo", "OTEL_METRICS_EXPORTER": "bar", "OTEL_LOGS_EXPORTER": "prometheus",
		"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/json",
		"OTEL_EXPORTER_OTLP_HEADERS": "authorization: Bearer t0ken", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=t0ken%zz",
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a b=t0ken", "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "a=t0ken,",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s", "OTEL_EXPORTER_OTLP_COMPRESSION": "zip",
		"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_PROPAGATORS": "tracecontext,pigeon",
	}))
	observe.Check(r)
	const headers = "_HEADERS: (set): must be name=value pairs separated by commas, with values percent-encoded\n"
	const want = `configuration: OTEL_TRACES_EXPORTER: "foo": must be one of otlp, console, none
OTEL_EXPORTER_OTLP_TRACES` + headers + `OTEL_METRICS_EXPORTER: "bar": must be one of otlp, console, prometheus, none
OTEL_EXPORTER_OTLP_METRICS` + headers + `OTEL_LOGS_EXPORTER: "prometheus": must be one of otlp, console, none
OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: "http/json": must be one of http/protobuf, grpc
OTEL_EXPORTER_OTLP_LOGS` + headers + `OTEL_EXPORTER_OTLP_PROTOCOL: "smoke": must be one of http/protobuf, grpc
OTEL_EXPORTER_OTLP_COMPRESSION: "zip": must be one of gzip, none
OTEL_EXPORTER_OTLP_ENDPOINT: (set): must be an address such as http://host:4318
OTEL_EXPORTER_OTLP_TIMEOUT: "10s": must be a whole number of milliseconds from 1
OTEL_EXPORTER_OTLP` + headers + `OTEL_TRACES_SAMPLER: "sometimes": must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio
OTEL_PROPAGATORS: "tracecontext,pigeon": must be names separated by commas, of tracecontext, baggage, b3, b3multi, jaeger, xray, ottrace, none`
	if err := r.Err(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	ratio := env.New(envtest.Map(map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.5"}))
	if observe.Check(ratio); ratio.Err() == nil || ratio.Err().Error() != `configuration: OTEL_TRACES_SAMPLER_ARG: "1.5": must be a number from 0 to 1` {
		t.Error(ratio.Err())
	}
	good := env.New(envtest.Map(map[string]string{
		"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
		"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t0ken, x-team=a=b", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317/base",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "5000", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25", "OTEL_PROPAGATORS": "b3, baggage",
	}))
	if observe.Check(good); good.Err() != nil {
		t.Error(good.Err())
	}
}
