package observe_test

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/observe"
	"fleetman.example/kit/server/servertest"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

// inbound are the headers of a request, with names as a caller might write them.
var inbound = http.Header{
	"x-my-header": {"canary", "second"}, "X-MYVAL": {"1"}, "x-request-id": {"r"}, "x-forwarded-for": {"10.0.0.9"},
	"x-ot-span-context": {"o"}, "x-envoy-external-address": {"e"},
	"traceparent": {parent}, "tracestate": {"a=1", "b=2"}, "baggage": {"k=v"},
	"b3": {traceID + "-" + spanID + "-1"}, "x-b3-traceid": {traceID}, "x-b3-spanid": {spanID}, "x-b3-parentspanid": {spanID}, "x-b3-sampled": {"1"}, "x-b3-flags": {"0"},
	// hop-by-hop
	"x-fault": {"delay"}, "x-error-origin": {"timeout"}, "X-Fallback": {"last-known"}, "x-envoy-attempt-count": {"2"}, "x-envoy-is-timeout-retry": {"1"},
	"x-envoy-expected-rq-timeout-ms": {"5"}, "x-envoy-upstream-rq-timeout-ms": {"5"}, "x-envoy-upstream-rq-per-try-timeout-ms": {"5"},
	"x-envoy-upstream-stream-duration-ms": {"5"}, "x-envoy-upstream-rq-timeout-alt-response": {"1"},
	// not propagated
	"cookie": {"c"}, "authorization": {"a"}, "xylophone": {"x"}, "accept-language": {"pl"},
}

var travels = http.Header{
	"X-My-Header": {"canary", "second"}, "X-Myval": {"1"}, "X-Request-Id": {"r"}, "X-Forwarded-For": {"10.0.0.9"},
	"X-Ot-Span-Context": {"o"}, "X-Envoy-External-Address": {"e"},
	"Traceparent": {parent}, "Tracestate": {"a=1", "b=2"}, "Baggage": {"k=v"},
	"B3": {traceID + "-" + spanID + "-1"}, "X-B3-Traceid": {traceID}, "X-B3-Spanid": {spanID}, "X-B3-Parentspanid": {spanID}, "X-B3-Sampled": {"1"}, "X-B3-Flags": {"0"},
}

// own are the headers of a call without propagation.
var own = http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"test"}}

// pass sends inbound to a service that makes one call, and returns the headers of that call.
func pass(t *testing.T, o *observe.Observer, propagate bool) (outbound http.Header) {
	t.Helper()
	upstream := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { outbound = r.Header })
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	r := gin.New()
	r.ContextWithFallback = true
	r.Use(o.Middleware(propagate))
	r.GET("/vehicles/:name", func(c *gin.Context) {
		call := servertest.Must(http.NewRequestWithContext(c.Request.Context(), "GET", upstream.URL, nil))
		maps.Copy(call.Header, own)
		call.Header["X-Stale"] = []string{"of another request"}
		observe.Propagate(c.Request.Context(), call.Header)
		resp, err := o.Transport("staff-service", transport).RoundTrip(call)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		o.Log.InfoContext(c.Request.Context(), "called")
	})
	service := servertest.Serve(t, o.Handler(r, propagate).ServeHTTP)
	req := servertest.Must(http.NewRequest("GET", service.URL+"/vehicles/City%20Truck", nil))
	maps.Copy(req.Header, inbound) // unchanged, including keys that are not canonical
	resp := servertest.Must(transport.RoundTrip(req))
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return outbound
}

func with(extra http.Header) http.Header {
	h := own.Clone()
	maps.Copy(h, extra)
	return h
}

func TestHeadersArePropagated(t *testing.T) {
	for name, tc := range map[string]struct {
		propagate, tracing bool
		want               http.Header
		traced             func(logged any) bool
	}{
		// With tracing off, log lines have the caller's trace id.
		"on":  {true, false, with(travels), func(logged any) bool { return logged == traceID }},
		"off": {false, false, own, func(logged any) bool { return logged == nil }},
		// Each service has a trace of its own.
		"off, with tracing": {false, true, own, func(logged any) bool { return logged != nil && logged != traceID }},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.tracing {
				tracing(t, nil)
			}
			o, lines := start(t)
			defer o.Flush(t.Context())
			if got := pass(t, o, tc.propagate); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %v\nwant %v", got, tc.want)
			}
			if line := lines()[0]; !tc.traced(line["trace_id"]) || (line["span_id"] == spanID) != tc.propagate {
				t.Errorf("logged %v", line)
			}
		})
	}
}

// With tracing on, the parent of a call is the service's own span, in the formats of OTEL_PROPAGATORS. The
// other headers are unchanged.
func TestHeadersWithTracing(t *testing.T) {
	for name, tc := range map[string]struct {
		propagators string
		ours        string                       // the header that the service sets
		ids         func(h http.Header) []string // its trace and span
	}{
		"by default": {"", "Traceparent", func(h http.Header) []string { return strings.Split(h.Get("Traceparent"), "-")[1:3] }},
		"b3 single":  {"b3", "B3", func(h http.Header) []string { return strings.Split(h.Get("B3"), "-")[:2] }},
		"b3 multi":   {"b3multi", "X-B3-Traceid", func(h http.Header) []string { return []string{h.Get("X-B3-Traceid"), h.Get("X-B3-Spanid")} }},
	} {
		t.Run(name, func(t *testing.T) {
			tracing(t, map[string]string{"OTEL_PROPAGATORS": tc.propagators})
			o, lines := start(t)
			defer func() {
				if err := o.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			got := pass(t, o, true)
			ids := tc.ids(got)
			if len(ids) != 2 || ids[0] != traceID || ids[1] == spanID || len(ids[1]) != 16 {
				t.Errorf("%s: not a new span in the caller's trace: %v", tc.ours, got)
			}
			for name, values := range travels {
				mine := name == tc.ours || tc.ours == "X-B3-Traceid" && strings.HasPrefix(name, "X-B3-") || name == "Tracestate" || name == "Baggage"
				if !mine && !reflect.DeepEqual(got[name], values) {
					t.Errorf("%s: got %q, want %q", name, got[name], values)
				}
			}
			if tc.ours == "Traceparent" && (got.Get("Tracestate") != "a=1,b=2" || got.Get("Baggage") != "k=v") {
				t.Errorf("got tracestate %q, baggage %q", got["Tracestate"], got["Baggage"])
			}
			line := lines()[0]
			if line["trace_id"] != traceID || line["span_id"] == spanID || line["span_id"] == ids[1] {
				t.Errorf("logged %v: want the server's own span, which is neither the caller's nor the call's", line)
			}
		})
	}
}

func TestLogWithoutATrace(t *testing.T) {
	o, lines := start(t)
	for _, traceparent := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01", "ff-" + traceID + "-" + spanID + "-01"} {
		o.Log.InfoContext(observe.Carry(t.Context(), http.Header{"Traceparent": {traceparent}}), "x")
	}
	for _, line := range lines() {
		if line["trace_id"] != nil || line["span_id"] != nil {
			t.Errorf("logged %v", line)
		}
	}
	if n := len(lines()); n != 4 {
		t.Errorf("%d lines", n)
	}
}

func TestCarryOfNothing(t *testing.T) {
	if ctx := observe.Carry(t.Context(), http.Header{"Accept": {"a"}, "X-Fault": {"delay"}}); ctx != t.Context() {
		t.Error("got a new context without headers to propagate")
	}
}

// RemoveInternal removes headers that only the fleet may set. It keeps those with which an ingress proxy
// describes a request, trace context, and headers by which releases are routed.
func TestRemoveInternal(t *testing.T) {
	kept := []string{
		"Accept", "Authorization", "Cookie", "X-My-Header", "X-Myval", "X-Request-Id", "X-Fleetman-Check", "X-Amz-Cf-Id",
		"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "X-B3-Spanid", "X-Ot-Span-Context",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip",
		"X-Envoy-External-Address", "X-Envoy-Decorator-Operation", "X-Envoy-Original-Path", "X-Envoy-Original-Host",
		"X-Envoy-Peer-Metadata", "X-Envoy-Peer-Metadata-Id",
	}
	removed := []string{
		"X-Envoy-Expected-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms",
		"X-Envoy-Retry-On", "X-Envoy-Max-Retries", "X-Envoy-Retriable-Status-Codes", "X-Envoy-Hedge-On-Per-Try-Timeout",
		"X-Envoy-Attempt-Count", "X-Envoy-Original-Dst-Host", "X-Envoy-Force-Trace", "X-Envoy-Internal", "X-Envoy-Of-Tomorrow",
		"X-Forwarded-Client-Cert", "X-Fault", "X-Fallback", "X-Error-Origin",
	}
	h := make(http.Header)
	for _, name := range append(slices.Clone(kept), removed...) {
		h.Set(name, "1")
		h.Add(name, "2")
	}
	observe.RemoveInternal(h)
	for _, name := range kept {
		if got := h.Values(name); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("%s: got %q, want it kept", name, got)
		}
	}
	for _, name := range removed {
		if got, ok := h[name]; ok {
			t.Errorf("%s: got %q, want it removed", name, got)
		}
	}
	observe.RemoveInternal(nil)
}
