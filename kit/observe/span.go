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

// Spans follow OpenTelemetry's HTTP conventions (semconv 1.26). They are made here because contrib's
// otelhttp makes every program 1.6 MB larger.

// Handler returns next with a server span for each request, which Middleware completes. With tracing off
// it returns next. If propagate is false, each request starts a trace of its own, and calls made for it
// send no trace context.
func (o *Observer) Handler(next http.Handler, propagate bool) http.Handler {
	if !o.tracing {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if state := r.Header["Tracestate"]; len(state) > 1 { // the propagator reads the first header only
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

// aloneKey marks the context of a request whose trace context is not sent on.
type aloneKey struct{}

// complete adds the outcome of the request to its server span.
func complete(span oteltrace.Span, s series) {
	span.SetAttributes(attribute.Int("http.response.status_code", s.status))
	setFaults(span, s.fault)
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

// setFaults adds injected faults, if any, to a span.
func setFaults(span oteltrace.Span, faults string) {
	if faults != "" {
		span.SetAttributes(attribute.String("fleetman.fault", faults))
	}
}

// traced makes a client span for every attempt, which ends with the answer's body.
type traced struct {
	o        *Observer
	upstream string
	next     http.RoundTripper
}

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	method := knownMethod(r.Method)
	ctx, span := t.o.Tracer().Start(r.Context(), method+" "+t.upstream, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("url.full", r.URL.String()), attribute.String("server.address", t.upstream)))
	r = r.Clone(ctx) // a RoundTripper must not change the caller's request
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
	setFaults(span, faults(resp.Header))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body is the connection, an io.ReadWriteCloser
		span.End()
		return resp, nil
	}
	resp.Body = spanBody{resp.Body, span}
	return resp, nil
}

// spanBody ends its span when the body is read or closed. A second End has no effect.
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
