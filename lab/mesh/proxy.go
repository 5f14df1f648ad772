package mesh

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/certs"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/process"
	"fleetman.example/lab/tcp"
)

// proxy is a supervised Envoy, of a pod or a gateway.
type proxy struct {
	mesh      *Mesh
	name      string // the pod's ID, or the gateway's name
	node      envoy.Node
	gateway   bool
	revision  string // of its control plane
	bootstrap string // path
	workers   int    // threads; 0 is one for each core
	log       *os.File
	admin     *envoy.Client
	reader    *http.Server       // of the admin interface
	running   context.Context    // ends with the proxy
	stop      context.CancelFunc // ends running
	ended     chan struct{}      // closed when it has ended

	supervisor *process.Supervisor
	first      chan error // receives the result of the first start

	mu       sync.Mutex
	replaced chan struct{}             // while the proxy of a deleted pod is replaced; closed when the new one is ready
	ejected  map[string]envoy.Ejection // by cluster and host
}

// startProxies starts all proxies at once and returns when each is ready.
func (m *Mesh) startProxies(ctx context.Context) error {
	all := m.sidecars(m.site.Pods())
	if len(all) == 0 {
		m.site.Progress("no pod has a proxy: no namespace of the manifests has the label istio-injection: enabled or istio.io/rev, and no pod sidecar.istio.io/inject or istio.io/rev")
	}
	for i := range m.gateways {
		g := &m.gateways[i]
		all = append(all, &proxy{mesh: m, name: g.Name, gateway: true, revision: manifest.DefaultRevision, node: envoy.Node{
			Role: envoy.Gateway, IP: g.IP, Name: g.PodName(), Namespace: kube.RootNamespace, Workload: g.Name,
			ServiceAccount: g.Name, Labels: g.Labels(),
		}})
	}
	return m.runProxies(ctx, all, m.manifests)
}

// sidecars returns the proxies of the pods that have one.
func (m *Mesh) sidecars(pods []local.MeshPod) (all []*proxy) {
	for i := range pods {
		if pod := &pods[i]; pod.Proxied {
			all = append(all, &proxy{mesh: m, name: pod.ID, revision: pod.Revision, node: envoy.Node{
				Role: envoy.Sidecar, IP: pod.IP, Name: pod.Name, Namespace: pod.Namespace, Workload: pod.Deployment.Name,
				ServiceAccount: kube.ServiceAccount(pod), Labels: kube.PodLabels(pod),
			}})
		}
	}
	return all
}

// runProxies starts some proxies at once and returns when each is ready.
func (m *Mesh) runProxies(ctx context.Context, proxies []*proxy, manifests *manifest.Objects) error {
	for _, p := range proxies {
		if err := p.prepare(manifests); err != nil {
			return err
		}
		m.mu.Lock()
		m.proxies = append(m.proxies, p)
		m.mu.Unlock()
		m.running.Go(func() {
			defer close(p.ended)
			defer p.log.Close()
			p.supervisor.Run(p.running)
		})
	}
	for _, p := range proxies {
		select {
		case err := <-p.first:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("proxy of %s is not ready: %w; %s", p.name, p.probe(m.stopping), lastLine(p.log.Name()))
		}
	}
	return nil
}

// allProxies returns the proxies that run, those that are ending included.
func (m *Mesh) allProxies() []*proxy {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.proxies)
}

func (p *proxy) prepare(manifests *manifest.Objects) (err error) {
	m := p.mesh
	p.running, p.stop = context.WithCancel(m.stopping)
	p.ended = make(chan struct{})
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.node.Privileged = m.site.FirstUnprivileged <= 80
	p.node.DNS, p.node.XDS, p.node.SDSSocket = m.dns, m.istiodOf(p.revision).grpc, m.socket("sds")
	p.node.AdminSocket = m.socket(fmt.Sprintf("admin-%d", m.sequence.Add(1)))
	p.workers = kube.Concurrency(manifests, p.node.Namespace, p.node.Labels)
	_ = os.Remove(p.node.AdminSocket) // left by an earlier fleet
	p.admin = envoy.NewSocketClient(p.node.AdminSocket)
	if err := p.serveAdmin(); err != nil {
		return err
	}
	text, err := envoy.Bootstrap(p.node)
	if err != nil {
		return err
	}
	p.bootstrap = filepath.Join(m.dir(), p.node.Name+"."+p.node.Namespace+".yaml")
	if err := os.WriteFile(p.bootstrap, text, 0o644); err != nil {
		return fmt.Errorf("proxy of %s: %w", p.name, err)
	}
	if err := m.certs.Allow(p.node.ID(), certs.Identity{Namespace: p.node.Namespace, ServiceAccount: p.node.ServiceAccount}); err != nil {
		return fmt.Errorf("proxy of %s: %w", p.name, err)
	}
	p.first = make(chan error, 1)
	p.supervisor = process.New(process.Config{
		Start: p.start, Attend: p.attend, Changed: p.changed, Backoff: restartBackoff, Tries: 1, Grace: endTime,
	})
	if !p.gateway {
		m.site.SetSidecar(p.name, p)
	}
	p.log, err = m.site.OpenLog(p.logName())
	return err
}

// serveAdmin serves Envoy's admin interface, read-only, at the pod's address. Every user of this
// machine can read it.
func (p *proxy) serveAdmin() error {
	listener, err := tcp.Listen(p.node.AdminAddress().String())
	if err != nil {
		return fmt.Errorf("proxy of %s: admin port: %w", p.name, err)
	}
	p.reader = &http.Server{Handler: envoy.Reader(p.admin), ReadHeaderTimeout: 5 * time.Second}
	p.mesh.running.Go(func() { _ = p.reader.Serve(listener) })
	return nil
}

// logName returns the name of the proxy's log, without its extension.
func (p *proxy) logName() string {
	if p.gateway {
		return p.name
	}
	return p.name + ".envoy"
}

func (p *proxy) start() (*process.Process, error) {
	m := p.mesh
	cmd := exec.Command(m.options.Binaries.Envoy.Path, envoy.Args(p.bootstrap, p.workers)...)
	cmd.Dir = m.dir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir()}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	return m.site.Spawn(cmd)
}

// attend waits until a new process of the proxy is ready and then marks its pod's proxy as up.
func (p *proxy) attend(ctx context.Context, _ *process.Process) {
	for p.admin.Ready(ctx) != nil {
		if process.Sleep(ctx, 20*time.Millisecond) != nil {
			return
		}
	}
	p.supervisor.Settle()
	p.mesh.site.SetProxyDown(p.name, "")
	p.started(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.replaced != nil {
		close(p.replaced)
		p.replaced = nil
	}
}

// started sends the result of the first start to startProxies. Later calls do nothing.
func (p *proxy) started(err error) {
	select {
	case p.first <- err:
	default:
	}
}

// changed is called with the supervisor's status whenever it changes. It updates the pod's readiness
// and makes events.
func (p *proxy) changed(now process.Status) {
	m := p.mesh
	p.mu.Lock()
	replacing := p.replaced != nil
	p.mu.Unlock()
	switch now.State {
	case process.GivenUp:
		p.started(fmt.Errorf("proxy of %s failed with %s; %s", p.name, now.Why, lastLine(p.log.Name())))
	case process.Waiting:
		m.site.SetProxyDown(p.name, "its proxy failed with "+now.Why)
		if !replacing {
			m.fleet.Note(local.Event{Time: time.Now(), Pod: p.logName(), Kind: local.Exited, Detail: now.String(), Restarts: now.Restarts})
		}
	case process.Running:
		if now.Restarts > 0 && !replacing {
			m.fleet.Note(local.Event{Time: time.Now(), Pod: p.logName(), Kind: local.Started, Detail: fmt.Sprintf("process %d", now.Process.PID()), Restarts: now.Restarts})
		}
	case process.Stopped:
	}
}

// Drain implements local.Sidecar.
func (p *proxy) Drain() {
	ctx, cancel := context.WithTimeout(p.running, lookTimeout)
	defer cancel()
	_ = p.admin.Drain(ctx) // a proxy that does not respond is ended all the same
}

// Replace implements local.Sidecar.
func (p *proxy) Replace(ctx context.Context) {
	draining, cancel := context.WithTimeout(p.running, podDrainTime)
	defer cancel()
	p.drainRequests(draining)
	replaced := make(chan struct{})
	p.mu.Lock()
	p.replaced = replaced
	p.mu.Unlock()
	p.supervisor.Renew()
	if proc := p.supervisor.Status().Process; proc != nil {
		proc.End(endTime)
	}
	select {
	case <-replaced:
	case <-ctx.Done():
	}
}

// End implements local.Sidecar.
func (p *proxy) End(ctx context.Context) {
	draining, cancel := context.WithTimeout(ctx, podDrainTime)
	defer cancel()
	p.drainRequests(draining)
	p.stop()
	if p.log != nil {
		<-p.ended
	}
	p.close()
	p.mesh.forget(p)
}

// close closes what is served for the proxy, which has ended.
func (p *proxy) close() {
	if p.reader != nil {
		p.reader.Close()
	}
	if p.admin != nil {
		p.admin.Close()
	}
}

// forget undoes prepare and removes a proxy that has ended.
func (m *Mesh) forget(p *proxy) {
	m.site.RemoveLog(p.logName())
	m.certs.Forget(p.node.ID())
	m.mu.Lock()
	m.proxies = slices.DeleteFunc(m.proxies, func(other *proxy) bool { return other == p })
	m.mu.Unlock()
	m.endRevisions()
}

// key returns the name by which istiod lists the proxy.
func (p *proxy) key() string { return p.node.Name + "." + p.node.Namespace }

// podDrainTime bounds the requests in flight at a proxy whose program has ended. It is istio-agent's
// terminationDrainDuration.
const podDrainTime = 5 * time.Second

// drainRequests makes clients disconnect and returns when no request is in flight, or when the context ends.
func (p *proxy) drainRequests(ctx context.Context) {
	if p.admin.Drain(ctx) != nil {
		return
	}
	for {
		if active, err := p.admin.Active(ctx); err != nil || active == 0 {
			return
		}
		_ = process.Sleep(ctx, 20*time.Millisecond) // when the context has ended, Active fails
	}
}
