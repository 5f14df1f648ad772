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
		if travels(name) || isHopByHop(name) {
			delete(outbound, name)
		}
	}
	carried, _ := ctx.Value(carriedKey{}).(http.Header)
	for name, values := range carried {
		outbound[name] = values
	}
}

// RemoveInternal removes the headers of a request that only the fleet's own services and proxies may
// set, and keeps all others. The service at the entrance calls it for every request before anything
// reads a header, since there anyone may be the caller:
//
//	http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		observe.RemoveInternal(r.Header)
//		router.ServeHTTP(w, r)
//	})
//
// Removed are X-Envoy-*, which set time-outs, retries and routes, X-Fault, X-Fallback and
// X-Error-Origin, which describe an answer, and X-Forwarded-Client-Cert, which is an identity.
//
// Kept are the X-Envoy-* headers in which an ingress proxy only describes a request, the other
// X-Forwarded-* (an ingress proxy sets them, and nothing in the fleet decides by them), trace
// context, request ids and every header that a release may be routed by.
func RemoveInternal(inbound http.Header) {
	for name := range inbound {
		if isInternal(name) {
			delete(inbound, name)
		}
	}
}

// isInternal reports whether a canonical header name is one that RemoveInternal removes.
func isInternal(name string) bool {
	switch name {
	case "X-Envoy-External-Address", "X-Envoy-Decorator-Operation", "X-Envoy-Original-Path", "X-Envoy-Original-Host",
		"X-Envoy-Peer-Metadata", "X-Envoy-Peer-Metadata-Id":
		return false
	case "X-Forwarded-Client-Cert":
		return true
	}
	return strings.HasPrefix(name, "X-Envoy-") || isHopByHop(name)
}

// travels reports whether a canonical header name is one that goes out again.
func travels(name string) bool {
	switch name {
	case "Traceparent", "Tracestate", "Baggage", "B3":
		return true
	}
	return strings.HasPrefix(name, "X-") && !isHopByHop(name)
}

// isHopByHop reports whether an x- header is about one hop only: time-outs and attempts (Envoy's),
// and the description of one answer.
func isHopByHop(name string) bool {
	switch name {
	case "X-Fault", "X-Fallback", "X-Error-Origin",
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
