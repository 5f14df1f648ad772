package observe

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// carriedKey holds the inbound headers that go out again on every call made for a request.
type carriedKey struct{}

// Carry returns a context with the headers of an inbound request that go out again on every call
// made for it: all x- headers, W3C trace context and baggage, and B3. Mesh tracing and releases
// routed by a header depend on it.
func Carry(ctx context.Context, inbound http.Header) context.Context {
	var carried http.Header
	for name, values := range inbound {
		if travels(name) {
			if carried == nil {
				carried = make(http.Header, 4)
			}
			carried[name] = values
		}
	}
	if carried == nil {
		return ctx
	}
	return context.WithValue(ctx, carriedKey{}, carried)
}

// Propagate makes outbound the headers of a call made for the request of ctx: those that Carry
// kept, and no other of their kind.
func Propagate(ctx context.Context, outbound http.Header) {
	for name := range outbound {
		if travels(name) || hopOwn(name) {
			delete(outbound, name)
		}
	}
	carried, _ := ctx.Value(carriedKey{}).(http.Header)
	for name, values := range carried {
		outbound[name] = values
	}
}

// travels tells whether a canonical header name is one that goes out again.
func travels(name string) bool {
	switch name {
	case "Traceparent", "Tracestate", "Baggage", "B3":
		return true
	}
	return strings.HasPrefix(name, "X-") && !hopOwn(name)
}

// hopOwn names the x- headers that speak of one hop only: time-outs and attempts (Envoy's), and
// what was done to one answer.
func hopOwn(name string) bool {
	switch name {
	case "X-Fault", "X-Fallback",
		"X-Envoy-Attempt-Count", "X-Envoy-Is-Timeout-Retry", "X-Envoy-Expected-Rq-Timeout-Ms",
		"X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms",
		"X-Envoy-Upstream-Stream-Duration-Ms", "X-Envoy-Upstream-Rq-Timeout-Alt-Response":
		return true
	}
	return false
}

// spanContext is the trace that ctx belongs to: our own span's, or, with tracing off, the one
// that the caller named, so that log lines still join its trace.
func spanContext(ctx context.Context) trace.SpanContext {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		return sc
	}
	carried, _ := ctx.Value(carriedKey{}).(http.Header)
	if carried.Get("Traceparent") == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(carried)))
}
