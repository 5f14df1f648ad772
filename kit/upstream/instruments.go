package upstream

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"fleetman.example/kit/observe"
)

// instruments are the metrics of the chain of one upstream. Their names and attributes are the same in
// all services. Each count is an event of the call's span, too, with its reason.
type instruments struct {
	name     string // of the upstream
	o        *observe.Observer
	upstream attribute.KeyValue
	counters map[string]metric.Int64Counter
}

const (
	countRetries     = "fleetman.upstream.retries"
	countDenied      = "fleetman.upstream.retries.denied"
	countRefused     = "fleetman.upstream.bulkhead.refused"
	countOpen        = "fleetman.upstream.breaker.refused"
	countTransitions = "fleetman.upstream.breaker.transitions"
	countFallbacks   = "fleetman.upstream.fallbacks"
	gaugeOpen        = "fleetman.upstream.breaker.open"
	gaugeBudget      = "fleetman.upstream.retries.saved"
	gaugeInFlight    = "fleetman.upstream.bulkhead.in_flight"
)

var counters = map[string]string{
	countRetries:     "Attempts after the first of a call.",
	countDenied:      "Retries that the budget did not allow.",
	countRefused:     "Calls that the bulkhead refused.",
	countOpen:        "Calls that were refused because the breakers of all endpoints were open.",
	countTransitions: "Changes of a breaker's state.",
	countFallbacks:   "Degraded answers.",
}

func newInstruments(upstream string, o *observe.Observer) *instruments {
	m := &instruments{upstream, o, attribute.String("server.address", upstream), make(map[string]metric.Int64Counter)}
	for name, description := range counters {
		m.counters[name] = o.Counter(name, description)
	}
	return m
}

// watch exports the state of v's stages as gauges.
func (m *instruments) watch(v *view) {
	gauge := func(on bool, name, description string, value func() int64) {
		if !on {
			return
		}
		_, err := m.o.Meter().Int64ObservableGauge(name, metric.WithDescription(description),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(value(), metric.WithAttributes(m.upstream))
				return nil
			}))
		if err != nil {
			panic(err) // the names are constants
		}
	}
	gauge(v.balancer != nil, gaugeOpen, "Endpoints whose breaker is open or half-open.", func() int64 { return v.balancer.Open() })
	gauge(v.budget != nil, gaugeBudget, "Retries that the budget allows now.", func() int64 { return v.budget.saved.Load() / 100 })
	gauge(v.bulkhead != nil, gaugeInFlight, "Concurrent calls.", func() int64 { return v.bulkhead.inFlight.Load() })
}

// scope names the instrumentation of the spans.
const scope = "fleetman.example/kit/upstream"

// keyReason is the attribute of events and spans with the reason of a retry, a refusal or a fallback.
const keyReason = "fleetman.reason"

// add counts. reason, which may be empty, is an attribute of the event alone: it would multiply the series.
func (m *instruments) add(ctx context.Context, name, reason string, attrs ...attribute.KeyValue) {
	attrs = append(attrs, m.upstream)
	m.counters[name].Add(ctx, 1, metric.WithAttributes(attrs...))
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	if reason != "" {
		attrs = append(attrs, attribute.String(keyReason, reason))
	}
	span.AddEvent(name, trace.WithAttributes(attrs...))
}

func (m *instruments) retried(ctx context.Context, reason string) { m.add(ctx, countRetries, reason) }

func (m *instruments) denied(ctx context.Context, reason string) {
	m.add(ctx, countDenied, reason+", retry budget spent")
}

func (m *instruments) refused(ctx context.Context)     { m.add(ctx, countRefused, errBulkhead.Reason()) }
func (m *instruments) refusedOpen(ctx context.Context) { m.add(ctx, countOpen, errOpen.Reason()) }

// waited makes a span of the wait before a retry, which began at began and ends now.
func (m *instruments) waited(ctx context.Context, began time.Time, reason string) {
	call := trace.SpanFromContext(ctx)
	if !call.IsRecording() {
		return
	}
	_, wait := call.TracerProvider().Tracer(scope).Start(ctx, "back-off "+m.name, trace.WithTimestamp(began),
		trace.WithAttributes(m.upstream, attribute.String(keyReason, reason)))
	wait.End()
}

// fellBack counts a degraded answer by its kind, and adds the text of its header to the span.
func (m *instruments) fellBack(ctx context.Context, kind, text, reason string) {
	m.add(ctx, countFallbacks, reason, attribute.String("fleetman.fallback", kind))
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("fleetman.fallback", text))
}

// transitioned returns a function that counts a breaker's change of state and records it in shown.
func (m *instruments) transitioned(shown *chains) func(transition) {
	return func(t transition) {
		t.Upstream = m.name
		m.add(context.Background(), countTransitions, "", attribute.String("fleetman.endpoint", t.Endpoint), attribute.String("fleetman.breaker.state", t.To))
		shown.record(t)
	}
}
