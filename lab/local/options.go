package local

import (
	"cmp"
	"net/netip"
	"time"
)

// Options say where a fleet runs and how it differs from its manifests.
type Options struct {
	// Root is the repository whose services/ hold the programs. It may be
	// empty when Bin is set.
	Root string
	// Bin is a directory of ready-made programs; empty, they are built from
	// Root into Root/.cache/bin.
	Bin string
	// State is the directory for the hosts file and the logs. One fleet at a
	// time may have it.
	State string
	// Locked: the caller has taken the state directory with Lock, and gives it
	// back.
	Locked bool

	// Network holds the pods' addresses: its first address refuses
	// connections, the next is the first pod's. The zero value is 127.0.1.0/24.
	Network netip.Prefix
	// NodeAddress is where NodePorts are opened. The zero value is 127.0.0.1.
	NodeAddress netip.Addr

	// NodePorts replaces the numbers of NodePorts, by the name of the Service,
	// or SERVICE:PORT for one of several; 0 is a free one.
	NodePorts map[string]int
	// FreeNodePorts makes every NodePort that NodePorts does not name a free one.
	FreeNodePorts bool

	// Mesh gives the pods addresses for the proxies that the manifests ask for,
	// and reserves those of gateways. Package mesh sets it.
	Mesh bool

	// Relays puts a TCP relay before every pod, so that its connections can meet
	// faults: see Fleet.SetConnect. It costs each request some 50 µs.
	Relays bool

	// Set adds to the environment of Deployments, over what the manifests say.
	Set []Setting
	// Replicas replaces spec.replicas of the named Deployments.
	Replicas map[string]int

	// ReadyTimeout is how long all pods may take to get ready; 0 is 30 s.
	ReadyTimeout time.Duration
	// RestartBackoff is the first delay between two restarts; 0 is 250 ms. It
	// doubles up to 30 times itself and is reset after a process has run
	// for 60 times itself: Kubernetes's rule, whose first delay is 10 s. The
	// first restart comes at once, there and here.
	RestartBackoff time.Duration
	// StopTimeout is how long processes may drain when the fleet stops; 0 is
	// 4 s. Then they are killed.
	StopTimeout time.Duration

	// Environ is the launcher's environment, as os.Environ gives it; only
	// PATH, HOME, TMPDIR and OTEL_* of it reach the pods.
	Environ []string
	// Progress gets one line at a time on what Start is doing and what it
	// leaves out; nil discards them.
	Progress func(line string)

	// adminToken is the pods' ADMIN_TOKEN, whatever the manifests say: other
	// users of this machine reach their admin listeners. Start draws it.
	adminToken string
	// writeFile replaces a hosts file; tests let it fail.
	writeFile func(path string, data []byte) error
}

// Setting is one variable for the Deployments that Target names: a
// Deployment's name, with or without "fleetman-", or the name of a program,
// which means all Deployments that run it. An empty Target is all Deployments.
type Setting struct {
	Target, Name, Value string
}

// WithDefaults fills in what is not said.
func (o Options) WithDefaults() Options {
	o.Network = cmp.Or(o.Network, netip.MustParsePrefix("127.0.1.0/24"))
	o.NodeAddress = cmp.Or(o.NodeAddress, netip.MustParseAddr("127.0.0.1"))
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, 30*time.Second)
	o.RestartBackoff = cmp.Or(o.RestartBackoff, 250*time.Millisecond)
	o.StopTimeout = cmp.Or(o.StopTimeout, 4*time.Second)
	if o.writeFile == nil {
		o.writeFile = WriteFile
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}
