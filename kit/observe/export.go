package observe

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// exporters are what the standard variables can choose for one signal. contrib's autoexport does
// the same with a second Prometheus in it, which makes every service a megabyte larger.
type exporters[T any] struct {
	signal              string // TRACES, METRICS or LOGS
	http, grpc, console func(context.Context) (T, error)
}

// choose makes the exporter that the variables name. An error names the variable.
func (e exporters[T]) choose(ctx context.Context, getenv func(string) string) (exporter T, err error) {
	name := "OTEL_" + e.signal + "_EXPORTER"
	switch value := getenv(name); value {
	case "", "otlp":
	case "console":
		exporter, err = e.console(ctx)
		return exporter, named(err, name, value)
	default:
		return exporter, fmt.Errorf("%s=%q: expected otlp, console or none", name, value)
	}
	name = "OTEL_EXPORTER_OTLP_" + e.signal + "_PROTOCOL"
	if getenv(name) == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	value := getenv(name)
	switch value {
	case "", "http/protobuf":
		exporter, err = e.http(ctx)
	case "grpc":
		exporter, err = e.grpc(ctx)
	default:
		return exporter, fmt.Errorf("%s=%q: expected http/protobuf or grpc", name, value)
	}
	return exporter, named(err, name, value)
}

func named(err error, name, value string) error {
	if err != nil {
		err = fmt.Errorf("%s=%q: %w", name, value, err)
	}
	return err
}

var (
	spans = exporters[trace.SpanExporter]{
		"TRACES",
		func(ctx context.Context) (trace.SpanExporter, error) { return otlptracehttp.New(ctx) },
		func(ctx context.Context) (trace.SpanExporter, error) { return otlptracegrpc.New(ctx) },
		func(context.Context) (trace.SpanExporter, error) { return stdouttrace.New() },
	}
	measurements = exporters[sdkmetric.Exporter]{
		"METRICS",
		func(ctx context.Context) (sdkmetric.Exporter, error) { return otlpmetrichttp.New(ctx) },
		func(ctx context.Context) (sdkmetric.Exporter, error) { return otlpmetricgrpc.New(ctx) },
		func(context.Context) (sdkmetric.Exporter, error) { return stdoutmetric.New() },
	}
	lines = exporters[log.Exporter]{
		"LOGS",
		func(ctx context.Context) (log.Exporter, error) { return otlploghttp.New(ctx) },
		func(ctx context.Context) (log.Exporter, error) { return otlploggrpc.New(ctx) },
		func(context.Context) (log.Exporter, error) { return stdoutlog.New() },
	}
)
