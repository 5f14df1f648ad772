package upstream

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"fleetman.example/kit/observe"
)

// instruments count what the chain did for one upstream; every service has the same names and
// attributes, and each count is an event of the call's span too.
type instruments struct {
	upstream attribute.KeyValue
	counters map[string]metric.Int64Counter
}

// The counters and what they count.
const (
	countRetries     = "fleetman.upstream.retries"
	countDenied      = "fleetman.upstream.retries.denied"
	countRefused     = "fleetman.upstream.bulkhead.refused"
	countTransitions = "fleetman.upstream.breaker.transitions"
	countFallbacks   = "fleetman.upstream.fallbacks"
)

var counters = map[string]string{
	countRetries:     "Attempts after the first of a call.",
	countDenied:      "Retries that the budget did not allow.",
	countRefused:     "Calls that the bulkhead refused.",
	countTransitions: "Changes of a breaker's state.",
	countFallbacks:   "Degraded answers in place of an upstream's.",
}

func newInstruments(upstream string, o *observe.Observer) *instruments {
	m := &instruments{attribute.String("server.address", upstream), make(map[string]metric.Int64Counter)}
	for name, description := range counters {
		counter, err := o.Meter().Int64Counter(name, metric.WithDescription(description))
		if err != nil {
			panic(fmt.Sprintf("metric %s: %v", name, err)) // names are constants
		}
		m.counters[name] = counter
	}
	return m
}

func (m *instruments) add(ctx context.Context, name string, attrs ...attribute.KeyValue) {
	attrs = append(attrs, m.upstream)
	m.counters[name].Add(ctx, 1, metric.WithAttributes(attrs...))
	trace.SpanFromContext(ctx).AddEvent(name, trace.WithAttributes(attrs...))
}

func (m *instruments) retried(ctx context.Context) { m.add(ctx, countRetries) }
func (m *instruments) denied(ctx context.Context)  { m.add(ctx, countDenied) }
func (m *instruments) refused(ctx context.Context) { m.add(ctx, countRefused) }

func (m *instruments) fellBack(ctx context.Context, kind string) {
	m.add(ctx, countFallbacks, attribute.String("fleetman.fallback", kind))
}

// transitioned counts a breaker's change and shows it in state.
func (m *instruments) transitioned(state *State) func(transition) {
	return func(t transition) {
		m.add(context.Background(), countTransitions, attribute.String("fleetman.endpoint", t.Endpoint), attribute.String("fleetman.breaker.state", t.To))
		state.record(t)
	}
}
