// Package record keeps what was seen while an arm met a fault: one JSON object
// a line, from which every figure of a report is computed.
package record

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Kinds of lines.
const (
	KindCell     = "cell"     // the first of a cell's
	KindRequest  = "request"  // of the load
	KindEvent    = "event"    // what was done, and what happened
	KindSample   = "sample"   // the services' own counts at one moment
	KindPosition = "position" // one report of a vehicle, as the tracker keeps it
)

// Key says which cell a line belongs to: one arm that met one fault with one
// seed.
type Key struct {
	Kind  string `json:"kind"`
	Arm   string `json:"arm"`
	Fault string `json:"fault"`
	Seed  uint64 `json:"seed"`
}

// Cell is all of one run: begin, fault at FaultAt, repair at RepairAt, End.
type Cell struct {
	Key
	Began    time.Time `json:"began"`
	Rate     float64   `json:"rate"` // requests a second
	FaultAt  Moment    `json:"faultAt"`
	RepairAt Moment    `json:"repairAt"`
	End      Moment    `json:"end"`
	Rules    string    `json:"rules"` // the fault's
	Pods     []string  `json:"pods"`  // that had it
	Curve    bool      `json:"curve,omitempty"`
	// LoadUntil is when the load ends, if before End: what is used from then on
	// is used without it.
	LoadUntil Moment `json:"loadUntil,omitempty"`
	Machine   string `json:"machine,omitempty"`

	Requests  []Request  `json:"-"`
	Events    []Event    `json:"-"`
	Samples   []Sample   `json:"-"`
	Positions []Position `json:"-"`
}

// Request is one request of the load. Its latency counts from Intended, when
// it was due.
type Request struct {
	Key
	Intended Moment `json:"intended"`
	Start    Moment `json:"start"`
	End      Moment `json:"end"`
	Vehicle  string `json:"vehicle"`
	Status   int    `json:"status"` // 0: no answer
	Degraded string `json:"degraded,omitempty"`
	Error    string `json:"error,omitempty"`
	Held     bool   `json:"held,omitempty"`     // it waited for room among the requests under way
	Injected string `json:"injected,omitempty"` // the answer's X-Fault
	// Passages are what the proxies' logs say of a request that failed, in the
	// order in which it reached them.
	Passages []Passage `json:"passages,omitempty"`
}

// Sides of a passage.
const (
	AtGateway = "gateway" // through a gateway of the mesh
	Out       = "out"     // from a service, through its own proxy
	In        = "in"      // to a service, through its own proxy
)

// Passage is one line of a proxy's access log.
type Passage struct {
	At      Moment `json:"at"`
	Proxy   string `json:"proxy"` // its pod, or the gateway's name
	Side    string `json:"side"`
	Status  int    `json:"status"` // 0: no answer
	Flags   string `json:"flags"`  // Envoy's response flags, "-" for none
	Details string `json:"details,omitempty"`
	To      string `json:"to,omitempty"` // the pod of the last try
	Fault   string `json:"fault,omitempty"`
}

// Latency is what the caller waited.
func (r Request) Latency() time.Duration { return time.Duration(r.End - r.Intended) }

// Good tells a fresh answer.
func (r Request) Good() bool { return r.Status == 200 && r.Error == "" && r.Degraded == "" }

// Failed tells a request without a usable answer.
func (r Request) Failed() bool { return r.Status != 200 || r.Error != "" }

// Event is one thing that happened: Who a pod or "fleetman", What a word or
// two.
type Event struct {
	Key
	At     Moment `json:"at"`
	Who    string `json:"who"`
	What   string `json:"what"`
	Detail string `json:"detail,omitempty"`
}

// Sample is what one pod has counted since its process began. That of its proxy
// is a sample of its own, of the pod's name with ProxySuffix.
type Sample struct {
	Key
	At     Moment  `json:"at"`
	Pod    string  `json:"pod"`
	Counts []Count `json:"counts"`
	// Usage tells that the pod was not asked: there are cpu and memory only, and
	// what it has counted is not known.
	Usage bool `json:"usage,omitempty"`
}

// ProxySuffix tells a proxy's sample from its pod's.
const ProxySuffix = ".envoy"

// ControlPlane is the name under which the mesh's control plane has samples.
const ControlPlane = "istiod"

// Count is a counter: Name is client, server or reports; Of is what it counts,
// such as "GET staff-service" or "GET /driver/:vehicle" or "delivered". A
// proxy's are tries, of the service they went to. Every process has cpu, in
// seconds, and memory, in resident bytes.
type Count struct {
	Name string  `json:"name"`
	Of   string  `json:"of,omitempty"`
	N    float64 `json:"n"`
}

// Position is one report that the tracker has kept.
type Position struct {
	Key
	At      Moment `json:"at"` // of its receipt
	Vehicle string `json:"vehicle"`
}

// Moment is a time since the cell's begin; seconds in JSON, to the
// microsecond.
type Moment time.Duration

// MarshalJSON writes seconds.
func (m Moment) MarshalJSON() ([]byte, error) {
	text := strconv.AppendFloat(nil, math.Round(time.Duration(m).Seconds()*1e6)/1e6, 'f', 6, 64)
	return bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte(".")), nil
}

// UnmarshalJSON reads seconds.
func (m *Moment) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Abs(seconds) > 1e6 {
		return fmt.Errorf("%.30s: seconds are expected", text)
	}
	*m = Moment(math.Round(seconds*1e6)) * Moment(time.Microsecond)
	return nil
}
