package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server/servertest"
)

// Every report has a trace of its own: a root span, and its child, the call, whose ids are sent to the tracker.
func TestRunTracesEveryReport(t *testing.T) {
	var mu sync.Mutex
	var spans []*trace.Span
	otlp := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var export collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range export.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")

	tracker := newFakeTracker(t)
	received := map[string]bool{} // trace and span id, as the tracker got them
	tracker.answer = func(_ http.ResponseWriter, r *http.Request, _ fleet.Position) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			received[r.Header.Get("Traceparent")] = true
		}
	}
	s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "10ms", "OTEL_TRACES_EXPORTER": "otlp"})
	for range 30 {
		tracker.expect(t, "POST /vehicles/")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	roots := map[string]string{} // trace id to the root span's id
	for _, s := range spans {
		if s.Name == "report" {
			if len(s.ParentSpanId) != 0 {
				t.Errorf("a report within another span: %v", s)
			}
			roots[string(s.TraceId)] = string(s.SpanId)
		}
	}
	calls := 0
	for _, s := range spans {
		if s.Name == "POST position-tracker" {
			calls++
			if root, ok := roots[string(s.TraceId)]; !ok || root != string(s.ParentSpanId) {
				t.Errorf("a call outside of its report: %v", s)
			}
			if parent := traceparent(s); !received[parent] {
				t.Errorf("the tracker has not received %s", parent)
			}
		}
	}
	if len(tracker.reports) < 30 || len(roots) != len(tracker.reports) || calls != len(roots) || len(received) != len(roots) {
		t.Errorf("%d reports, %d traces, %d calls, %d trace headers", len(tracker.reports), len(roots), calls, len(received))
	}
}

func traceparent(s *trace.Span) string { return fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId) }
