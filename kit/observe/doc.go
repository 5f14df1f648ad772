// Package observe sets up OpenTelemetry for a service: logs with trace ids, metrics for
// Prometheus, and export of traces, metrics and logs by the standard OTEL_* variables. A signal
// for which no variable is set has no exporter and costs nothing.
package observe
