package envoy

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// AccessEntry is one line of the access log. Strings are empty and numbers 0
// where Envoy had nothing to say.
type AccessEntry struct {
	Time       time.Time `json:"time"` // when the request began
	TraceID    string    `json:"trace_id"`
	RequestID  string    `json:"request_id"`
	Check      string    `json:"check"` // the request's x-fleetman-check
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Host       string    `json:"host"`
	Status     int       `json:"status"` // 0: no answer was sent
	Flags      string    `json:"flags"`  // of the response, "-" for none
	Details    string    `json:"details"`
	Terminated string    `json:"terminated"`
	Transport  string    `json:"transport_error"`
	DurationMS float64   `json:"duration_ms"`
	Tries      int       `json:"tries"`    // for a host, found or not; 0: none was looked for
	Cluster    string    `json:"cluster"`  // outbound|8080|SUBSET|HOST or inbound|8080||
	Upstream   string    `json:"upstream"` // ADDRESS:PORT of the last try
	Downstream string    `json:"downstream"`
	Identity   string    `json:"identity"` // the caller's SPIFFE name; empty in plaintext
	Fault      string    `json:"fault"`    // X-Fault of the answer
	Route      string    `json:"route"`
	Local      string    `json:"downstream_local"` // the listener's address
}

// Inbound tells a request to the proxy's own app from one that the app, or a
// gateway, sends.
func (e AccessEntry) Inbound() bool { return strings.HasPrefix(e.Cluster, "inbound|") }

// ParseAccess reads one line of an Envoy's log; ok is false for any other line.
func ParseAccess(line []byte) (entry AccessEntry, ok bool) {
	if !bytes.Contains(line, []byte(`"msg":"access"`)) {
		return AccessEntry{}, false
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return AccessEntry{}, false
	}
	return entry, true
}
