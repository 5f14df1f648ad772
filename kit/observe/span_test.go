package observe

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"fleetman.example/kit/env/envtest"
)

// recording returns an Observer with a recorder of its ended spans.
func recording(t *testing.T) (*Observer, *tracetest.SpanRecorder) {
	t.Helper()
	o, err := Start(t.Context(), "test", envtest.Map(nil), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewSpanRecorder()
	o.tracing, o.tracers, o.propagator = true, trace.NewTracerProvider(trace.WithSpanProcessor(spans)), propagation.TraceContext{}
	return o, spans
}

func attributes(s trace.ReadOnlySpan) map[attribute.Key]string {
	m := make(map[attribute.Key]string)
	for _, kv := range s.Attributes() {
		m[kv.Key] = kv.Value.String()
	}
	return m
}

func TestServerSpan(t *testing.T) {
	for _, tc := range []struct {
		method, target, name string
		want                 map[attribute.Key]string
		status               codes.Code
	}{
		{"GET", "/driver/City%20Truck?x=1", "GET /driver/:name", map[attribute.Key]string{
			"http.request.method": "GET", "http.route": "/driver/:name", "http.response.status_code": "200",
			"url.path": "/driver/City Truck", "url.scheme": "http", "server.address": "example.com", "user_agent.original": "knocking",
		}, codes.Unset},
		{"GET", "/broken", "GET /broken", map[attribute.Key]string{"http.response.status_code": "500"}, codes.Error},
		{"GET", "/nosuch", "GET", map[attribute.Key]string{"http.response.status_code": "404", "http.route": ""}, codes.Unset},
		{"BREW", "/driver/x", "_OTHER", map[attribute.Key]string{"http.request.method": "_OTHER"}, codes.Unset},
	} {
		o, spans := recording(t)
		r := gin.New()
		r.Use(o.Middleware(true))
		r.GET("/driver/:name", func(c *gin.Context) { c.Status(http.StatusOK) })
		r.GET("/broken", func(c *gin.Context) { c.Status(http.StatusInternalServerError) })
		req := httptest.NewRequest(tc.method, tc.target, nil)
		req.Header.Set("User-Agent", "knocking")
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		o.Handler(r, true).ServeHTTP(httptest.NewRecorder(), req)
		if len(spans.Ended()) != 1 {
			t.Fatalf("%s %s: got %d spans, want 1", tc.method, tc.target, len(spans.Ended()))
		}
		got := spans.Ended()[0]
		if got.Name() != tc.name || got.SpanKind() != oteltrace.SpanKindServer || got.Status().Code != tc.status ||
			got.Parent().SpanID().String() != "b7ad6b7169203331" || got.Parent().TraceID() != got.SpanContext().TraceID() {
			t.Errorf("%s %s: got %q, %v, status %v, parent %v", tc.method, tc.target, got.Name(), got.SpanKind(), got.Status(), got.Parent())
		}
		for key, want := range tc.want {
			if have := attributes(got)[key]; have != want {
				t.Errorf("%s %s: %s: got %q, want %q", tc.method, tc.target, key, have, want)
			}
		}
	}
}

// roundTrip answers without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A client span ends when the answer's body is read or closed, whichever is first.
func TestClientSpan(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer int
		err    error
		finish func(*http.Response)
		status codes.Code
	}{
		{"read", 200, nil, func(r *http.Response) { _, _ = io.ReadAll(r.Body) }, codes.Unset},
		{"closed", 200, nil, func(r *http.Response) { r.Body.Close() }, codes.Unset},
		{"refused", 404, nil, func(r *http.Response) { _, _ = io.ReadAll(r.Body); r.Body.Close() }, codes.Error},
		{"no answer", 0, context.DeadlineExceeded, nil, codes.Error},
		{"upgraded", 101, nil, nil, codes.Unset},
	} {
		o, spans := recording(t)
		var sent http.Header
		transport := o.Transport("staff-service", roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = r.Header
			if tc.err != nil {
				return nil, tc.err
			}
			return &http.Response{StatusCode: tc.answer, Body: io.NopCloser(strings.NewReader("body"))}, nil
		}))
		req := httptest.NewRequest("GET", "http://staff:8080/driver/City%20Truck", nil)
		resp, err := transport.RoundTrip(req)
		if (err == nil) != (tc.err == nil) {
			t.Errorf("%s: got %v", tc.name, err)
		}
		if tc.finish != nil {
			if n := len(spans.Ended()); n != 0 {
				t.Errorf("%s: got %d spans before the body's end", tc.name, n)
			}
			tc.finish(resp)
		}
		if len(spans.Ended()) != 1 {
			t.Fatalf("%s: got %d spans, want 1", tc.name, len(spans.Ended()))
		}
		got := spans.Ended()[0]
		a := attributes(got)
		if got.Name() != "GET staff-service" || got.SpanKind() != oteltrace.SpanKindClient || got.Status().Code != tc.status ||
			a["url.full"] != "http://staff:8080/driver/City%20Truck" || a["server.address"] != "staff-service" {
			t.Errorf("%s: got %q, %v, %v, %v", tc.name, got.Name(), got.SpanKind(), got.Status(), a)
		}
		if want := "00-" + got.SpanContext().TraceID().String() + "-" + got.SpanContext().SpanID().String() + "-01"; sent.Get("Traceparent") != want || req.Header.Get("Traceparent") != "" {
			t.Errorf("%s: sent %q, want %q; the caller's own request has %q", tc.name, sent.Get("Traceparent"), want, req.Header.Get("Traceparent"))
		}
	}
}

// The spans and measurements of both sides have all faults of an injected answer.
func TestFaultsInSpansAndMetrics(t *testing.T) {
	o, spans := recording(t)
	router := gin.New()
	router.Use(o.Middleware(true))
	router.GET("/", func(c *gin.Context) {
		c.Writer.Header()["X-Fault"] = []string{"delay", "status"}
		c.Status(http.StatusBadGateway)
	})
	transport := o.Transport("staff-service", roundTrip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		o.Handler(router, true).ServeHTTP(w, r)
		return w.Result(), nil
	}))
	resp, err := transport.RoundTrip(httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(spans.Ended()) != 2 {
		t.Fatalf("got %d spans, want 2", len(spans.Ended()))
	}
	for _, span := range spans.Ended() {
		if got := attributes(span)["fleetman.fault"]; got != "delay,status" {
			t.Errorf("%s span: fleetman.fault %q", span.SpanKind(), got)
		}
	}
	w := httptest.NewRecorder()
	o.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, metric := range []string{"http_server_request_duration_seconds_count", "http_client_request_duration_seconds_count"} {
		if !strings.Contains(w.Body.String(), metric+`{fleetman_fault="delay,status"`) {
			t.Errorf("%s does not have the faults:\n%s", metric, w.Body)
		}
	}
}
