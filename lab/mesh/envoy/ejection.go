package envoy

import (
	"bytes"
	"encoding/json"
	"time"
)

// Ejection is a line of the log about a host that outlier detection shut out or
// let in again.
type Ejection struct {
	Time    time.Time `json:"timestamp"`
	Cluster string    `json:"cluster_name"`
	Host    string    `json:"upstream_url"` // ADDRESS:PORT
	Action  string    `json:"action"`       // EJECT or UNEJECT
	Type    string    `json:"type"`         // CONSECUTIVE_5XX, ...
	// Times is how often it has been ejected; the ejection lasts as many times
	// the base time.
	Times int `json:"num_ejections"`
	// Enforced is false for an ejection that was only noticed.
	Enforced bool `json:"enforced"`
}

// ParseEjection reads one line of an Envoy's log; ok is false for any other.
func ParseEjection(line []byte) (event Ejection, ok bool) {
	if !bytes.Contains(line, []byte(`"upstream_url"`)) || !bytes.Contains(line, []byte(`"action"`)) {
		return Ejection{}, false
	}
	if err := json.Unmarshal(line, &event); err != nil || event.Action == "" {
		return Ejection{}, false
	}
	return event, true
}
