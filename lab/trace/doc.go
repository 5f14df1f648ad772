// Package trace receives the spans of a fleet's services and proxies in OTLP over HTTP, keeps the last
// traces in bounded memory, and forwards the spans to another collector.
package trace
