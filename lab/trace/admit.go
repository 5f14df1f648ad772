package trace

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// maxRate is the number of spans that are decoded in a second: about 2 % of a core. With more, whole traces
// are left out.
const maxRate = 1000

// admission selects traces by the last two bytes of their IDs, which are random: it admits those that are
// below a share of all values. So all spans of a trace are admitted, or none.
type admission struct {
	mu    sync.Mutex
	began time.Time // of the current second
	seen  int       // spans since then
	share uint32    // of 65536; 0 before the first second: all
}

// admit counts a span, and reports whether its trace is admitted.
func (a *admission) admit(traceID []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.Sub(a.began) >= time.Second {
		rate := float64(a.seen) / max(1, now.Sub(a.began).Seconds())
		a.began, a.seen, a.share = now, 0, uint32(65536*min(1, maxRate/max(1, rate)))
	}
	a.seen++
	return a.share == 0 || len(traceID) != 16 || uint32(binary.BigEndian.Uint16(traceID[14:])) < a.share
}

// NewID returns a random trace ID, in hexadecimal, that is admitted at any rate.
func NewID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[14], id[15] = 0, 0
	return hex.EncodeToString(id)
}

// The fields of OTLP's messages.
const (
	fieldResourceSpans = 1 // of ExportTraceServiceRequest
	fieldResource      = 1 // of ResourceSpans
	fieldScopeSpans    = 2 // of ResourceSpans
	fieldSpans         = 2 // of ScopeSpans
	fieldTraceID       = 1 // of Span
)

// decode returns the spans of an ExportTraceServiceRequest whose traces are admitted. It skips the others
// undecoded, which takes a hundredth of the time.
func decode(body []byte, admit func(traceID []byte) bool) (all []*tracepb.ResourceSpans, err error) {
	err = eachField(body, fieldResourceSpans, func(resourceSpans []byte) error {
		r := &tracepb.ResourceSpans{Resource: new(resourcepb.Resource), ScopeSpans: []*tracepb.ScopeSpans{{}}}
		err := eachField(resourceSpans, fieldResource, func(resource []byte) error { return proto.Unmarshal(resource, r.Resource) })
		if err != nil {
			return err
		}
		all = append(all, r)
		return eachField(resourceSpans, fieldScopeSpans, func(scopeSpans []byte) error {
			return eachField(scopeSpans, fieldSpans, func(text []byte) error {
				var id []byte
				if err := eachField(text, fieldTraceID, func(value []byte) error { id = value; return nil }); err != nil || !admit(id) {
					return err
				}
				span := new(tracepb.Span)
				r.ScopeSpans[0].Spans = append(r.ScopeSpans[0].Spans, span)
				return proto.Unmarshal(text, span)
			})
		})
	})
	return all, err
}

// eachField calls do with each value of one field of a message, whose type is bytes or a message.
func eachField(message []byte, field protowire.Number, do func(value []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if number == field {
			if kind != protowire.BytesType {
				return errors.New("wrong type of a field")
			}
			value, _ := protowire.ConsumeBytes(message)
			if err := do(value); err != nil {
				return err
			}
		}
		message = message[size:]
	}
	return nil
}
