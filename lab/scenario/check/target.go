package check

import (
	"context"
	"net"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

// Start runs a fleet of these objects and returns when it is in step: its pods
// are ready, its proxies know each other, its vehicles have positions. After an
// error nothing is left running. Fleets that run at once have different places,
// counted from 0.
type Start func(ctx context.Context, place int, objects *manifest.Objects) (Target, error)

// Target is a running fleet, on this machine or on a cluster.
type Target interface {
	// Route leads from where requests enter to where they go; to is the
	// host:port that a workload calls.
	Route(from scenario.Origin, to string) (Route, error)
	// Received are the calls so far whose header x-fleetman-check is the given
	// one, as the pods that took them or the proxies beside them saw it.
	Received(ctx context.Context, check string) ([]Call, error)
	// SetFaults gives the pods of a Deployment rules in the grammar of FAULTS;
	// "none" repairs them.
	SetFaults(ctx context.Context, deployment, rules string) error
	// Err is what made the run worthless, such as an update that a proxy
	// rejected.
	Err() error
	// Stop ends it, and returns when nothing is left.
	Stop()
}

// Route is how to reach a fleet.
type Route struct {
	// Host is the authority that requests have when they name no other.
	Host string
	// Dial connects. Sources are counted from 1, each an address of its own; 0
	// is any.
	Dial func(ctx context.Context, source int) (net.Conn, error)
}

// Call is one call that a workload took.
type Call struct {
	Deployment   string
	Method, Path string
	// Identity is the caller's SPIFFE name; empty in plaintext.
	Identity string
}
