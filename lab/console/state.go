package console

import (
	"time"

	"fleetman.example/lab/local"
)

// State is a fleet at one time, as the page shows it.
type State struct {
	Place
	Time      time.Time `json:"time"`
	Since     time.Time `json:"since"`
	Manifests []string  `json:"manifests"`
	Mesh      bool      `json:"mesh"`
	Nodes     []*Node   `json:"nodes"`
	Edges     []Edge    `json:"edges"`
	Point     Point     `json:"point"`
	Load      LoadState `json:"load"`
	// Events are those since the last state.
	Events []local.Event `json:"events"`
}

// Kinds of nodes.
const (
	kindService  = "service"  // a Service, or a Deployment without one
	kindGateway  = "gateway"  // of the mesh
	kindExternal = "external" // outside of the fleet
)

// Node is a Service with its pods, a gateway, or a system outside of the fleet.
type Node struct {
	ID   string    `json:"id"`
	Kind string    `json:"kind"`
	Pods []PodView `json:"pods"`
}

// PodView is a pod in the graph.
type PodView struct {
	Name       string    `json:"name"`
	Deployment string    `json:"deployment"`
	Image      string    `json:"image"`
	Variant    string    `json:"variant,omitempty"`
	Ready      bool      `json:"ready"`
	State      string    `json:"state"`
	Why        string    `json:"why,omitempty"`
	Restarts   int       `json:"restarts"`
	Started    time.Time `json:"started,omitzero"`
	Serves     bool      `json:"serves"` // has a port for requests
	Faults     string    `json:"faults,omitempty"`
	Proxied    bool      `json:"proxied"`
	// Library reports whether a stage of the library's chain is on in its calls.
	Library bool `json:"library"`
	// Received is what the pod has answered.
	Received Flow `json:"received"`
	// Blocks are the breakers and ejections that keep requests from the pod.
	Blocks []Block `json:"blocks,omitempty"`
}

// Flow has the requests within the window.
type Flow struct {
	Rate   float64 `json:"rate"`   // per second
	Errors float64 `json:"errors"` // share
	P50    float64 `json:"p50"`    // in seconds; 0 without requests
	P99    float64 `json:"p99"`
}

// By names what made a block.
const (
	byLibrary = "library" // a breaker of the caller's program
	byMesh    = "mesh"    // outlier detection of the caller's proxy
)

// Block is a breaker that is not closed, or an ejection.
type Block struct {
	By    string    `json:"by"`    // library, mesh
	In    string    `json:"in"`    // the calling pod, or the gateway
	State string    `json:"state"` // open, half-open, ejected
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // at the earliest
	Cause string    `json:"cause,omitempty"`
	Times int       `json:"times,omitempty"` // of an ejection
	pod   string    // that it is about; empty: the whole upstream
}

// Edge is the calls of one node to another.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Flow has the attempts of the caller's programs, after the retries of their proxies; of a gateway,
	// those of the proxy.
	Flow
	Retries     float64 `json:"retries"`     // of the library, per second
	MeshRetries float64 `json:"meshRetries"` // of proxies, per second
	// TLS is mutual when all connections of proxies within the window used mutual TLS, plain when none
	// did, mixed, or empty without proxies and before the first connection.
	TLS string `json:"tls,omitempty"`
	// Blocks are the breakers of the whole upstream, and those of its pods.
	Blocks []Block `json:"blocks,omitempty"`
	Counts Counts  `json:"counts"`
}

// Counts has the requests since the first page was opened.
type Counts struct {
	Attempts    float64 `json:"attempts"` // of programs
	Failed      float64 `json:"failed"`
	Retries     float64 `json:"retries"`
	Wire        float64 `json:"wire"` // attempts of proxies
	MeshRetries float64 `json:"meshRetries"`
}

// Point is one second of the strips.
type Point struct {
	Time time.Time `json:"time"`
	// Of is what the outcomes are of: load (the console's own), or the entry's node.
	Of       string  `json:"of"`
	Good     float64 `json:"good"`
	Degraded float64 `json:"degraded"` // answered by a fallback
	Failed   float64 `json:"failed"`
	// Calls are the calls between services, Attempts what was sent for them.
	Calls    float64 `json:"calls"`
	Attempts float64 `json:"attempts"`
}
