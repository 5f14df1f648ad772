package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/process"
	"fleetman.example/lab/usage"
)

// maxEarlyExits is the number of failed starts of a pod that was never ready after
// which the start of the fleet fails: about two seconds at the default back-off.
const maxEarlyExits = 5

// NotReadyError is the error for a pod that does not become ready at the start.
type NotReadyError struct {
	Pod, Why string
	Log      string   // the pod's log file
	Last     []string // the last lines there, of the last process
}

// Error returns the reason, the path of the log and, on lines of their own, its last lines: most programs
// print there what is wrong.
func (e *NotReadyError) Error() string {
	text := fmt.Sprintf("pod %s: %s; its log is %s", e.Pod, e.Why, e.Log)
	if len(e.Last) == 0 {
		return text
	}
	return text + ", which ends with\n  " + strings.Join(e.Last, "\n  ")
}

// notReady returns the error for a pod. It is called with the mutex held.
func (p *pod) notReady(why string) error {
	return &NotReadyError{Pod: p.plan.ID, Why: why, Log: p.log.Name(), Last: lastLines(p.log.Name(), p.logged, 10)}
}

// Fleet is a running fleet.
type Fleet struct {
	options  Options
	plan     *plan
	events   *EventLog
	spawner  *process.Spawner
	claims   claims
	unlock   func()
	nodes    []*openNodePort
	ending   context.Context // of the pods' processes
	end      context.CancelFunc
	running  sync.WaitGroup
	finished chan struct{}
	changes  chan struct{} // of size 1: see Site.Changes
	starting chan struct{} // of size 1: a pod has changed, for await
	stopOnce sync.Once

	mu        sync.Mutex
	pods      []*pod
	states    []PodState // see Site.States
	meshLogs  []namedLog
	stale     string // why the hosts files are not up to date; empty: they are
	rewriting bool   // rewrite comes
	stopped   bool
}

// Start builds what is needed, starts all pods at once and returns when all
// are ready. The context bounds the start alone: Stop ends the fleet. After an
// error nothing is left running.
func Start(ctx context.Context, objects *manifest.Objects, options Options) (*Fleet, error) {
	f, err := Prepare(ctx, objects, options)
	if err != nil {
		return nil, err
	}
	if err := f.Run(ctx); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

// Prepare is the part of Start before any pod runs: the programs are built, the
// addresses and ports taken, the hosts files written.
func Prepare(ctx context.Context, objects *manifest.Objects, options Options) (*Fleet, error) {
	o := options.WithDefaults()
	state, err := filepath.Abs(o.State)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	o.State, o.adminToken = state, rand.Text()
	p, err := planHere(objects, o)
	if err != nil {
		return nil, err
	}
	for _, note := range p.notes {
		o.Progress(note)
	}
	unlock := func() {}
	if !o.Locked {
		if unlock, err = Lock(o.State); err != nil {
			return nil, err
		}
	}
	taken, err := claim(p, o)
	var bin string
	if err == nil {
		bin, err = o.programs(ctx, programsOf(p.pods))
	}
	if err != nil {
		taken.release()
		unlock()
		return nil, err
	}
	f := &Fleet{
		options: o, plan: p, events: NewEventLog(), claims: taken, unlock: unlock,
		finished: make(chan struct{}), changes: make(chan struct{}, 1), starting: make(chan struct{}, 1),
	}
	f.ending, f.end = context.WithCancel(context.Background())
	if err = f.prepare(bin); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

// CheckStart returns the error of Start for the manifests, or for an address or a
// port that is in use. It builds and starts nothing.
func CheckStart(objects *manifest.Objects, options Options) error {
	o := options.WithDefaults()
	p, err := planHere(objects, o)
	if err != nil {
		return err
	}
	taken, err := claim(p, o)
	taken.release()
	return err
}

// Check returns the mistakes in the manifests and the options that Start would return. It does not
// look at the machine's addresses and ports.
func Check(objects *manifest.Objects, options Options) error {
	o := options.WithDefaults()
	known, err := findPrograms(o.Root, o.Bin)
	if err != nil {
		return err
	}
	anyPort := func(_ netip.Addr, wanted int) (int, error) { return max(wanted, 1), nil }
	p, err := makePlan(objects, o, known, host{firstUnprivileged: 0, freePort: anyPort})
	if err != nil {
		return err
	}
	return checkBin(o.Bin, programsOf(p.pods))
}

// planHere returns the plan of manifests on this machine.
func planHere(objects *manifest.Objects, o Options) (*plan, error) {
	known, err := findPrograms(o.Root, o.Bin)
	if err != nil {
		return nil, err
	}
	return makePlan(objects, o, known, thisHost())
}

func (f *Fleet) prepare(bin string) (err error) {
	for _, planned := range f.plan.pods {
		f.pods = append(f.pods, f.newPod(planned, bin))
	}
	if err := writeSecret(adminTokenFile(f.options.State), f.options.adminToken); err != nil {
		return err
	}
	if err := f.writeHosts(); err != nil {
		return err
	}
	if _, err := f.openPorts(f.plan); err != nil {
		return err
	}
	for _, p := range f.pods {
		if err := p.open(); err != nil {
			return err
		}
	}
	f.spawner, err = process.NewSpawner()
	return err
}

// Run starts all pods of a prepared fleet, and returns when all are ready.
func (f *Fleet) Run(ctx context.Context) error {
	for _, p := range f.pods {
		p.run()
	}
	return f.await(ctx, "the fleet", f.pods, func(p *pod) bool { return p.ready && f.stale == "" })
}

// await waits until pods that start work. starts names them, for errors; empty: each by its own name. works is
// called with the mutex held.
func (f *Fleet) await(ctx context.Context, starts string, pods []*pod, works func(*pod) bool) error {
	timeout := time.After(f.options.ReadyTimeout)
	for {
		late, err := f.late(pods, works)
		if late == nil || err != nil {
			return err
		}
		select {
		case <-f.starting:
		case <-timeout:
			return f.explain(late)
		case <-f.ending.Done():
			return errStopping
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", cmp.Or(starts, "pod "+late.plan.ID), context.Cause(ctx))
		}
	}
}

// late returns the first pod that does not work, and an error if one never will.
func (f *Fleet) late(pods []*pod, works func(*pod) bool) (late *pod, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range pods {
		if p.gaveUp != nil {
			return p, p.gaveUp
		}
		if late == nil && !works(p) {
			late = p
		}
	}
	return late, nil
}

func (f *Fleet) explain(p *pod) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	why := fmt.Sprintf("not ready after %v", f.options.ReadyTimeout)
	if p.status.Why != "" {
		why += fmt.Sprintf(", %d restarts, last failed with %s", p.status.Restarts, p.status.Why)
	}
	return p.notReady(why)
}

// Pods returns all pods, in the manifests' order.
func (f *Fleet) Pods() []Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return collect(f.pods, (*pod).snapshot)
}

// collect returns what of returns for each element of a list.
func collect[T, R any](list []T, of func(T) R) []R {
	all := make([]R, 0, len(list))
	for _, one := range list {
		all = append(all, of(one))
	}
	return all
}

// HostsFile returns the path of the hosts(5) file with the Services' addresses and
// the names of the default namespace.
func (f *Fleet) HostsFile() string { return hostsFile(f.options.State, manifest.DefaultNamespace) }

// Kill sends a signal to a pod's process, which is started again when it has
// ended. SIGTERM ends it as deleting a pod does: it leaves the endpoints, its
// preStop sleep passes, it may drain for its grace period. The name may be
// that of a Deployment with one replica. did describes what Kill has done.
func (f *Fleet) Kill(name string, sig syscall.Signal) (did string, err error) {
	p, err := f.find(name)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	now, terminating := p.status, p.terminating
	f.mu.Unlock()
	id, proc := p.plan.ID, now.Process
	switch {
	case proc == nil:
		return "", fmt.Errorf("pod %s: no process: %s", id, now)
	case sig == syscall.SIGTERM && terminating:
		return fmt.Sprintf("%s is already terminating", id), nil
	case sig == syscall.SIGTERM:
		p.terminate(proc, "asked to end", true)
		return fmt.Sprintf("%s (process %d) leaves its endpoints, gets SIGTERM after %v and SIGKILL after %v, and is started again",
			id, proc.PID(), p.plan.preStop, p.plan.grace), nil
	default:
		return fmt.Sprintf("%s (process %d): sent signal %d (%v)", id, proc.PID(), int(sig), sig), proc.Signal(sig)
	}
}

func (f *Fleet) find(name string) (*pod, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := FindPod(name, collect(f.pods, func(p *pod) Pod {
		if p.held { // only its own name selects it
			return Pod{Name: p.plan.ID}
		}
		return Pod{Name: p.plan.ID, Deployment: p.plan.Deployment.Name}
	}))
	if err != nil {
		return nil, err
	}
	return f.pods[i], nil
}

// FindPod returns the index of the pod with a name, or of the only running pod of the Deployment with that name. The
// error lists the pods of a Deployment that has several, else all.
func FindPod(name string, pods []Pod) (int, error) {
	bare := func(name string) string { return strings.TrimPrefix(name, "fleetman-") }
	if i := slices.IndexFunc(pods, func(p Pod) bool { return p.Name == name }); i >= 0 {
		return i, nil
	}
	isReplica := func(p Pod) bool {
		return p.Deployment != "" && p.State != "terminating" && bare(p.Deployment) == bare(name)
	}
	replicas := slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool { return !isReplica(p) })
	switch len(replicas) {
	case 0:
		replicas = pods // all, for the error
	case 1:
		return slices.IndexFunc(pods, isReplica), nil
	}
	return 0, usage.Errorf("%q: must be a pod: %s", name, strings.Join(collect(replicas, func(p Pod) string { return p.Name }), ", "))
}

// Stop ends the fleet: no new connections, SIGTERM to all, SIGKILL after
// Options.StopTimeout. It returns when every process has exited and may be
// called again. A fleet with a mesh is ended by the mesh's Stop.
func (f *Fleet) Stop() {
	f.stopOnce.Do(func() {
		f.Leave()
		f.End()
		f.Release()
	})
}

// Leave is the first part of Stop: node ports accept no connection, and every pod
// leaves its endpoints.
func (f *Fleet) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, node := range f.nodes {
		node.stopAccepting()
	}
	for _, p := range f.pods {
		p.leave("the fleet stops")
	}
}

// End is the second part of Stop: all processes of pods end.
func (f *Fleet) End() {
	f.end()
	f.running.Wait()
}

// Release is the last part of Stop: ports, files and addresses are free again, and
// Events and Logs end.
func (f *Fleet) Release() {
	for _, node := range f.nodes {
		node.close()
	}
	for _, p := range f.pods {
		p.close()
	}
	if f.spawner != nil {
		f.spawner.Close()
	}
	for _, namespace := range f.namespaces() {
		_ = os.Remove(hostsFile(f.options.State, namespace))
	}
	_ = os.Remove(adminTokenFile(f.options.State))
	f.claims.release()
	f.unlock()
	f.events.end()
	close(f.finished)
}

// note adds an event, with the mutex held, so that events are in order.
func (f *Fleet) note(p *pod, kind EventKind, detail string) {
	f.events.Add(Event{Time: time.Now(), Pod: p.plan.ID, Kind: kind, Detail: detail, Restarts: p.status.Restarts})
}

// hostsRetry is the delay before hosts files that could not be written, for example
// on a full disk, are written again.
const hostsRetry = 250 * time.Millisecond

// publish updates the hosts files. While an update fails, no pod is ready: callers
// may not find it. It is called with the mutex held.
func (f *Fleet) publish() {
	was := f.stale
	f.stale = ""
	if err := f.writeHosts(); err != nil {
		f.stale = err.Error()
	}
	switch {
	case f.stale != "" && was == "":
		f.events.Add(Event{Time: time.Now(), Pod: "hosts files", Kind: NotReady, Detail: f.stale + ": written again until it succeeds"})
	case f.stale == "" && was != "":
		f.events.Add(Event{Time: time.Now(), Pod: "hosts files", Kind: Ready, Detail: "written"})
	}
	if f.stale != "" && !f.rewriting {
		f.rewriting = true
		time.AfterFunc(hostsRetry, f.rewrite)
	}
	f.updateStates()
	signal(f.starting)
}

func (f *Fleet) rewrite() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rewriting = false
	if f.stale != "" && !f.stopped {
		f.publish()
	}
}

// writeHosts writes the hosts file of every namespace that has pods, and that
// of the default one, with the mutex held.
func (f *Fleet) writeHosts() error {
	var services []serviceAddresses
	for i := range f.plan.services {
		service := &f.plan.services[i]
		answering := serviceAddresses{name: service.name, namespace: service.namespace}
		for _, p := range f.endpoints(service) {
			answering.addresses = append(answering.addresses, p.plan.IP)
		}
		services = append(services, answering)
	}
	refusing := f.options.Network.Masked().Addr()
	for _, namespace := range f.namespaces() {
		if err := f.options.writeFile(hostsFile(f.options.State, namespace), renderHosts(services, namespace, refusing)); err != nil {
			return err
		}
	}
	return nil
}

// namespaces are those of the pods that run, and the default one, sorted. It is called with the mutex held.
func (f *Fleet) namespaces() []string {
	names := []string{manifest.DefaultNamespace}
	for _, p := range f.pods {
		names = append(names, p.plan.Namespace)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// endpoints returns the ready pods of a Service. It is called with the mutex held.
func (f *Fleet) endpoints(service *servicePlan) []*pod {
	var ready []*pod
	for _, p := range f.pods {
		if p.ready && service.selects(p.plan) {
			ready = append(ready, p)
		}
	}
	return ready
}

// openNodePort is one NodePort and the Service behind it.
type openNodePort struct {
	*forwarder
	key     string // nodePort.key; empty for one of the mesh
	service string // of the mesh
	name    string
	address netip.AddrPort
}

// openPorts opens the NodePorts of a plan that are not open, and returns them. Where
// one leads is up to the plan in force.
func (f *Fleet) openPorts(p *plan) (opened []*openNodePort, err error) {
	for i := range p.services {
		for _, port := range p.services[i].nodePorts {
			f.mu.Lock()
			open := slices.ContainsFunc(f.nodes, func(node *openNodePort) bool { return node.key == port.key && !slices.Contains(opened, node) })
			f.mu.Unlock()
			if open {
				continue
			}
			node, err := f.openNodePort(port.service, port.port, func() (string, bool) { return f.behind(port.key) })
			if err != nil {
				return opened, err
			}
			node.key = port.key
			opened = append(opened, node)
			f.addNode(node)
		}
	}
	return opened, nil
}

// behind returns the address of a random ready pod behind an open node port.
func (f *Fleet) behind(key string) (address string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.plan.services {
		for _, port := range f.plan.services[i].nodePorts {
			if ready := f.endpoints(&f.plan.services[i]); port.key == key && len(ready) > 0 {
				chosen := ready[mathrand.IntN(len(ready))].plan
				return chosen.address(port.target(chosen)), true
			}
		}
	}
	return "", false
}

func (f *Fleet) openNodePort(service string, port int, pick func() (string, bool)) (*openNodePort, error) {
	opened, err := newForwarder(netip.AddrPortFrom(f.options.NodeAddress, uint16(port)).String(), pick)
	if err != nil {
		return nil, fmt.Errorf("NodePort %d of Service %s: %w", port, service, explainListen(err, f.options.NodeAddress, nodePortFlags))
	}
	address, _ := netip.ParseAddrPort(opened.listener.Addr().String())
	return &openNodePort{forwarder: opened, address: address}, nil
}

func (f *Fleet) addNode(node *openNodePort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, node)
}

// closeNodes closes the node ports for which closes returns true.
func (f *Fleet) closeNodes(closes func(*openNodePort) bool) {
	f.mu.Lock()
	var closing []*openNodePort
	f.nodes = slices.DeleteFunc(f.nodes, func(node *openNodePort) bool {
		if !closes(node) {
			return false
		}
		closing = append(closing, node)
		return true
	})
	f.mu.Unlock()
	for _, node := range closing {
		node.close()
	}
}

// NodePort is a port of this machine that leads to a Service's pods.
type NodePort struct {
	Service string `json:"service"`
	Name    string `json:"name,omitempty"`
	// Declared is the manifests' number of the port, 0 when they have none.
	Declared int            `json:"declared,omitempty"`
	Address  netip.AddrPort `json:"address"`
	// NoPods reports whether no pod of the Service is ready, so that connections fail.
	NoPods bool `json:"noPods,omitempty"`
}

// NodePorts returns the open node ports, in the manifests' order.
func (f *Fleet) NodePorts() []NodePort {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ports []NodePort
	for i := range f.plan.services {
		service := &f.plan.services[i]
		for _, port := range service.nodePorts {
			for _, node := range f.nodes {
				if node.key == port.key {
					ports = append(ports, NodePort{
						Service: port.service, Name: port.name, Declared: port.declared, Address: node.address, NoPods: len(f.endpoints(service)) == 0,
					})
				}
			}
		}
	}
	for _, node := range f.nodes {
		if node.key == "" {
			ports = append(ports, NodePort{Service: node.service, Name: node.name, Address: node.address})
		}
	}
	return ports
}
