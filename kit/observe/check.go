package observe

import (
	"slices"
	"strings"

	"fleetman.example/kit/env"
)

// What the SDK's exporters take, by the variables' names
// (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
var (
	exporters = map[string][]string{
		"OTEL_TRACES_EXPORTER":  {"otlp", "console", "none"},
		"OTEL_METRICS_EXPORTER": {"otlp", "console", "prometheus", "none"},
		"OTEL_LOGS_EXPORTER":    {"otlp", "console", "none"},
	}
	protocols = []string{"http/protobuf", "grpc"}
)

// Check holds the words among the OTEL_* variables to those that are known, so that Start's errors
// are not the first to tell of them, one by one. They are the SDK's own, and in no table.
func Check(r *env.Reader) {
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		name := "OTEL_" + signal + "_EXPORTER"
		oneOf(r, name, exporters[name])
		oneOf(r, "OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL", protocols)
	}
	oneOf(r, "OTEL_EXPORTER_OTLP_PROTOCOL", protocols)
}

func oneOf(r *env.Reader, name string, known []string) {
	if value := r.Getenv(name); value != "" && !slices.Contains(known, value) {
		r.Fail(name, "expected one of %s", strings.Join(known, ", "))
	}
}
