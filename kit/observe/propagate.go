package observe

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// carriedKey is the context key of the inbound headers to propagate.
type carriedKey struct{}

// Carry returns a context with the inbound headers that are propagated to every call made for the
// request: all x- headers except hop-by-hop ones, W3C trace context and baggage, and B3. Mesh tracing and
// releases routed by a header depend on them.
func Carry(ctx context.Context, inbound http.Header) context.Context {
	var carried http.Header
	for name, values := range inbound {
		if isPropagated(name) {
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

// Propagate sets the headers that Carry stored in ctx on an outbound request. It removes all other
// headers that Carry would propagate, and hop-by-hop headers.
func Propagate(ctx context.Context, outbound http.Header) {
	for name := range outbound {
		if isPropagated(name) || isHopByHop(name) {
			delete(outbound, name)
		}
	}
	carried, _ := ctx.Value(carriedKey{}).(http.Header)
	maps.Copy(outbound, carried)
}

// RemoveInternal removes the headers that only the fleet's own services and proxies may set. The service
// that is exposed to outside callers calls it for every request, before anything reads a header:
//
//	http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		observe.RemoveInternal(r.Header)
//		router.ServeHTTP(w, r)
//	})
//
// It removes X-Envoy-*, which sets timeouts, retries and routes; X-Fault, X-Fallback and
// X-Error-Origin, which describe an answer; and X-Forwarded-Client-Cert, which is an identity.
//
// It keeps X-Envoy-* headers with which an ingress proxy only describes a request, the other
// X-Forwarded-* headers (set by an ingress proxy, never used in the fleet), trace context, request ids
// and all headers by which a release may be routed.
func RemoveInternal(inbound http.Header) {
	for name := range inbound {
		if isInternal(name) {
			delete(inbound, name)
		}
	}
}

// isInternal reports whether RemoveInternal removes the header with this canonical name.
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

// isPropagated reports whether Carry propagates the header with this canonical name.
func isPropagated(name string) bool {
	switch name {
	case "Traceparent", "Tracestate", "Baggage", "B3":
		return true
	}
	return strings.HasPrefix(name, "X-") && !isHopByHop(name)
}

// isHopByHop reports whether an x- header is valid for one hop only: Envoy's timeouts and attempts, and
// headers that describe one answer.
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

// spanContext returns the trace of ctx: that of the current span or, with tracing off, that of the
// caller's Traceparent header, so that log lines have the caller's trace id.
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
