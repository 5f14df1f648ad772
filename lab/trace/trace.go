package trace

import (
	"encoding/json"
	"time"
)

// Trace is the way of one request over services and proxies.
type Trace struct {
	Summary
	// Spans are in the order of their starts. An event of a span is a span of its own, with Kind "event"
	// and its parent's service.
	Spans []Span `json:"spans"`
	// Dropped is the number of spans over the limit of a trace.
	Dropped int `json:"dropped,omitempty"`
}

// Summary describes a trace in one line.
type Summary struct {
	ID       string    `json:"id"` // 32 hexadecimal digits
	Start    time.Time `json:"start"`
	Duration Seconds   `json:"duration"` // from the first span's start to the last one's end
	// Root is the service and the name of the first span.
	Root string `json:"root"`
	// Status is that of the first span, or "degraded" when a service answered with a fallback.
	Status Status `json:"status"`
	Count  int    `json:"count"` // of the spans
}

// Span is one step of a trace.
type Span struct {
	ID     string `json:"id"`               // 16 hexadecimal digits; of an event, its parent's with a number
	Parent string `json:"parent,omitempty"` // may be a span that has not arrived
	// Service is the name of the service, also for the span of its proxy.
	Service string `json:"service"`
	Pod     string `json:"pod,omitempty"`
	Proxy   bool   `json:"proxy"`
	// Kind is "server", "client", "internal", "event", or another kind of OpenTelemetry.
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Start    time.Time `json:"start"`
	Duration Seconds   `json:"duration"`
	Status   Status    `json:"status"`
	// Reason is why the status is not ok, or why the step was taken.
	Reason string `json:"reason,omitempty"`
	// Attributes have strings, numbers and booleans.
	Attributes map[string]any `json:"attributes"`
}

func (s *Span) end() time.Time { return s.Start.Add(time.Duration(s.Duration)) }

// Status is the outcome of a trace or span.
type Status string

// The statuses. Only a trace is degraded.
const (
	OK       Status = "ok"
	Degraded Status = "degraded"
	Failed   Status = "error"
)

// Seconds is a duration that is a number of seconds in JSON.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	var seconds float64
	err := json.Unmarshal(text, &seconds)
	*s = Seconds(seconds * float64(time.Second))
	return err
}
