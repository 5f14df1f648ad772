package mesh

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/certs"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/process"
)

// IngressPort is the published NodePort of the ingress gateway.
const IngressPort = 31380

// Options configures a mesh and its fleet.
type Options struct {
	// Local configures the fleet.
	Local local.Options
	// Binaries are istiod's, istioctl and Envoy.
	Binaries binaries.Set
	// IngressPort is the port at the node's address that leads to the ingress gateway's port 80.
	// Defaults to a free one.
	IngressPort int
	// Rejected is called once for each failure of the mesh, such as an update that a proxy rejected.
	// Nil discards them. Err returns them too.
	Rejected func(proxy, why string)
	// LookEvery is how often each proxy's readiness, rejected updates and retries are polled. Defaults
	// to 1s.
	LookEvery time.Duration

	// hide reports whether an object is kept from istiod. Tests set it.
	hide func(kube.Object) bool
}

// Mesh is a running fleet with a service mesh.
type Mesh struct {
	options Options
	began   time.Time
	fleet   *local.Fleet

	// Set by Start, before any other call.
	site      *local.Site
	api       *kube.Server
	certs     *certs.Server
	gateways  []kube.Gateway
	sequence  atomic.Int64 // of the proxies' sockets
	dns       netip.AddrPort
	collector *kube.Collector
	sockets   string // a directory
	closers   []func()
	stop      context.CancelFunc
	stopping  context.Context
	running   sync.WaitGroup
	stopOnce  sync.Once

	applying  sync.Mutex      // one change at a time
	ending    context.Context // ends before the fleet: undoes a change that is not complete
	end       context.CancelFunc
	nodePorts map[int]bool // those of the ingress gateway that are open

	mu        sync.Mutex
	manifests *manifest.Objects
	objects   []kube.Object
	mark      int64     // of the configuration: see current
	istiods   []*istiod // one for each revision, the default one's first
	changing  []string  // revisions that a change in progress needs
	proxies   []*proxy
	notes     map[string]bool // those that were shown
	failures  []Failure
	failed    map[string]bool // keys of failures
}

// Failure is an event after which the results of a run are invalid: a proxy does not have the
// configuration that istiod sent.
type Failure struct {
	Time       time.Time `json:"time"`
	Proxy, Why string
}

// readyTimeout is the default of Options.Local.ReadyTimeout. It bounds the start of istiod and the
// proxies, and after it that of the pods.
const readyTimeout = 30 * time.Second

// Start starts a fleet with its mesh and returns when all proxies are in sync and all pods are ready.
// An update that a proxy rejects is an error. The context bounds the start alone. After an error
// nothing is left running.
func Start(ctx context.Context, objects *manifest.Objects, options Options) (*Mesh, error) {
	if options.Local.Progress == nil {
		options.Local.Progress = func(string) {}
	}
	options.Local.ReadyTimeout = cmp.Or(options.Local.ReadyTimeout, readyTimeout)
	options.LookEvery = cmp.Or(options.LookEvery, lookEvery)
	if options.Rejected == nil {
		options.Rejected = func(string, string) {}
	}
	if err := Validate(ctx, options.Binaries.Istioctl.Path, objects); err != nil {
		return nil, err
	}
	m := &Mesh{
		options: options, began: time.Now(), manifests: objects,
		notes: map[string]bool{}, failed: map[string]bool{}, nodePorts: map[int]bool{},
	}
	m.stopping, m.stop = context.WithCancel(context.Background())
	m.ending, m.end = context.WithCancel(m.stopping)
	options.Local.Mesh = true
	fleet, err := local.Prepare(ctx, objects, options.Local)
	if err != nil {
		m.stop()
		return nil, err
	}
	m.fleet, m.site = fleet, fleet.Site()
	if err = m.startControlPlane(ctx); err == nil {
		err = fleet.Run(ctx)
	}
	if err != nil {
		m.Stop()
		return nil, err
	}
	proxies := m.allProxies()
	m.watchAll(proxies) // before awaitApplied: a proxy never applies an update that it rejects
	analysis, err := m.awaitAnalyzed(ctx, objects, 0)
	if err != nil {
		m.Stop()
		return nil, err
	}
	m.progressOnce(analysis)
	for _, p := range proxies {
		m.running.Go(func() { m.watchEjections(p) })
	}
	return m, nil
}

// Fleet returns the fleet of pods.
func (m *Mesh) Fleet() *local.Fleet { return m.fleet }

// Stop stops everything and returns when all processes have ended: it drains the gateways, then stops the
// pods, then the mesh. Further calls do nothing.
func (m *Mesh) Stop() {
	m.stopOnce.Do(func() {
		m.end()
		m.applying.Lock() // a change that is not complete is undone first
		defer m.applying.Unlock()
		m.fleet.Leave()
		m.drainGateways()
		m.fleet.End()
		m.stop()
		for _, closer := range m.closers {
			closer()
		}
		for _, p := range m.allProxies() {
			p.reader.Close()
		}
		m.running.Wait()
		for _, p := range m.allProxies() {
			p.close()
		}
		m.fleet.Release()
	})
}

// publishRetry is the time before a failed publication is tried again.
const publishRetry = time.Second

// startControlPlane starts istiod and all proxies, and returns when the proxies
// have a configuration. The hosts files of the pods that have a proxy are
// written.
func (m *Mesh) startControlPlane(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.options.Local.ReadyTimeout)
	defer cancel()
	if err := m.makeDirs(); err != nil {
		return err
	}
	var note string
	if m.collector, note = tracing(ctx, process.Getenv(m.site.Environ)); note != "" {
		m.site.Progress(note)
	}
	if err := m.serve(); err != nil {
		return err
	}
	m.makeGateways()
	if err := m.publish(); err != nil {
		return err
	}
	if err := m.openNodePorts(); err != nil {
		return err
	}
	if err := m.startRevisions(ctx, m.manifests.Revisions()); err != nil {
		return err
	}
	if err := m.startProxies(ctx); err != nil {
		return err
	}
	m.running.Go(m.follow)
	return nil
}

// Kubeconfig returns the file that leads kubectl and istioctl to the mesh of a
// fleet with that state directory.
func Kubeconfig(state string) string { return filepath.Join(state, "mesh", "kubeconfig") }

func (m *Mesh) dir() string { return filepath.Dir(Kubeconfig(m.site.State)) }

// makeDirs makes the directories of the mesh's files and of its sockets. They are the same unless a
// socket's path would be too long. Both have mode 0700: no other user can read them.
func (m *Mesh) makeDirs() error {
	if err := os.MkdirAll(m.dir(), 0o700); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	if err := os.Chmod(m.dir(), 0o700); err != nil { // an existing one may have another mode
		return fmt.Errorf("mesh: %w", err)
	}
	m.sockets = m.dir()
	if len(m.socket("admin-9999")) <= envoy.MaxSocket {
		return nil
	}
	var err error
	if m.sockets, err = os.MkdirTemp("", "fleetman-"); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	m.closers = append(m.closers, func() { os.RemoveAll(m.sockets) })
	return nil
}

func (m *Mesh) socket(name string) string { return filepath.Join(m.sockets, name) }

// serve starts the servers for istiod and the proxies: the Kubernetes API, the certificate service and
// DNS.
func (m *Mesh) serve() error {
	m.api = kube.NewServer(time.Now)
	m.api.Forward = m.forward
	m.api.Token = rand.Text()
	var err error
	if m.certs, err = certs.NewServer(certs.Lifetime); err != nil {
		return fmt.Errorf("certificate service: %w", err)
	}
	m.certs.Refused = func(line string) { m.fail(line, "certificates", line) }
	api, err := m.serveAPI()
	if err != nil {
		return fmt.Errorf("Kubernetes API: %w", err)
	}
	_ = os.Remove(m.socket("sds")) // left by a launcher that was killed
	secrets, err := net.Listen("unix", m.socket("sds"))
	if err != nil {
		return fmt.Errorf("certificate service: %w", err)
	}
	m.running.Go(func() { _ = m.certs.Serve(m.stopping, secrets) })

	socket, address, err := listenDNS()
	if err != nil {
		return err
	}
	m.dns = address
	m.running.Go(func() { serveDNS(m.stopping, socket, m.lookUp) })
	m.closers = append(m.closers, func() { socket.Close() })

	return m.configureIstiod(m.kubeconfig(api.String()))
}

// publish derives the objects of the current state, serves them to istiod and writes the pods' hosts
// files.
func (m *Mesh) publish() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	notes, err := m.publishLocked(m.manifests)
	m.progressOnceLocked(notes)
	return err
}

// publishLocked is publish for given manifests, with m.mu held. The notes have a line for each field or
// object that is not applied.
func (m *Mesh) publishLocked(manifests *manifest.Objects) (notes []string, err error) {
	objects, notes, err := m.derive(manifests)
	if err != nil {
		return nil, err
	}
	if hide := m.options.hide; hide != nil {
		objects = slices.DeleteFunc(objects, hide)
	}
	if err := m.api.Replace(objects); err != nil {
		return nil, err
	}
	m.manifests, m.objects = manifests, objects
	pods := m.site.Pods()
	for i := range pods {
		pod := &pods[i]
		if !pod.Proxied {
			continue
		}
		text, wildcards := kube.HostsFile(objects, pod)
		for _, name := range wildcards {
			notes = append(notes, fmt.Sprintf("ServiceEntry host %s: not resolved for programs: a hosts file has no wildcards", name))
		}
		if err := replaceFile(pod.HostsFile, text); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

// derive is called with m.mu held.
func (m *Mesh) derive(manifests *manifest.Objects) ([]kube.Object, []string, error) {
	if err := checkSelectors(manifests); err != nil {
		return nil, nil, err
	}
	states := map[string]local.PodState{}
	for _, state := range m.site.States() {
		states[state.ID] = state
	}
	var revisions []string
	for _, i := range m.istiods {
		revisions = append(revisions, i.revision)
	}
	return kube.Derive(kube.World{
		Revisions: revisions,
		Manifests: manifests, Pods: m.site.Pods(), States: states, Gateways: m.gateways,
		Node: m.site.NodeAddress, DNS: m.dns, MeshConfig: meshConfig(m.collector), IstioVersion: envoy.IstioVersion, Collector: m.collector, Mark: m.mark, Began: m.began,
	})
}

// replaceFile replaces a file's text atomically. A file that has the text already is not written.
func replaceFile(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return local.WriteFile(path, text)
}

// follow publishes every change of the pods' states until the mesh stops.
func (m *Mesh) follow() {
	var retry <-chan time.Time
	for {
		select {
		case <-m.site.Changes():
		case <-retry:
		case <-m.stopping.Done():
			return
		}
		retry = nil
		if err := m.publish(); err != nil {
			m.fail(err.Error(), "Kubernetes API", err.Error())
			retry = time.After(publishRetry) // on a full disk, say
		}
	}
}

// lookUp resolves a Service's name to the addresses of its ready pods.
func (m *Mesh) lookUp(name string) (addresses []netip.Addr, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ips, known := kube.Endpoints(m.objects, name)
	for _, ip := range ips {
		if address, err := netip.ParseAddr(ip); err == nil {
			addresses = append(addresses, address)
		}
	}
	return addresses, known
}

// fail records a failure, once for each key.
func (m *Mesh) fail(key, proxy, why string) {
	m.mu.Lock()
	if m.failed[key] {
		m.mu.Unlock()
		return
	}
	m.failed[key] = true
	m.failures = append(m.failures, Failure{Time: time.Now(), Proxy: proxy, Why: why})
	m.mu.Unlock()
	m.options.Rejected(proxy, why)
}

// Err returns the failures since the start, joined, or nil.
func (m *Mesh) Err() error { return m.errSince(0) }

// Check is like Err, after a look at all proxies: none of their rejected updates is missing.
func (m *Mesh) Check(ctx context.Context) error {
	m.look(ctx)
	return m.Err()
}

// errSince is Err without the first failures.
func (m *Mesh) errSince(first int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []error
	for _, failure := range m.failures[first:] {
		all = append(all, fmt.Errorf("%s: %s", failure.Proxy, failure.Why))
	}
	return errors.Join(all...)
}

// drainGateways makes each gateway close its connections after the responses in flight.
func (m *Mesh) drainGateways() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var draining sync.WaitGroup
	for _, p := range m.allProxies() {
		if p.gateway && p.admin != nil {
			draining.Go(func() { p.drainRequests(ctx) })
		}
	}
	draining.Wait()
}

// drainTime bounds the draining of the gateways when the fleet stops, before the pods are drained.
const drainTime = time.Second
