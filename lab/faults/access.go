package faults

import (
	"context"
	"net"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/usage"
)

// Access sets, reads and verifies the faults of a fleet's pods: those of requests in the pods, those of connections in
// the launcher.
type Access struct {
	Client *Client
	// Connections is nil on a cluster, where no connection has faults.
	Connections Connections
	// Dial connects to a pod's program. Defaults to a connection on this machine.
	Dial Dial
	// DialProxy connects to a pod's proxy, from outside the pod. Defaults to Dial if that is nil: else the
	// proxy is skipped.
	DialProxy Dial
	// RestartTimeout is how long a crashed pod may take to get ready again. Defaults to 30 s.
	RestartTimeout time.Duration
}

// Connections sets the fault of a pod's connections, which the launcher makes.
type Connections interface {
	Connect(ctx context.Context, pod string) (local.ConnectState, error)
	SetConnect(ctx context.Context, pod, rule string) (local.ConnectState, error)
}

// Dial connects to an address.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Get returns all rules of a pod.
func (a Access) Get(ctx context.Context, pod local.Pod) (State, error) {
	state, err := a.Client.Get(ctx, pod)
	if err != nil || a.Connections == nil {
		return state, err
	}
	connect, err := a.Connections.Connect(ctx, pod.Name)
	return state.with(connect), err
}

// Set replaces all rules of a pod.
func (a Access) Set(ctx context.Context, pod local.Pod, rules string) (State, error) {
	ofPod, ofConnect := Split(rules)
	switch {
	case a.Connections == nil && ofConnect != "":
		return State{}, usage.Errorf("%s: must be without --context: a launcher on this machine makes faults of connections", ofConnect)
	case a.Connections == nil:
		return a.Client.Set(ctx, pod, ofPod)
	}
	connect, err := a.Connections.SetConnect(ctx, pod.Name, ofConnect)
	if err != nil {
		return State{}, err
	}
	state, err := a.Client.Set(ctx, pod, ofPod)
	return state.with(connect), err
}

func (s State) with(connect local.ConnectState) State {
	if connect.Rule != "" {
		s.Rules = append(s.Rules, Rule{Rule: connect.Rule, Matched: connect.Matched, Fired: connect.Fired})
	}
	return s
}
