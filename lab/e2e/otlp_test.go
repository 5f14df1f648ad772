package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span is a span of a trace. kind is INTERNAL, SERVER or CLIENT.
type span struct {
	service, kind, name string
	trace, id, parent   string // hexadecimal; the parent of a root is empty
	start               uint64
}

// record is a log record.
type record struct{ service, text, trace, span string }

// collector receives traces and logs in OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []span
	records []record
}

func newCollector(t testing.TB) *collector {
	c := new(collector)
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = c.take(r.URL.Path, body)
		}
		if err != nil {
			t.Errorf("collector: %s: %v", r.URL.Path, err)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// take decodes an export request. The messages of the storage format have the same encoding.
func (c *collector) take(path string, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path {
	case "/v1/traces":
		var data trace.TracesData
		if err := proto.Unmarshal(body, &data); err != nil {
			return err
		}
		for _, r := range data.ResourceSpans {
			for _, scope := range r.ScopeSpans {
				for _, s := range scope.Spans {
					c.spans = append(c.spans, span{
						service(r.Resource), strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"), s.Name,
						fmt.Sprintf("%x", s.TraceId), fmt.Sprintf("%x", s.SpanId), fmt.Sprintf("%x", s.ParentSpanId), s.StartTimeUnixNano,
					})
				}
			}
		}
	case "/v1/logs":
		var data logs.LogsData
		if err := proto.Unmarshal(body, &data); err != nil {
			return err
		}
		for _, r := range data.ResourceLogs {
			for _, scope := range r.ScopeLogs {
				for _, l := range scope.LogRecords {
					c.records = append(c.records, record{service(r.Resource), l.Body.GetStringValue(), fmt.Sprintf("%x", l.TraceId), fmt.Sprintf("%x", l.SpanId)})
				}
			}
		}
	default:
		return fmt.Errorf("unexpected path")
	}
	return nil
}

func service(r *resource.Resource) string {
	i := slices.IndexFunc(r.GetAttributes(), func(a *common.KeyValue) bool { return a.Key == "service.name" })
	if i < 0 {
		return "?"
	}
	return r.Attributes[i].Value.GetStringValue()
}

// of returns the spans of a service, or of all when it is "", by their traces.
func (c *collector) of(service string) map[string][]span {
	c.mu.Lock()
	defer c.mu.Unlock()
	byTrace := map[string][]span{}
	for _, s := range c.spans {
		if service == "" || s.service == service {
			byTrace[s.trace] = append(byTrace[s.trace], s)
		}
	}
	return byTrace
}

// traces returns drawings of the traces whose first span is named root, keyed by trace ID: a line for each
// span, indented below its parent, in the order of their starts. A span without its parent is not indented,
// so the drawing of an incomplete trace differs from that of a complete one.
func (c *collector) traces(root string) map[string]string {
	drawn := map[string]string{}
	for id, spans := range c.of("") {
		if slices.ContainsFunc(spans, func(s span) bool { return s.parent == "" && s.service+" "+s.name == root }) {
			drawn[id] = draw(spans)
		}
	}
	return drawn
}

func draw(spans []span) string {
	slices.SortFunc(spans, func(a, b span) int { return int(int64(a.start - b.start)) })
	var b strings.Builder
	var below func(parent, indent string)
	below = func(parent, indent string) {
		for _, s := range spans {
			if s.parent == parent {
				fmt.Fprintf(&b, "%s%s %s %s\n", indent, s.service, s.kind, s.name)
				below(s.id, indent+"  ")
			}
		}
	}
	below("", "")
	for _, s := range spans {
		if s.parent != "" && !slices.ContainsFunc(spans, func(other span) bool { return other.id == s.parent }) {
			fmt.Fprintf(&b, "no parent: %s %s %s\n", s.service, s.kind, s.name)
		}
	}
	return b.String()
}

// logged returns a service's log records with the given text.
func (c *collector) logged(service, text string) (found []record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		if r.service == service && r.text == text {
			found = append(found, r)
		}
	}
	return found
}
