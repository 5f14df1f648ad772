package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names the instrumentation in every signal.
const scope = "fleetman.example/kit/observe"

// Observer is one service's logs, metrics and traces.
type Observer struct {
	Log *slog.Logger

	tracing    bool
	tracers    oteltrace.TracerProvider
	propagator propagation.TextMapPropagator
	meters     metric.MeterProvider
	registry   *prometheus.Registry
	requests   instruments
	shutdown   []func(context.Context) error
}

// Start sets up telemetry for service. It logs to logTo as JSON. getenv decides which exporters are on;
// each reads its settings from the OTEL_* variables of the process. Errors name the variables.
func Start(ctx context.Context, service string, getenv func(string) string, logTo io.Writer) (*Observer, error) {
	o := &Observer{tracers: noop.NewTracerProvider(), registry: prometheus.NewRegistry()}
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	local := slog.NewJSONHandler(logTo, nil)
	o.Log = slog.New(withTrace{local}).With("service", service)
	// metrics come after traces: only with tracing do they have exemplars
	for _, start := range []func(context.Context, *resource.Resource, func(string) string) error{o.startTraces, o.startMetrics, o.startLogs} {
		if err := start(ctx, res, getenv); err != nil {
			return nil, errors.Join(err, o.Shutdown(ctx))
		}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { // of the process: the last Observer's
		slog.New(local).Warn("telemetry", "service", service, "error", err)
	}))
	return o, nil
}

// exports reports whether a signal (TRACES, METRICS, LOGS) has an exporter beside /metrics, which is always there.
func exports(getenv func(string) string, signal string) bool {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if exporter := getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none" && (exporter != "prometheus" || signal != "METRICS")
	}
	return getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// withVariables adds to an exporter's error the variables that it depends on; the SDK does not name them.
func withVariables(getenv func(string) string, signal string, err error) error {
	exporter := "OTEL_" + signal + "_EXPORTER"
	return fmt.Errorf("%s=%q, OTEL_EXPORTER_OTLP_PROTOCOL=%q: %w", exporter, getenv(exporter), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), err)
}

func (o *Observer) startTraces(ctx context.Context, res *resource.Resource, getenv func(string) string) error {
	if !exports(getenv, "TRACES") {
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return withVariables(getenv, "TRACES", err)
	}
	if pod := getenv("HOSTNAME"); pod != "" { // a pod's name: metrics do not have it, because it would be a label of each
		res, err = resource.Merge(resource.NewSchemaless(attribute.String("service.instance.id", pod)), res)
		if err != nil {
			return fmt.Errorf("HOSTNAME: %w", err)
		}
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(res))
	o.tracing, o.tracers, o.propagator = true, provider, autoprop.NewTextMapPropagator()
	o.shutdown = append(o.shutdown, provider.Shutdown)
	return nil
}

func (o *Observer) startMetrics(ctx context.Context, res *resource.Resource, getenv func(string) string) error {
	o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	scrape, err := otelprom.New(otelprom.WithRegisterer(o.registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("prometheus: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithReader(scrape), sdkmetric.WithResource(res)}
	if !o.tracing { // an exemplar names a trace
		options = append(options, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}
	if exports(getenv, "METRICS") {
		push, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return withVariables(getenv, "METRICS", err)
		}
		options = append(options, sdkmetric.WithReader(push))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	o.meters = provider
	o.shutdown = append(o.shutdown, provider.Shutdown)
	o.requests = newInstruments(o)
	return nil
}

func (o *Observer) startLogs(ctx context.Context, res *resource.Resource, getenv func(string) string) error {
	if !exports(getenv, "LOGS") {
		return nil
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return withVariables(getenv, "LOGS", err)
	}
	provider := log.NewLoggerProvider(log.WithProcessor(log.NewBatchProcessor(exporter)), log.WithResource(res))
	o.Log = slog.New(slog.NewMultiHandler(o.Log.Handler(), otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))))
	o.shutdown = append(o.shutdown, provider.Shutdown)
	return nil
}

// Meter returns the meter for a service's own instruments, which /metrics shows too.
func (o *Observer) Meter() metric.Meter { return o.meters.Meter(scope) }

// Counter returns a counter for a service's own measurements. It panics on an invalid name.
func (o *Observer) Counter(name, description string, options ...metric.Int64CounterOption) metric.Int64Counter {
	return must(o.Meter().Int64Counter(name, append(options, metric.WithDescription(description))...))
}

// Seconds returns a histogram of times, in seconds. It panics on an invalid name.
func (o *Observer) Seconds(name, description string) metric.Float64Histogram {
	return must(o.Meter().Float64Histogram(name, metric.WithUnit("s"), bounds, metric.WithDescription(description)))
}

// Bounds in seconds: from an answer over loopback to the longest timeout of a call.
var bounds = metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)

// must returns an instrument, whose name is a constant of the program.
func must[I any](instrument I, err error) I {
	if err != nil {
		panic(err)
	}
	return instrument
}

// Tracer returns the tracer for a service's own spans. With tracing off it records nothing.
func (o *Observer) Tracer() oteltrace.Tracer { return o.tracers.Tracer(scope) }

// Metrics returns the handler of /metrics, in Prometheus text format.
func (o *Observer) Metrics() http.Handler {
	return promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{})
}

// Shutdown exports what is pending and stops the exporters. It returns an error if ctx ends before that.
func (o *Observer) Shutdown(ctx context.Context) error {
	var errs []error
	for _, stop := range o.shutdown {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

// flushTimeout is the longest wait for a collector at the end of a program.
const flushTimeout = 5 * time.Second

// Flush calls Shutdown at the end of a program whose ctx has ended. It logs an error instead of returning
// it: an unreachable collector is not a failure of the program.
func (o *Observer) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := o.Shutdown(ctx); err != nil {
		o.Log.WarnContext(ctx, "telemetry not flushed", "error", err)
	}
}

// withTrace adds the ids of trace and span to log lines.
type withTrace struct{ slog.Handler }

func (h withTrace) Handle(ctx context.Context, record slog.Record) error {
	if sc := spanContext(ctx); sc.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h withTrace) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withTrace{h.Handler.WithAttrs(attrs)}
}

func (h withTrace) WithGroup(name string) slog.Handler { return withTrace{h.Handler.WithGroup(name)} }
