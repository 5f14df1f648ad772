package envoy

import (
	"bytes"
	"encoding/json"
	"time"
)

// Ejection is an entry of the log about a host that outlier detection ejected or returned.
type Ejection struct {
	Time    time.Time `json:"timestamp"`
	Cluster string    `json:"cluster_name"`
	Host    string    `json:"upstream_url"` // ADDRESS:PORT
	Action  string    `json:"action"`       // EJECT or UNEJECT
	Type    string    `json:"type"`         // CONSECUTIVE_5XX, ...
	// Times is how often the host has been ejected. The ejection lasts Times * baseEjectionTime.
	Times int `json:"num_ejections"`
	// Enforced reports whether the host was ejected, not just detected.
	Enforced bool `json:"enforced"`
}

// ParseEjection parses a line of Envoy's log. ok is false when the line is not about an ejection, or about
// one that was detected and not enforced: each ejection by 5xx has such an entry about gateway failures.
func ParseEjection(line []byte) (event Ejection, ok bool) {
	if !bytes.Contains(line, []byte(`"upstream_url"`)) || !bytes.Contains(line, []byte(`"action"`)) {
		return Ejection{}, false
	}
	if err := json.Unmarshal(line, &event); err != nil || event.Action == "" {
		return Ejection{}, false
	}
	if event.Action == "EJECT" && !event.Enforced {
		return Ejection{}, false
	}
	return event, true
}
