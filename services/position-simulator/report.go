package main

import (
	"context"
	"errors"
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

// Bounds in seconds: from an answer over loopback to the longest timeout of a call.
var bounds = metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)

func newReporter(o *observe.Observer, tracker *upstream.Client) (*reporter, error) {
	r := &reporter{tracker: tracker, tracer: o.Tracer(), failures: newFailureLog(o.Log, 10*time.Second)}
	var errs [3]error
	r.reports, errs[0] = o.Meter().Int64Counter("fleetman.simulator.reports",
		metric.WithUnit("{report}"), metric.WithDescription("Position reports sent, by outcome"))
	r.skips, errs[1] = o.Meter().Int64Counter("fleetman.simulator.reports.skipped",
		metric.WithUnit("{report}"), metric.WithDescription("Position reports that were due while the vehicle's previous one was in flight"))
	r.duration, errs[2] = o.Meter().Float64Histogram("fleetman.simulator.report.duration",
		metric.WithUnit("s"), bounds, metric.WithDescription("Time from sending a position report to its answer"))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.skipped(0) // so that /metrics shows the counter before the first skipped report
	return r, nil
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
