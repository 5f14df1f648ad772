package upstream

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestReasons checks the spans and events of a call, with their reasons, for each stage that acts on it.
func TestReasons(t *testing.T) {
	placeholder := func(*http.Request) []byte { return []byte("{}") }
	for _, tc := range []struct {
		name   string
		cfg    Config
		answer answerer
		ready  func(b *bench)
		want   []string
	}{
		{"first attempt good", library(t), ok, nil, nil},
		{
			"retried", library(t), statuses(503, 200), nil,
			[]string{"span back-off staff-service: status 503", "fleetman.upstream.retries: status 503"},
		},
		{
			"retried after no answer", library(t, "BREAKER_FAILURES", "0"), inTurn(hang, ok), nil,
			[]string{"span back-off staff-service: no answer in time", "fleetman.upstream.retries: no answer in time"},
		},
		{
			"budget spent", library(t), statuses(502), func(b *bench) { b.budget().saved.Store(0) },
			[]string{"fleetman.upstream.retries.denied: status 502, retry budget spent", "fleetman.upstream.fallbacks: status 502"},
		},
		{
			"breaker open", library(t, "BREAKER_FAILURES", "1", "RETRY_ATTEMPTS", "1"), statuses(500), func(b *bench) { b.get() },
			[]string{"fleetman.upstream.breaker.refused: circuit open", "fleetman.upstream.fallbacks: circuit open"},
		},
		{
			"bulkhead full", library(t, "BULKHEAD", "1"), ok, func(b *bench) { b.set.shown.views[0].bulkhead.inFlight.Store(1) },
			[]string{"fleetman.upstream.bulkhead.refused: too many concurrent calls", "fleetman.upstream.fallbacks: too many concurrent calls"},
		},
	} {
		bubble(t, tc.name, func(t *testing.T) {
			b := newBench(t, tc.cfg, tc.answer, placeholder)
			if tc.ready != nil {
				tc.ready(b)
			}
			got := traced(t.Context(), func(ctx context.Context) { b.callAs(ctx, "GET", "/driver/x", "") })
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

// TestWaitOfACallerThatLeft checks that the wait during which the caller left is a span with its length.
func TestWaitOfACallerThatLeft(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cfg := only(t, "RETRY_ATTEMPTS", "2", "RETRY_BACKOFF", "4s", "RETRY_BACKOFF_MAX", "4s")
		rt := newRetry(cfg.Retry, func() float64 { return .99 }, newWire(statuses(503)))
		var waits []string
		rt.waited = func(_ context.Context, began time.Time, reason string) {
			waits = append(waits, fmt.Sprint(time.Since(began), " ", reason))
		}
		leaving, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		if resp, err := rt.RoundTrip(get("/driver/x").WithContext(leaving)); err == nil {
			t.Errorf("got %d, want an error", resp.StatusCode)
		}
		if want := []string{"1s status 503"}; !slices.Equal(waits, want) {
			t.Errorf("got %q, want %q", waits, want)
		}
	})
}

// traced returns the ended child spans and the events, each with its reason, of a span around call.
func traced(ctx context.Context, call func(context.Context)) (lines []string) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	ctx, parent := provider.Tracer("test").Start(ctx, "call")
	call(ctx)
	parent.End()
	for _, s := range spans.Ended() {
		if s.Parent().IsValid() {
			lines = append(lines, "span "+s.Name()+": "+reasonIn(s.Attributes()))
		}
		for _, e := range s.Events() {
			lines = append(lines, e.Name+": "+reasonIn(e.Attributes))
		}
	}
	return lines
}

func reasonIn(attrs []attribute.KeyValue) string {
	for _, kv := range attrs {
		if kv.Key == keyReason {
			return kv.Value.AsString()
		}
	}
	return ""
}
