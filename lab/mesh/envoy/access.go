package envoy

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// AccessEntry is one entry of the access log, each field with its format in Envoy's log. Fields for which Envoy has
// no value are empty or 0.
type AccessEntry struct {
	Time       time.Time `json:"time" envoy:"%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%"` // when the request began
	TraceID    string    `json:"trace_id" envoy:"%TRACE_ID%"`
	RequestID  string    `json:"request_id" envoy:"%REQ(X-REQUEST-ID)%"`
	Check      string    `json:"check" envoy:"%REQ(X-FLEETMAN-CHECK)%"` // the request's x-fleetman-check
	Method     string    `json:"method" envoy:"%REQ(:METHOD)%"`
	Path       string    `json:"path" envoy:"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"`
	Host       string    `json:"host" envoy:"%REQ(:AUTHORITY)%"`
	Status     int       `json:"status" envoy:"%RESPONSE_CODE%"` // 0: no response was sent
	Flags      string    `json:"flags" envoy:"%RESPONSE_FLAGS%"` // of the response, "-" for none
	Details    string    `json:"details" envoy:"%RESPONSE_CODE_DETAILS%"`
	Terminated string    `json:"terminated" envoy:"%CONNECTION_TERMINATION_DETAILS%"`
	Transport  string    `json:"transport_error" envoy:"%UPSTREAM_TRANSPORT_FAILURE_REASON%"`
	DurationMS float64   `json:"duration_ms" envoy:"%DURATION%"`
	Tries      int       `json:"tries" envoy:"%UPSTREAM_REQUEST_ATTEMPT_COUNT%"` // attempts; 0: Envoy did not try to send it
	Cluster    string    `json:"cluster" envoy:"%UPSTREAM_CLUSTER_RAW%"`         // outbound|8080|SUBSET|HOST or inbound|8080||
	Upstream   string    `json:"upstream" envoy:"%UPSTREAM_HOST%"`               // ADDRESS:PORT of the last attempt
	Downstream string    `json:"downstream" envoy:"%DOWNSTREAM_REMOTE_ADDRESS%"`
	Identity   string    `json:"identity" envoy:"%DOWNSTREAM_PEER_URI_SAN%"` // the caller's SPIFFE ID; empty in plaintext
	Fault      string    `json:"fault" envoy:"%RESP(X-FAULT)%"`              // the response's X-Fault
	Route      string    `json:"route" envoy:"%ROUTE_NAME%"`
	Local      string    `json:"downstream_local" envoy:"%DOWNSTREAM_LOCAL_ADDRESS%"` // the listener's address
}

// Inbound reports whether the proxy routed the request to its own program. It is false for an inbound request that
// the proxy refused: its entry has no cluster.
func (e AccessEntry) Inbound() bool { return strings.HasPrefix(e.Cluster, "inbound|") }

// ParseAccess parses a line of Envoy's log. ok is false when the line is no access-log entry.
func ParseAccess(line []byte) (entry AccessEntry, ok bool) {
	if !bytes.Contains(line, []byte(`"msg":"access"`)) || json.Unmarshal(line, &entry) != nil {
		return AccessEntry{}, false
	}
	return entry, true
}
