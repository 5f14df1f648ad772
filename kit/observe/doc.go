// Package observe sets up OpenTelemetry for a service: logs with trace ids, metrics for Prometheus, and
// exporters of traces, metrics and logs configured by the standard OTEL_* variables. A signal without a
// variable has no exporter and costs nothing.
package observe
