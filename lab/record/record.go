package record

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kinds of lines.
const (
	KindComparison = "comparison" // the first line
	KindRun        = "run"        // the first line of a run
	KindRequest    = "request"    // one request of the load
	KindEvent      = "event"      // one change of a pod, a breaker or a fault
	KindSample     = "sample"     // one process's counters at one offset
	KindPosition   = "position"   // one report of a vehicle, as the tracker keeps it
)

// Key names the run that a line belongs to: one arm, one fault, one seed.
type Key struct {
	Kind  string `json:"kind"`
	Arm   string `json:"arm"`
	Fault string `json:"fault"`
	Seed  uint64 `json:"seed"`
	// Repeat distinguishes runs with the same seed: 0, 1, ...
	Repeat int `json:"repeat,omitempty"`
}

// Run is one arm with one fault and one seed. The fault is set at FaultAt and
// cleared at RepairAt; the run ends at End.
type Run struct {
	Key
	Began    time.Time `json:"began"`
	Rate     float64   `json:"rate"` // requests per second
	FaultAt  Offset    `json:"faultAt"`
	RepairAt Offset    `json:"repairAt"`
	End      Offset    `json:"end"`
	Rules    string    `json:"rules"`    // the fault's
	Pods     []string  `json:"pods"`     // those that had the fault
	Replicas int       `json:"replicas"` // of the service that had it
	Curve    bool      `json:"curve,omitempty"`
	// LoadUntil is the end of the load, if before End: what processes use after
	// it, they use without load.
	LoadUntil Offset `json:"loadUntil,omitempty"`
	// Entry is the service that the load's requests reach first.
	Entry string `json:"entry,omitempty"`
	// Hops are the calls of services to each other that were seen.
	Hops []Hop `json:"hops,omitempty"`
	// ArmOf, FaultOf and Point are set in a sweep: the arm and the fault of the
	// experiment, and the values of the sweep in this run.
	ArmOf   string            `json:"armOf,omitempty"`
	FaultOf string            `json:"faultOf,omitempty"`
	Point   map[string]string `json:"point,omitempty"`
	// Settings are the arm's: its manifests, then "SERVICE NAME=VALUE".
	Settings []string `json:"settings,omitempty"`
	// Inputs are what the run was made from: a run with others is of another comparison.
	Inputs Inputs `json:"inputs,omitzero"`
	// Notes are those of the mesh: objects that change no proxy, and warnings of
	// istioctl analyze.
	Notes []string `json:"notes,omitempty"`
	// Measurements counts how often the run was made until its load was on time.
	Measurements int `json:"measurements"`
	// Lines is how many lines of the run follow this one.
	Lines int `json:"lines"`

	Requests  []Request  `json:"-"`
	Events    []Event    `json:"-"`
	Samples   []Sample   `json:"-"`
	Positions []Position `json:"-"`
}

// Inputs are digests of the parts of an experiment from which a run is made.
type Inputs struct {
	Arm   string `json:"arm"` // its objects and settings
	Fault string `json:"fault"`
	Load  string `json:"load"` // and the phases
}

// Name is how a run is called in messages.
func (k Key) Name() string {
	name := fmt.Sprintf("%s, %s, seed %d", k.Arm, k.Fault, k.Seed)
	if k.Repeat > 0 {
		name += fmt.Sprintf(", repeat %d", k.Repeat)
	}
	return name
}

// Same reports whether two keys name the same run, of whatever kind their lines
// are.
func (k Key) Same(other Key) bool {
	k.Kind = other.Kind
	return k == other
}

// Routes of the load.
const (
	RouteDriver    = "driver"    // who drives a vehicle
	RoutePositions = "positions" // all positions, as the page reads them
)

// Request is one request of the load. Its latency counts from Intended, the
// start that the schedule gives it.
type Request struct {
	Key
	Intended Offset `json:"intended"`
	Start    Offset `json:"start"` // the actual one
	End      Offset `json:"end"`
	Route    string `json:"route"`
	Vehicle  string `json:"vehicle,omitempty"`
	Status   int    `json:"status"`             // 0: no answer
	Degraded string `json:"degraded,omitempty"` // the answer's X-Fallback
	Error    string `json:"error,omitempty"`
	// Delayed requests could not start in time: too many were in flight.
	Delayed  bool   `json:"delayed,omitempty"`
	Injected string `json:"injected,omitempty"` // the answer's X-Fault
	// Origin is the answer's X-Error-Origin: "breaker; service=staff-service".
	Origin string `json:"origin,omitempty"`
	// AccessLog is what the proxies logged of a request that failed, in the order
	// in which it reached them.
	AccessLog []AccessLogEntry `json:"accessLog,omitempty"`
}

// Sides of an access-log entry.
const (
	AtGateway = "gateway" // through a gateway of the mesh
	Out       = "out"     // from a service, through its own proxy
	In        = "in"      // to a service, through its own proxy
)

// AccessLogEntry is one line of a proxy's access log.
type AccessLogEntry struct {
	At      Offset `json:"at"`
	Proxy   string `json:"proxy"` // the name of its pod or gateway
	Side    string `json:"side"`
	Status  int    `json:"status"` // 0: no answer
	Flags   string `json:"flags"`  // Envoy's response flags, "-" for none
	Details string `json:"details,omitempty"`
	To      string `json:"to,omitempty"` // the pod of the last attempt
	Fault   string `json:"fault,omitempty"`
}

// Latency is the time from the intended start to the end.
func (r Request) Latency() time.Duration { return time.Duration(r.End - r.Intended) }

// Lateness is the time from the intended start to the actual one.
func (r Request) Lateness() time.Duration { return time.Duration(r.Start - r.Intended) }

// Good reports whether the answer is a usable one and no fallback's.
func (r Request) Good() bool { return !r.Failed() && r.Degraded == "" }

// Failed reports whether there is no usable answer: one with another status than
// 200 to 299, or one that broke off.
func (r Request) Failed() bool { return r.Status/100 != 2 || r.Error != "" }

// LastKnown returns the age of a degraded answer that is the last known one; ok
// is false for any other answer, a placeholder among them.
func (r Request) LastKnown() (age time.Duration, ok bool) {
	rest, ok := strings.CutPrefix(r.Degraded, "last-known; age=")
	if !ok {
		return 0, false
	}
	age, err := time.ParseDuration(rest)
	return age, err == nil
}

// Names in Event.Who and Event.What.
const (
	Launcher = "fleetman" // in Who, besides the names of pods

	EventFaultSet     = "fault set"
	EventFaultCleared = "fault cleared"
	EventBreaker      = "breaker " // the new state follows: "breaker open"
	EventExited       = "exited"
	EventEjected      = "ejected"
	EventReturned     = "returned"
)

// Event is one change: Who a pod or the launcher, What a word or two.
type Event struct {
	Key
	At     Offset `json:"at"`
	Who    string `json:"who"`
	What   string `json:"what"`
	Detail string `json:"detail,omitempty"`
}

// Sample is what one process has counted since it began. The sample of a pod's
// proxy is one of its own, with the pod's name and ProxySuffix.
type Sample struct {
	Key
	At     Offset  `json:"at"`
	Pod    string  `json:"pod"`
	Counts []Count `json:"counts"`
	// UsageOnly samples have CPU and memory alone: the process's counters were not
	// read.
	UsageOnly bool `json:"usageOnly,omitempty"`
}

// ProxySuffix distinguishes a proxy's sample from its pod's.
const ProxySuffix = ".envoy"

// ControlPlane is the name of the mesh's control planes in samples: all revisions together.
const ControlPlane = "istiod"

// Names of counters.
const (
	CountClient        = "client"        // calls, by method and upstream: "GET staff-service"
	CountServer        = "server"        // requests, by method and route: "GET /driver/:vehicle"
	CountReports       = "reports"       // reports of vehicles, by outcome: "delivered"
	CountProxyAttempts = "proxyAttempts" // attempts of a proxy, by upstream service
	CountCPU           = "cpu"           // of a process, in seconds
	CountMemory        = "memory"        // of a process, in resident bytes
)

// Count is one counter's value: Of is what it counts.
type Count struct {
	Name string  `json:"name"`
	Of   string  `json:"of,omitempty"`
	N    float64 `json:"n"`
}

// Position is one report that the tracker has kept.
type Position struct {
	Key
	At      Offset `json:"at"` // of its receipt
	Vehicle string `json:"vehicle"`
}

// Offset is a time since the run's start; in JSON, seconds to the microsecond.
type Offset time.Duration

// MarshalJSON writes seconds.
func (o Offset) MarshalJSON() ([]byte, error) {
	text := strconv.AppendFloat(nil, math.Round(time.Duration(o).Seconds()*1e6)/1e6, 'f', 6, 64)
	return bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte(".")), nil
}

// UnmarshalJSON reads seconds.
func (o *Offset) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Abs(seconds) > 1e6 {
		return fmt.Errorf("offset: %.30s: must be seconds", text)
	}
	*o = Offset(math.Round(seconds*1e6)) * Offset(time.Microsecond)
	return nil
}
