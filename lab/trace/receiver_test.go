package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/wants"
)

// base is the time of the tests' first span, in nanoseconds since 1970: 2026-01-02T03:04:05Z.
const base = 1767323045 * second

const (
	millisecond = 1_000_000
	second      = 1000 * millisecond
)

// made returns a span of trace number t. It starts after some milliseconds and takes some.
func made(t, id, parent byte, name string, after, takes uint64, attrs ...*commonpb.KeyValue) *tracepb.Span {
	s := &tracepb.Span{
		TraceId: append(make([]byte, 15), t), SpanId: append(make([]byte, 7), id), Name: name, Kind: tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: base + after*millisecond, EndTimeUnixNano: base + (after+takes)*millisecond, Attributes: attrs,
	}
	if parent != 0 {
		s.ParentSpanId = append(make([]byte, 7), parent)
	}
	return s
}

func str(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func num(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

// from returns the spans of one program. A service's name with a dot is a proxy's.
func from(service string, spans ...*tracepb.Span) *tracepb.ResourceSpans {
	attrs := []*commonpb.KeyValue{str("service.name", service)}
	if strings.Contains(service, ".") {
		attrs = append(attrs, str("telemetry.sdk.name", "envoy"))
	} else {
		attrs = append(attrs, str("service.instance.id", service+"-0"))
	}
	return &tracepb.ResourceSpans{Resource: &resourcepb.Resource{Attributes: attrs}, ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}
}

func encode(t testing.TB, all ...*tracepb.ResourceSpans) []byte {
	t.Helper()
	body, err := proto.Marshal(&collectorpb.ExportTraceServiceRequest{ResourceSpans: all})
	require.NoError(t, err)
	return body
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // a Buffer takes all
	w.Close()
	return b.Bytes()
}

// post sends a body to a receiver, with headers as pairs of name and value.
func post(rc *Receiver, body []byte, headers ...string) *httptest.ResponseRecorder {
	return send(rc, http.MethodPost, Path, body, headers...)
}

func send(rc *Receiver, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/x-protobuf")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, r)
	return w
}

// TestReceiver joins the spans of two services and a proxy, which arrive in three requests and in no order.
func TestReceiver(t *testing.T) {
	store := NewStore()
	rc := NewReceiver(store, nil)
	call := made(1, 2, 1, "GET staff-service", 10, 20, num("http.response.status_code", 503))
	call.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	entry := made(1, 1, 0, "GET /vehicles/driver/:name", 0, 50, str("http.request.method", "GET"), str("url.path", "/vehicles/driver/City Truck"),
		str("fleetman.fallback", "last-known; age=3s"))
	entry.Events = []*tracepb.Span_Event{{TimeUnixNano: base + 31*millisecond, Name: "fleetman.upstream.fallbacks", Attributes: []*commonpb.KeyValue{str("fleetman.reason", "status 503")}}}
	proxied := made(1, 3, 2, "staff-service:8080/*", 11, 18, str("node_id", "sidecar~127.0.1.4~api-gateway-0.default~default.svc.cluster.local"),
		str("http.status_code", "503"), str("response_flags", "UF,URX"), str("error", "true"))
	for i, body := range [][]byte{
		encode(t, from("api-gateway.default", proxied)), zip(encode(t, from("api-gateway", call))), encode(t, from("api-gateway", entry), from("other", made(2, 9, 0, "x", 0, 1))),
	} {
		encoding := map[bool]string{true: "gzip", false: "identity"}[i == 1]
		w := post(rc, body, "Content-Encoding", encoding)
		require.Equal(t, http.StatusOK, w.Code, "request %d: %s", i, w.Body)
		assert.Empty(t, w.Body.String())
		assert.Equal(t, "application/x-protobuf", w.Header().Get("Content-Type"))
	}
	got, ok := store.Trace("00000000000000000000000000000001")
	require.True(t, ok)
	text, err := json.MarshalIndent(got, "", "  ")
	require.NoError(t, err)
	golden.Compare(t, "testdata/trace.json", string(text)+"\n")
	_, ok = store.Trace("00000000000000000000000000000003")
	assert.False(t, ok, "a trace that never arrived")
}

// TestReceiverRefuses checks status and message for each mistake in a request.
func TestReceiverRefuses(t *testing.T) {
	good := encode(t, from("x", made(1, 1, 0, "x", 0, 1)))
	for name, tc := range map[string]struct {
		method, path string
		headers      []string
		body         []byte
		status       int
		want         string
	}{
		"path":              {"POST", "/v1/metrics", nil, good, 404, `path: "/v1/metrics": must be /v1/traces`},
		"method":            {"GET", Path, nil, nil, 405, "method: GET: must be POST"},
		"JSON":              {"POST", Path, []string{"Content-Type", "application/json"}, []byte("{}"), 415, `Content-Type: "application/json": must be application/x-protobuf`},
		"a page's form":     {"POST", Path, []string{"Content-Type", "text/plain"}, good, 415, `Content-Type: "text/plain": must be application/x-protobuf`},
		"no content type":   {"POST", Path, []string{"Content-Type", ""}, good, 415, `Content-Type: "": must be application/x-protobuf`},
		"encoding":          {"POST", Path, []string{"Content-Encoding", "zstd"}, good, 415, `Content-Encoding: "zstd": must be gzip, or missing`},
		"no gzip":           {"POST", Path, []string{"Content-Encoding", "gzip"}, good, 400, "body: must be gzip, by its Content-Encoding: gzip: invalid header"},
		"cut gzip":          {"POST", Path, []string{"Content-Encoding", "gzip"}, zip(good)[:20], 400, "body: must be gzip, by its Content-Encoding: unexpected EOF"},
		"no message":        {"POST", Path, nil, []byte("hello"), 400, "body: 5 bytes: must be an ExportTraceServiceRequest: …"},
		"too long":          {"POST", Path, nil, make([]byte, maxBody+1), 413, "body: longer: must be at most 4194304 bytes"},
		"too long unzipped": {"POST", Path, []string{"Content-Encoding", "gzip"}, zip(make([]byte, maxPlain+1)), 413, "body: longer without compression: must be at most 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			store := NewStore()
			w := send(NewReceiver(store, nil), tc.method, tc.path, tc.body, tc.headers...)
			got := ""
			switch w.Header().Get("Content-Type") {
			case "application/json":
				var answer struct{ Error string }
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
				got = answer.Error
			case "application/x-protobuf":
				var answer rpcstatus.Status
				require.NoError(t, proto.Unmarshal(w.Body.Bytes(), &answer))
				got = answer.Message
				assert.EqualValues(t, code.Code_INVALID_ARGUMENT, answer.Code)
			}
			assert.Equal(t, tc.status, w.Code)
			wants.Text(t, "answer", got, tc.want)
			assert.Empty(t, store.Recent(Filter{}))
		})
	}
}

// TestBadSpans checks that a bad span is rejected with its mistake, and a good one beside it is kept.
func TestBadSpans(t *testing.T) {
	for want, change := range map[string]func(*tracepb.Span){
		"traceId: 0102: must be 16 bytes, not all zero":                                                                              func(s *tracepb.Span) { s.TraceId = []byte{1, 2} },
		"traceId: " + strings.Repeat("0", 32) + ": must be 16 bytes, not all zero":                                                   func(s *tracepb.Span) { s.TraceId = make([]byte, 16) },
		"spanId: : must be 8 bytes, not all zero":                                                                                    func(s *tracepb.Span) { s.SpanId = nil },
		"parentSpanId: 0000000000000000: must be 8 bytes, not all zero, or empty":                                                    func(s *tracepb.Span) { s.ParentSpanId = make([]byte, 8) },
		"startTimeUnixNano: 0: must be more than 0 and at most endTimeUnixNano, " + fmt.Sprint(uint64(base+millisecond)):             func(s *tracepb.Span) { s.StartTimeUnixNano = 0 },
		"startTimeUnixNano: " + fmt.Sprint(uint64(base)) + ": must be more than 0 and at most endTimeUnixNano, 5":                    func(s *tracepb.Span) { s.EndTimeUnixNano = 5 },
		"startTimeUnixNano: " + fmt.Sprint(uint64(base)) + ": must be more than 0 and at most endTimeUnixNano, 18446744073709551615": func(s *tracepb.Span) { s.EndTimeUnixNano = 1<<64 - 1 },
	} {
		store := NewStore()
		bad := made(1, 1, 0, "bad", 0, 1)
		change(bad)
		w := post(NewReceiver(store, nil), encode(t, from("x", bad, made(2, 2, 0, "good", 0, 1))))
		var answer collectorpb.ExportTraceServiceResponse
		require.NoError(t, proto.Unmarshal(w.Body.Bytes(), &answer))
		assert.Equal(t, 200, w.Code, want)
		assert.Equal(t, want, answer.PartialSuccess.GetErrorMessage())
		assert.EqualValues(t, 1, answer.PartialSuccess.GetRejectedSpans(), want)
		assert.Equal(t, []string{"00000000000000000000000000000002"}, ids(store.Recent(Filter{})), want)
	}
}

func TestAttemptName(t *testing.T) {
	for name, want := range map[string]string{
		"router outbound|8080|safe|fleetman-staff-service.default.svc.cluster.local; egress": "attempt fleetman-staff-service (safe)",
		"router outbound|80||fleetman-webapp.default.svc.cluster.local; egress":              "attempt fleetman-webapp",
		"fleetman-webapp.default.svc.cluster.local:80/*":                                     "fleetman-webapp.default.svc.cluster.local:80/*",
		"router x egress": "router x egress",
	} {
		assert.Equal(t, want, attemptName(name), name)
	}
}

// TestLimits checks that names and values are cut, and attributes and events over the limit left out.
func TestLimits(t *testing.T) {
	s := made(1, 1, 0, strings.Repeat("é", maxText), 0, 1)
	for i := range maxAttributes + 10 {
		s.Attributes = append(s.Attributes, str(fmt.Sprint("key", i), strings.Repeat("x", maxText+1)))
		s.Events = append(s.Events, &tracepb.Span_Event{Name: "e", TimeUnixNano: base})
	}
	store := NewStore()
	post(NewReceiver(store, nil), encode(t, from("x", s)))
	got, _ := store.Trace("00000000000000000000000000000001")
	require.Len(t, got.Spans, 1+maxEvents)
	span := got.Spans[0]
	assert.Equal(t, strings.Repeat("é", maxText/2), span.Name)
	assert.Len(t, span.Attributes, maxAttributes)
	assert.Equal(t, strings.Repeat("x", maxText), span.Attributes["key0"])
}

// TestValues checks that each kind of value is one that JSON has.
func TestValues(t *testing.T) {
	inf := &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: math.Inf(1)}}
	list := &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{{Value: &commonpb.AnyValue_IntValue{IntValue: 7}}}}}}
	got := attributes([]*commonpb.KeyValue{
		str("s", "x"), num("n", -1),
		{Key: "b", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}},
		{Key: "inf", Value: inf},
		{Key: "list", Value: list},
		{Key: "none"},
		{Key: "empty", Value: &commonpb.AnyValue{}},
	})
	assert.Contains(t, got["list"], "7")
	delete(got, "list") // its text is not stable
	assert.Equal(t, map[string]any{"b": true, "inf": "+Inf", "n": int64(-1), "s": "x"}, got)
}

// FuzzReceiver checks that no body makes the receiver panic or keep more than its limits.
func FuzzReceiver(f *testing.F) {
	f.Add(encode(f, from("x.y", made(1, 1, 0, "x", 0, 1, str("node_id", "~~~")))), false)
	f.Add(zip(encode(f, from("x", made(1, 2, 1, "x", 0, 1)))), true)
	f.Fuzz(func(t *testing.T, body []byte, zipped bool) {
		store := NewStore()
		headers := []string{}
		if zipped {
			headers = []string{"Content-Encoding", "gzip"}
		}
		w := post(NewReceiver(store, nil), body, headers...)
		assert.Contains(t, []int{200, 400, 413}, w.Code)
		for _, sum := range store.Recent(Filter{}) {
			whole, ok := store.Trace(sum.ID)
			assert.True(t, ok, sum.ID)
			_, err := json.Marshal(whole)
			assert.NoError(t, err, sum.ID)
		}
	})
}

// BenchmarkReceiver receives the spans of 32 requests with 16 spans each, as one export.
func BenchmarkReceiver(b *testing.B) {
	rc := NewReceiver(NewStore(), nil)
	var spans []*tracepb.Span
	for i := range 512 {
		s := made(0, byte(i%16+1), byte(i%16), "GET /vehicles/driver/:name", uint64(i%16), 20, num("http.response.status_code", 200))
		for j := range 16 { // as many as Envoy's
			s.Attributes = append(s.Attributes, str(fmt.Sprint("an.attribute.", j), "outbound|8080||fleetman-staff-service.default.svc.cluster.local"))
		}
		spans = append(spans, s)
	}
	n := uint64(0)
	for b.Loop() {
		b.StopTimer()
		for i, s := range spans {
			binary.BigEndian.PutUint64(s.TraceId, n+uint64(i/16)+1)
		}
		n += 32
		body := encode(b, from("api-gateway", spans...))
		b.StartTimer()
		require.Equal(b, http.StatusOK, post(rc, body).Code)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/span")
}
