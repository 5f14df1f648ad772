package console

import (
	"context"
	"iter"
	"net"
	"time"

	"github.com/prometheus/common/model"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/scenario"
)

// Source is a running fleet, on this machine or on a cluster.
type Source interface {
	// Read returns the state of the fleet and the counters of its pods and proxies. A pod or proxy that
	// does not respond before ctx ends has none.
	Read(ctx context.Context) (*Reading, error)
	// Patience bounds a reading: a pod that hangs must not delay the others' next one.
	Patience() time.Duration
	// Events yields the events since the fleet's start, then new ones, until ctx ends.
	Events(ctx context.Context) iter.Seq[local.Event]
	// Entry returns where requests of users enter the fleet.
	Entry(ctx context.Context) (Entry, error)
	// Change makes a change and returns a description of its effect. The error is for people.
	Change(ctx context.Context, c Change) (string, error)
	// Lessons returns the scenarios that Change can apply, and the documents of the open one.
	Lessons() (Lessons, error)
	// Check checks a promise of the open scenario on the running fleet.
	Check(ctx context.Context, promise int) (CheckResult, error)
}

// Entry is where requests of users enter a fleet.
type Entry struct {
	Address string
	Prefix  string // what precedes the gateway's paths
	// Dial connects to the address; nil is the network of this machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// url returns the URL of an entry, before the gateway's paths.
func (e Entry) url() string { return "http://" + e.Address + e.Prefix }

// Reading is a fleet at one time.
type Reading struct {
	Place
	Time      time.Time
	Manifests []string // paths of the manifests in force
	Since     time.Time
	Pods      []*Pod
	Proxies   []mesh.Traffic // nil without a mesh
}

// Place is where a fleet runs; the zero value is this machine, with all controls.
type Place struct {
	// Flags select the fleet in the commands of the page.
	Flags []string `json:"flags,omitempty"`
	// Cannot has a reason for each control that the place does not have: a kind of Change, or trace.
	Cannot map[string]string `json:"cannot,omitempty"`
}

// Pod is a pod and what its admin listener returned.
type Pod struct {
	local.Pod
	// Metrics has the samples of the names in Metrics, nil when they could not be read.
	Metrics   model.Vector
	Upstreams []faults.Upstream
}

// The metrics of pods that are read.
const (
	clientCount  = "http_client_request_duration_seconds_count"
	clientBucket = "http_client_request_duration_seconds_bucket"
	serverCount  = "http_server_request_duration_seconds_count"
	serverBucket = "http_server_request_duration_seconds_bucket"
	retriesTotal = "fleetman_upstream_retries_total"
	fallbacks    = "fleetman_upstream_fallbacks_total"
)

// Metrics are the names of the metrics that Read returns.
var Metrics = []string{clientCount, clientBucket, serverCount, serverBucket, retriesTotal, fallbacks}

// Change is a change of the fleet. Do is the kind, which determines the fields in use.
type Change struct {
	// Do is fault (Pod, Rules; no rules clear all), kill (Pod, Signal), pause (Pod), set (Deployment,
	// Name, Value), scale (Deployment, Replicas) or apply (Scenario).
	Do         string `json:"do"`
	Pod        string `json:"pod,omitempty"`
	Rules      string `json:"rules,omitempty"`
	Signal     string `json:"signal,omitempty"`
	Deployment string `json:"deployment,omitempty"`
	Name       string `json:"name,omitempty"`
	Value      string `json:"value,omitempty"`
	Replicas   int    `json:"replicas,omitempty"`
	Scenario   string `json:"scenario,omitempty"`
}

// Lessons are the scenarios, and the open one.
type Lessons struct {
	Scenarios []Scenario `json:"scenarios"`
	// Open is the scenario whose manifests are in force; nil for other manifests.
	Open *Lesson `json:"open"`
}

// Scenario is a scenario in the list.
type Scenario struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// Lesson is the open scenario.
type Lesson struct {
	Scenario
	HTML     string    `json:"html"` // its README, without markup of its own
	Promises []Promise `json:"promises"`
}

// Promise is a promise of the open scenario.
type Promise struct {
	Promise string `json:"promise"`
	// Seconds is the least time that its checks take.
	Seconds float64 `json:"seconds"`
	// Command checks the promise on a fleet of its own, with its control.
	Command string `json:"command"`
	// Instead is why the promise cannot be checked on the running fleet; empty: it can.
	Instead string `json:"instead,omitempty"`

	of *scenario.Promise
}

// CheckResult is the result of a promise on the running fleet.
type CheckResult struct {
	Holds    bool      `json:"holds"`
	Findings []Finding `json:"findings"`
}

// Finding is what one check of a promise saw.
type Finding struct {
	Requests string `json:"requests"`
	Holds    bool   `json:"holds"`
	Expected string `json:"expected"`
	Saw      string `json:"saw"`
}
