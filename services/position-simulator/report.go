package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"fleetman.example/kit/fleet"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/upstream"
)

// reporter sends positions to the tracker, each with a trace of its own, and counts their outcomes.
type reporter struct {
	tracker  *upstream.Client
	tracer   trace.Tracer
	reports  metric.Int64Counter
	skips    metric.Int64Counter
	duration metric.Float64Histogram
	failures *failureLog
}

// outcome is how a report ended. attr is allocated once, not for every report.
type outcome struct {
	name string
	attr metric.MeasurementOption
}

func newOutcome(name string) outcome {
	return outcome{name, metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", name)))}
}

var (
	delivered = newOutcome("delivered") // 2xx
	refused   = newOutcome("refused")   // any other answer below 500
	failed    = newOutcome("failed")    // 5xx, or no answer
)

func newReporter(o *observe.Observer, tracker *upstream.Client) *reporter {
	unit := metric.WithUnit("{report}")
	r := &reporter{
		tracker:  tracker,
		tracer:   o.Tracer(),
		reports:  o.Counter("fleetman.simulator.reports", "Position reports sent, by outcome", unit),
		skips:    o.Counter("fleetman.simulator.reports.skipped", "Position reports that were due while the vehicle's previous one was in flight", unit),
		duration: o.Seconds("fleetman.simulator.report.duration", "Time from sending a position report to its answer"),
		failures: newFailureLog(o.Log, 10*time.Second),
	}
	r.skipped(0) // so that /metrics shows the counter before the first skipped report
	return r
}

func (r *reporter) send(ctx context.Context, p fleet.Position) {
	ctx, span := r.tracer.Start(ctx, "report")
	defer span.End()
	if span.IsRecording() {
		span.SetAttributes(attribute.String("fleetman.vehicle", p.Name))
	}
	// Each report has a body of its own: the transport may still read the previous one after its call has
	// returned.
	body := p.AppendJSON(make([]byte, 0, 256))
	began := time.Now()
	answer, err := r.tracker.Do(ctx, http.MethodPost, "/vehicles/", body)
	result := delivered
	switch {
	case err != nil:
		result = failed
		span.SetStatus(codes.Error, err.Error())
		r.failures.add(ctx, "report failed", slog.String("vehicle", p.Name), slog.Any("error", err))
	case answer.Status >= 300:
		result = refused
		span.SetStatus(codes.Error, http.StatusText(answer.Status))
		r.failures.add(ctx, "report refused", slog.String("vehicle", p.Name), slog.Int("status", answer.Status), slog.String("answer", excerpt(answer.Body)))
	}
	r.duration.Record(ctx, time.Since(began).Seconds(), result.attr)
	r.reports.Add(ctx, 1, result.attr)
}

// excerpt returns at most the first 300 bytes of body, for the log.
func excerpt(body []byte) string { return string(body[:min(len(body), 300)]) }

func (r *reporter) skipped(n int) { r.skips.Add(context.Background(), int64(n)) }
