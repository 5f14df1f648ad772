package local

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fleetman.example/lab/process"
)

// Sidecar is the proxy of a pod.
type Sidecar interface {
	// Drain makes the callers of the proxy leave it. It is called when the pod is
	// deleted, after its preStop sleep and just before its program is ended.
	Drain()
	// Replace ends the proxy and returns when a new one is ready, or when the
	// context ends. It is called when the program of a deleted pod has exited.
	Replace(context.Context)
	// End ends the proxy and returns when it has exited. It is called when the
	// program of a pod that is not started again has exited. When the context ends,
	// requests in flight are not waited for.
	End(context.Context)
}

// Site is what a mesh has of its fleet.
type Site struct {
	// Gateways are the addresses that are the mesh's own.
	Gateways    []netip.Addr
	NodeAddress netip.Addr
	State       string // the fleet's directory, absolute
	Environ     []string
	// FirstUnprivileged is the first port that this user may listen on.
	FirstUnprivileged int
	Progress          func(line string)

	fleet *Fleet
}

// MeshPod is a planned pod. It does not change.
type MeshPod struct {
	ID, Name, Namespace string             // ID is Fleet.Kill's name of it
	Deployment          *appsv1.Deployment // has its template; the rest may be of earlier manifests
	Labels              labels.Set
	IP                  netip.Addr
	// Proxied pods listen on 127.0.0.1, their proxy on the pod's address.
	Proxied bool
	// Revision is that of the control plane of a proxied pod's proxy.
	Revision string
	// Outbound is the address to which a proxied pod's names resolve.
	Outbound  netip.Addr
	HostsFile string
	// Inbound are the proxy's ports at IP.
	Inbound []Inbound
	// Bind is where the proxy listens, for a relay at IP; zero: at IP.
	Bind netip.Addr
}

// Inbound is a port of a proxied pod. Declared is the port in the manifests, Port
// the one at the pod's address (another when the declared one is not free), App
// the program's port at 127.0.0.1, where nothing may listen.
type Inbound struct {
	Declared, Port, App int
}

// PodState is a pod as istiod sees it.
type PodState struct {
	ID                 string
	Ready, Terminating bool
	Restarts           int
}

// Spawn starts a process that does not outlive this one, in a process group
// of its own.
func (s *Site) Spawn(cmd *exec.Cmd) (*process.Process, error) { return s.fleet.spawner.Start(cmd) }

// OpenLog opens an empty log file beside those of the pods. Fleet.Logs finds it by
// its name.
func (s *Site) OpenLog(name string) (*os.File, error) {
	file, err := openLog(s.State, name)
	if err != nil {
		return nil, err
	}
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	s.fleet.meshLogs = append(s.fleet.meshLogs, namedLog{name: name, path: file.Name()})
	return file, nil
}

// SetProxyDown sets why a pod's proxy does not work; the pod is not ready then. An
// empty reason, as at the start, means that it works.
func (s *Site) SetProxyDown(id, why string) {
	s.change(id, func(p *pod) {
		p.proxyDown = why
		p.join(why)
	})
}

// SetSidecar gives a pod its proxy, before Fleet.Run.
func (s *Site) SetSidecar(id string, proxy Sidecar) {
	s.change(id, func(p *pod) { p.sidecar = proxy })
}

// change calls set with the pods of an ID, with the fleet's mutex held.
func (s *Site) change(id string, set func(*pod)) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	for _, p := range s.fleet.pods {
		if p.plan.ID == id {
			set(p)
		}
	}
}

// Pods returns all pods that run, those that are ending included.
func (s *Site) Pods() []MeshPod {
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	return collect(f.pods, (*pod).meshPod)
}

// RemoveLog undoes OpenLog. The file stays.
func (s *Site) RemoveLog(name string) {
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meshLogs = slices.DeleteFunc(f.meshLogs, func(log namedLog) bool { return log.name == name })
}

// Changes receives when States returns others, or has done so since it was last
// received from.
func (s *Site) Changes() <-chan struct{} { return s.fleet.changes }

// States returns the states of all pods. They do not change any more when the fleet
// stops.
func (s *Site) States() []PodState {
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states
}

// OpenNodePort opens a port of the node that leads to an address of the mesh.
func (s *Site) OpenNodePort(service, name string, port int, to netip.AddrPort) error {
	node, err := s.fleet.openNodePort(service, port, func() (string, bool) { return to.String(), true })
	if err == nil {
		node.service, node.name = service, name
		s.fleet.addNode(node)
	}
	return err
}

// CloseNodePorts closes the ports of a Service of the mesh.
func (s *Site) CloseNodePorts(service string) {
	s.fleet.closeNodes(func(node *openNodePort) bool { return node.key == "" && node.service == service })
}

func (p *pod) meshPod() MeshPod { return p.plan.MeshPod }

// updateStates is called with the mutex held. A fleet that stops keeps its
// endpoints, for the requests in flight.
func (f *Fleet) updateStates() {
	if f.stopped {
		return
	}
	f.states = collect(f.pods, func(p *pod) PodState {
		return PodState{ID: p.plan.ID, Ready: p.ready, Terminating: p.terminating, Restarts: p.status.Restarts}
	})
	signal(f.changes)
}

// Site returns what a mesh needs of the fleet.
func (f *Fleet) Site() *Site {
	return &Site{
		Gateways: f.plan.gateways, NodeAddress: f.options.NodeAddress, State: f.options.State,
		Environ: f.options.Environ, FirstUnprivileged: thisHost().firstUnprivileged, Progress: f.options.Progress, fleet: f,
	}
}

// nextNetwork returns the network after the pods', which a mesh uses too.
func nextNetwork(network netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(outboundOf(network.Addr(), network), network.Bits())
}

// outboundOf returns the same host in the network after the pods': the outbound
// address of a proxied pod.
func outboundOf(ip netip.Addr, network netip.Prefix) netip.Addr {
	bytes := ip.AsSlice()
	for i := (network.Bits() - 1) / 8; i >= 0; i-- {
		step := byte(1)
		if i == (network.Bits()-1)/8 {
			step = 1 << ((8 - network.Bits()%8) % 8)
		}
		bytes[i] += step
		if bytes[i] >= step { // no carry
			break
		}
	}
	moved, _ := netip.AddrFromSlice(bytes)
	return moved
}
