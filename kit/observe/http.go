package observe

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// instruments are the histograms of requests, in seconds, with the names and attributes of
// OpenTelemetry's HTTP conventions (semconv 1.26).
type instruments struct {
	server, client metric.Float64Histogram
	known          *knownSeries
}

// knownSeries caches the attributes of each series, so that a request allocates none. A sync.Map would
// allocate its key in every lookup.
type knownSeries struct {
	mu      sync.RWMutex
	options map[series][]metric.RecordOption
}

// series is one time series of a histogram.
type series struct {
	method  string
	target  string // the route or the upstream
	status  int    // 0: none
	failure string // reason of an error; empty: none
	fault   string // kinds of injected faults, separated by commas
}

func newInstruments(o *Observer) instruments {
	return instruments{
		server: o.Seconds("http.server.request.duration", "Time to answer a request, by route."),
		client: o.Seconds("http.client.request.duration", "Time of one attempt at an upstream, until its headers are read."),
		known:  &knownSeries{options: make(map[series][]metric.RecordOption)},
	}
}

// record adds one measurement. targetKey is the attribute of the series' target.
func (i *instruments) record(ctx context.Context, h metric.Float64Histogram, targetKey string, s series, since time.Time) {
	took := time.Since(since).Seconds()
	i.known.mu.RLock()
	options, ok := i.known.options[s]
	i.known.mu.RUnlock()
	if !ok {
		options = []metric.RecordOption{metric.WithAttributeSet(s.attributes(targetKey))}
		i.known.mu.Lock()
		i.known.options[s] = options
		i.known.mu.Unlock()
	}
	h.Record(ctx, took, options...)
}

func (s series) attributes(targetKey string) attribute.Set {
	attrs := []attribute.KeyValue{attribute.String("http.request.method", s.method), attribute.String(targetKey, s.target)}
	if s.status != 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", s.status))
	}
	if s.failure != "" {
		attrs = append(attrs, attribute.String("error.type", s.failure))
	}
	if s.fault != "" {
		attrs = append(attrs, attribute.String("fleetman.fault", s.fault))
	}
	return attribute.NewSet(attrs...)
}

// Middleware measures every request by its route template, and logs requests that fail with a 5xx or
// are aborted. If propagate is true it calls Carry.
func (o *Observer) Middleware(propagate bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Request.Pattern = c.FullPath() // where OpenTelemetry looks for the route
		if propagate {
			if ctx := Carry(c.Request.Context(), c.Request.Header); ctx != c.Request.Context() {
				c.Request = c.Request.WithContext(ctx)
			}
		}
		aborted := true // unless the handlers return
		defer func() { o.answered(c, start, aborted) }()
		c.Next()
		aborted = false
	}
}

// answered measures a request after its handlers returned or, if aborted is true, panicked. It logs a
// failure.
func (o *Observer) answered(c *gin.Context, start time.Time, aborted bool) {
	ctx := c.Request.Context()
	s := series{method: knownMethod(c.Request.Method), target: c.FullPath(), status: c.Writer.Status(), fault: faults(c.Writer.Header())}
	if aborted {
		s.failure = "aborted"
	}
	if o.tracing {
		complete(oteltrace.SpanFromContext(ctx), s)
	}
	if err := c.Errors.Last(); err != nil && (aborted || s.status >= http.StatusInternalServerError) {
		o.Log.ErrorContext(ctx, "request failed", "method", c.Request.Method,
			"path", c.Request.URL.EscapedPath(), "status", s.status, "error", err.Err)
	}
	o.requests.record(ctx, o.requests.server, "http.route", s, start)
}

// faults returns the kinds of the faults that were injected into an answer, separated by commas.
func faults(answer http.Header) string { return strings.Join(answer["X-Fault"], ",") }

// knownMethod returns method, or _OTHER for an uncommon one: callers must not be able to add series.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// Transport returns next with a measurement and, if tracing is on, a client span for every attempt at
// upstream.
func (o *Observer) Transport(upstream string, next http.RoundTripper) http.RoundTripper {
	if o.tracing {
		next = traced{o, upstream, next}
	}
	return measured{o, upstream, next}
}

type measured struct {
	o        *Observer
	upstream string
	next     http.RoundTripper
}

func (m measured) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := m.next.RoundTrip(r)
	s := series{method: knownMethod(r.Method), target: m.upstream}
	if err != nil {
		s.failure = Reason(err)
	} else {
		s.status, s.fault = resp.StatusCode, faults(resp.Header)
	}
	m.o.requests.record(r.Context(), m.o.requests.client, "server.address", s, start)
	return resp, err
}
