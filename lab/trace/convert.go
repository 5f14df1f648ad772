package trace

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// The limits of a span. What is over them is left out.
const (
	maxAttributes = 64
	maxEvents     = 64
	maxText       = 1024 // bytes of a name or an attribute's value
)

// found are the spans of an export by trace, and what was wrong with the others.
type found struct {
	byTrace  map[string][]Span
	rejected int
	why      string // of the first rejected span
}

// convert returns the spans of an export request.
func convert(resources []*tracepb.ResourceSpans) found {
	f := found{byTrace: map[string][]Span{}}
	for _, r := range resources {
		o := originOf(r.GetResource().GetAttributes())
		for _, scope := range r.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				if why := mistake(s); why != "" {
					f.rejected++
					f.why = cmp.Or(f.why, why)
					continue
				}
				id := hex.EncodeToString(s.GetTraceId())
				f.byTrace[id] = append(f.byTrace[id], o.spans(s)...)
			}
		}
	}
	return f
}

// mistake returns what is wrong with a span, or "".
func mistake(s *tracepb.Span) string {
	isID := func(id []byte, length int) bool { return len(id) == length && strings.Trim(string(id), "\x00") != "" }
	switch {
	case !isID(s.GetTraceId(), 16):
		return fmt.Sprintf("traceId: %.40x: must be 16 bytes, not all zero", s.GetTraceId())
	case !isID(s.GetSpanId(), 8):
		return fmt.Sprintf("spanId: %.40x: must be 8 bytes, not all zero", s.GetSpanId())
	case len(s.GetParentSpanId()) != 0 && !isID(s.GetParentSpanId(), 8):
		return fmt.Sprintf("parentSpanId: %.40x: must be 8 bytes, not all zero, or empty", s.GetParentSpanId())
	case s.GetStartTimeUnixNano() == 0 || s.GetStartTimeUnixNano() > s.GetEndTimeUnixNano() || s.GetEndTimeUnixNano() > 1<<63-1:
		return fmt.Sprintf("startTimeUnixNano: %d: must be more than 0 and at most endTimeUnixNano, %d", s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano())
	}
	return ""
}

// origin is the program that made spans.
type origin struct {
	service, pod string
	proxy        bool
}

func originOf(resource []*commonpb.KeyValue) (o origin) {
	a := attributes(resource)
	o.service, o.pod = text(a, "service.name"), text(a, "service.instance.id")
	if text(a, "telemetry.sdk.name") == "envoy" { // of proxies service.name is NAME.NAMESPACE
		o.proxy = true
		o.service, _, _ = strings.Cut(o.service, ".")
	}
	o.service = cmp.Or(o.service, "unknown")
	return o
}

// spans returns a span and its events.
func (o origin) spans(from *tracepb.Span) []Span {
	s := Span{
		ID: hex.EncodeToString(from.GetSpanId()), Parent: hex.EncodeToString(from.GetParentSpanId()),
		Service: o.service, Pod: o.pod, Proxy: o.proxy, Name: short(from.GetName()),
		Kind:  strings.ToLower(strings.TrimPrefix(from.GetKind().String(), "SPAN_KIND_")),
		Start: at(from.GetStartTimeUnixNano()), Duration: Seconds(from.GetEndTimeUnixNano() - from.GetStartTimeUnixNano()),
		Attributes: attributes(from.GetAttributes()),
	}
	if o.proxy { // sidecar~IP~POD.NAMESPACE~DOMAIN
		s.Name = attemptName(s.Name)
		if node := strings.Split(text(s.Attributes, "node_id"), "~"); len(node) == 4 {
			s.Pod, _, _ = strings.Cut(node[2], ".")
		}
	}
	s.Status, s.Reason = judge(&s, from.GetStatus())
	all := []Span{s}
	events := from.GetEvents()
	for i, e := range events[:min(len(events), maxEvents)] {
		event := Span{
			ID: s.ID + "-" + strconv.Itoa(i), Parent: s.ID, Service: s.Service, Pod: s.Pod, Proxy: s.Proxy, Kind: kindEvent,
			Name: short(e.GetName()), Start: at(e.GetTimeUnixNano()), Status: OK, Attributes: attributes(e.GetAttributes()),
		}
		event.Reason = text(event.Attributes, keyReason)
		all = append(all, event)
	}
	return all
}

// attemptName returns the name of an attempt of a proxy, "router outbound|8080|safe|HOST.DOMAIN; egress", as
// "attempt HOST (safe)". It returns other names unchanged.
func attemptName(name string) string {
	cluster, isAttempt := strings.CutPrefix(name, "router ")
	parts := strings.Split(strings.TrimRight(strings.TrimSuffix(cluster, " egress"), ";"), "|")
	if !isAttempt || len(parts) != 4 {
		return name
	}
	host, _, _ := strings.Cut(parts[3], ".")
	if parts[2] != "" {
		host += " (" + parts[2] + ")"
	}
	return "attempt " + host
}

// Names that the services' library gives to spans, events and attributes.
const (
	kindEvent   = "event"
	keyReason   = "fleetman.reason"
	keyFallback = "fleetman.fallback"
	keyFault    = "fleetman.fault"
)

// isFallback reports whether a span was answered with a fallback.
func isFallback(s *Span) bool { return s.Kind != kindEvent && s.Attributes[keyFallback] != nil }

// judge returns the status of a span, and its reason: the status's message, the proxy's response flags or
// the code of the answer; then an injected fault.
func judge(s *Span, status *tracepb.Status) (Status, string) {
	code := number(s.Attributes, "http.response.status_code", "http.status_code")
	result := OK
	if status.GetCode() == tracepb.Status_STATUS_CODE_ERROR || code >= 500 || s.Proxy && text(s.Attributes, "error") == "true" {
		result = Failed
	}
	reasons := []string{short(status.GetMessage()), text(s.Attributes, keyReason)}
	if s.Proxy {
		reasons = append(reasons, flagReasons(text(s.Attributes, "response_flags")))
	}
	if result == Failed && code > 0 {
		reasons = append(reasons, "status "+strconv.Itoa(code))
	}
	if fault := text(s.Attributes, keyFault); fault != "" {
		reasons = append(reasons, "injected: "+fault)
	}
	if fallback := text(s.Attributes, keyFallback); fallback != "" {
		reasons = append(reasons, "fallback: "+fallback)
	}
	return result, strings.Join(slices.DeleteFunc(reasons, func(reason string) bool { return reason == "" }), ", ")
}

// title returns the name of a span, with the path of its request if it has one.
func title(s *Span) string {
	method := cmp.Or(text(s.Attributes, "http.request.method"), text(s.Attributes, "http.method"))
	path := text(s.Attributes, "url.path")
	if u, err := url.Parse(cmp.Or(text(s.Attributes, "url.full"), text(s.Attributes, "http.url"))); path == "" && err == nil {
		path = u.Path
	}
	if method == "" || path == "" {
		return s.Name
	}
	return method + " " + path
}

// attributes returns the attributes as strings, numbers and booleans.
func attributes(list []*commonpb.KeyValue) map[string]any {
	a := make(map[string]any, min(len(list), maxAttributes))
	for _, kv := range list {
		if len(a) == maxAttributes {
			break
		}
		key := short(kv.GetKey())
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			a[key] = short(v.StringValue)
		case *commonpb.AnyValue_IntValue:
			a[key] = v.IntValue
		case *commonpb.AnyValue_BoolValue:
			a[key] = v.BoolValue
		case *commonpb.AnyValue_DoubleValue:
			a[key] = double(v.DoubleValue)
		case nil:
		default:
			a[key] = short(fmt.Sprint(kv.GetValue()))
		}
	}
	return a
}

// double returns a number, or the text of one that JSON does not have.
func double(v float64) any {
	if v-v != 0 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return v
}

func text(a map[string]any, key string) string {
	s, _ := a[key].(string)
	return s
}

// number returns the first of the attributes that is a whole number, or 0. Envoy's are strings.
func number(a map[string]any, keys ...string) int {
	for _, key := range keys {
		switch v := a[key].(type) {
		case int64:
			return int(v)
		case string:
			if n, err := strconv.Atoi(v); err == nil {
				return n
			}
		}
	}
	return 0
}

func at(nanoseconds uint64) time.Time { return time.Unix(0, int64(nanoseconds)).UTC() }

// short returns text without what is over the limit. It is a copy, so that it does not keep the request.
func short(text string) string {
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return strings.Clone(text)
}

// sizeOf returns about how much memory a span takes.
func sizeOf(s *Span) int {
	size := 400 + len(s.Name) + len(s.Reason)
	for key, value := range s.Attributes {
		size += 64 + len(key)
		if v, ok := value.(string); ok {
			size += len(v)
		}
	}
	return size
}
