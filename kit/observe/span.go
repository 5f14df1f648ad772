package observe

import (
	"context"
	"io"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Spans are made here, by OpenTelemetry's HTTP conventions (semconv 1.26), and not by contrib's
// otelhttp, which makes every program 1.6 MB larger.

// Handler makes next's requests server spans, which Middleware completes; with tracing off it is
// next. Without propagate each is a trace of its own: it is no part of its caller's, and the calls
// made for it do not tell of it.
func (o *Observer) Handler(next http.Handler, propagate bool) http.Handler {
	if !o.tracing {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if state := r.Header["Tracestate"]; len(state) > 1 { // the propagator reads only the first
			r.Header["Tracestate"] = []string{strings.Join(state, ",")}
		}
		method, ctx := knownMethod(r.Method), r.Context()
		if propagate {
			ctx = o.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
		} else {
			ctx = context.WithValue(ctx, aloneKey{}, true)
		}
		ctx, span := o.Tracer().Start(ctx, method, oteltrace.WithSpanKind(oteltrace.SpanKindServer), oteltrace.WithAttributes(
			attribute.String("http.request.method", method), attribute.String("url.scheme", "http"),
			attribute.String("url.path", r.URL.Path), attribute.String("server.address", r.Host),
			attribute.String("network.peer.address", r.RemoteAddr), attribute.String("user_agent.original", r.UserAgent())))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// aloneKey marks the context of a request whose trace is not told to others.
type aloneKey struct{}

// complete adds to a server span what is known when the request has its answer.
func complete(span oteltrace.Span, s series) {
	span.SetAttributes(attribute.Int("http.response.status_code", s.status))
	toldOfFaults(span, s.fault)
	if s.target != "" { // without a route the name stays the method
		span.SetName(s.method + " " + s.target)
		span.SetAttributes(attribute.String("http.route", s.target))
	}
	switch {
	case s.failure != "":
		span.SetStatus(codes.Error, s.failure)
	case s.status >= http.StatusInternalServerError:
		span.SetStatus(codes.Error, "")
	}
}

// toldOfFaults adds to a span which faults its answer says were injected.
func toldOfFaults(span oteltrace.Span, faults string) {
	if faults != "" {
		span.SetAttributes(attribute.String("fleetman.fault", faults))
	}
}

// traced makes every attempt a client span, from the request to the end of the answer's body.
type traced struct {
	o        *Observer
	upstream string
	next     http.RoundTripper
}

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	method := knownMethod(r.Method)
	ctx, span := t.o.Tracer().Start(r.Context(), method+" "+t.upstream, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("url.full", r.URL.String()), attribute.String("server.address", t.upstream)))
	r = r.Clone(ctx) // the caller's request and headers stay as they are
	if ctx.Value(aloneKey{}) == nil {
		t.o.propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, Reason(err))
		span.End()
		return resp, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	toldOfFaults(span, faults(resp.Header))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body is the connection, and must stay one
		span.End()
		return resp, nil
	}
	resp.Body = spanBody{resp.Body, span}
	return resp, nil
}

// spanBody ends its span with the body; a second End does nothing.
type spanBody struct {
	io.ReadCloser
	span oteltrace.Span
}

func (b spanBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if err != io.EOF {
			b.span.SetStatus(codes.Error, Reason(err))
		}
		b.span.End()
	}
	return n, err
}

func (b spanBody) Close() error {
	b.span.End()
	return b.ReadCloser.Close()
}
