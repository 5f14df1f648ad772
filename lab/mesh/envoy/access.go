package envoy

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// AccessEntry is one entry of the access log. Fields for which Envoy has no value are empty or 0.
type AccessEntry struct {
	Time       time.Time `json:"time"` // when the request began
	TraceID    string    `json:"trace_id"`
	RequestID  string    `json:"request_id"`
	Check      string    `json:"check"` // the request's x-fleetman-check
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Host       string    `json:"host"`
	Status     int       `json:"status"` // 0: no response was sent
	Flags      string    `json:"flags"`  // of the response, "-" for none
	Details    string    `json:"details"`
	Terminated string    `json:"terminated"`
	Transport  string    `json:"transport_error"`
	DurationMS float64   `json:"duration_ms"`
	Tries      int       `json:"tries"`    // attempts; 0: Envoy did not try to send it
	Cluster    string    `json:"cluster"`  // outbound|8080|SUBSET|HOST or inbound|8080||
	Upstream   string    `json:"upstream"` // ADDRESS:PORT of the last attempt
	Downstream string    `json:"downstream"`
	Identity   string    `json:"identity"` // the caller's SPIFFE ID; empty in plaintext
	Fault      string    `json:"fault"`    // the response's X-Fault
	Route      string    `json:"route"`
	Local      string    `json:"downstream_local"` // the listener's address
}

// Inbound reports whether the request was to the proxy's own program, not from it or through a gateway.
func (e AccessEntry) Inbound() bool { return strings.HasPrefix(e.Cluster, "inbound|") }

// ParseAccess parses a line of Envoy's log. ok is false when the line is no access-log entry.
func ParseAccess(line []byte) (entry AccessEntry, ok bool) {
	if !bytes.Contains(line, []byte(`"msg":"access"`)) {
		return AccessEntry{}, false
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return AccessEntry{}, false
	}
	return entry, true
}
