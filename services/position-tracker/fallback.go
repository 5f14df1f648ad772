package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// What the tracker does without when an upstream fails; the answer says so in X-Fallback.
const (
	noSpeed      = "no-speed"      // vehicle-telemetry did not say
	speedDropped = "speed-dropped" // staff-service did not take it
)

// fallbacks counts what was done without.
type fallbacks struct {
	on      bool // off: only staff-service's failing matters, and it fails the report
	counter metric.Int64Counter
}

func newFallbacks(on bool, meter metric.Meter) (fallbacks, error) {
	counter, err := meter.Int64Counter("fleetman.tracker.fallbacks", metric.WithDescription("Reports taken without what an upstream should have done."))
	return fallbacks{on, counter}, err
}

// note counts one, and tells the request's span.
func (f fallbacks) note(ctx context.Context, kind string) {
	attr := attribute.String("fleetman.fallback", kind)
	f.counter.Add(ctx, 1, metric.WithAttributes(attr))
	trace.SpanFromContext(ctx).SetAttributes(attr)
}
