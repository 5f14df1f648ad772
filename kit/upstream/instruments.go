package upstream

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"fleetman.example/kit/observe"
)

// instruments are the metrics of the chain of one upstream. Their names and attributes are the same in
// all services. Each count is an event of the call's span, too.
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
	countTransitions: "Changes of a breaker's state.",
	countFallbacks:   "Degraded answers.",
}

func newInstruments(upstream string, o *observe.Observer) *instruments {
	m := &instruments{upstream, o, attribute.String("server.address", upstream), make(map[string]metric.Int64Counter)}
	for name, description := range counters {
		counter, err := o.Meter().Int64Counter(name, metric.WithDescription(description))
		must(name, err)
		m.counters[name] = counter
	}
	return m
}

// must panics on an error about a metric: its name is a constant.
func must(name string, err error) {
	if err != nil {
		panic(fmt.Sprintf("metric %s: %v", name, err))
	}
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
		must(name, err)
	}
	gauge(v.balancer != nil, gaugeOpen, "Endpoints whose breaker is open or half-open.", func() int64 { return v.balancer.Open() })
	gauge(v.budget != nil, gaugeBudget, "Retries that the budget allows now.", func() int64 { return v.budget.saved.Load() / 100 })
	gauge(v.bulkhead != nil, gaugeInFlight, "Concurrent calls.", func() int64 { return v.bulkhead.inFlight.Load() })
}

func (m *instruments) add(ctx context.Context, name string, attrs ...attribute.KeyValue) {
	attrs = append(attrs, m.upstream)
	m.counters[name].Add(ctx, 1, metric.WithAttributes(attrs...))
	trace.SpanFromContext(ctx).AddEvent(name, trace.WithAttributes(attrs...))
}

func (m *instruments) retried(ctx context.Context) { m.add(ctx, countRetries) }
func (m *instruments) denied(ctx context.Context)  { m.add(ctx, countDenied) }
func (m *instruments) refused(ctx context.Context) { m.add(ctx, countRefused) }

// fellBack counts a degraded answer by its kind, and adds the text of its header to the span.
func (m *instruments) fellBack(ctx context.Context, kind, text string) {
	m.add(ctx, countFallbacks, attribute.String("fleetman.fallback", kind))
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("fleetman.fallback", text))
}

// transitioned returns a function that counts a breaker's change of state and records it in shown.
func (m *instruments) transitioned(shown *chains) func(transition) {
	return func(t transition) {
		t.Upstream = m.name
		m.add(context.Background(), countTransitions, attribute.String("fleetman.endpoint", t.Endpoint), attribute.String("fleetman.breaker.state", t.To))
		shown.record(t)
	}
}
