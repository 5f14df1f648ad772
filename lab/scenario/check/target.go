package check

import (
	"context"
	"net"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

// Start starts a fleet of the objects and returns when its pods are ready, its proxies are in sync and its
// vehicles have positions. After an error nothing is left running. Fleets that run at the same time have
// different places, counted from 0.
type Start func(ctx context.Context, place int, objects *manifest.Objects) (Target, error)

// Target is a running fleet, on this machine or on a cluster.
type Target interface {
	// Route returns the route of requests, by their From, To and EachSource. It waits until the route can
	// be used.
	Route(ctx context.Context, r *scenario.Requests) (Route, error)
	// Received returns the calls so far with the given x-fleetman-check, from the logs of the pods or
	// their proxies.
	Received(ctx context.Context, check string) ([]Call, error)
	// Proxies returns the proxies of the fleet's pods and of the ingress gateway, with their control planes.
	Proxies(ctx context.Context) ([]Proxy, error)
	// SetFaults sets the rules of a Deployment's pods, in the grammar of FAULTS. "none" removes all.
	SetFaults(ctx context.Context, deployment, rules string) error
	// Kill deletes a Deployment's pods, which are replaced. It does not wait for either.
	Kill(ctx context.Context, deployment string) error
	// Err returns why the observations are invalid, or nil. An update of listeners, clusters or routes
	// that a proxy has rejected, at any time, is an error.
	Err(ctx context.Context) error
	// Stop stops the fleet and returns when nothing is left running.
	Stop()
}

// Route is the way of requests into a fleet.
type Route struct {
	// Host is the default of the requests' Host header.
	Host string
	// Dial connects to the fleet. Each source, counted from 1, has its own address; 0 means any address.
	Dial func(ctx context.Context, source int) (net.Conn, error)
}

// Proxy is a proxy and its control plane.
type Proxy struct {
	Deployment string
	// Revision is that of the control plane which has the proxy's connection. It is empty without one.
	Revision string
}

// Call is a call that a workload received.
type Call struct {
	Deployment   string
	Method, Path string
	// Identity is the caller's SPIFFE ID. It is empty in plaintext.
	Identity string
}
