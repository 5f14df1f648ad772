package mesh

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/certs"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
)

// proxy keeps one Envoy running.
type proxy struct {
	name      string // of its pod, as Fleet.Kill knows it
	node      envoy.Node
	gateway   bool
	bootstrap string // file
	workers   int    // threads; 0: one a core
	log       *os.File
	admin     *envoy.Client

	// leaving: its pod is deleted, so its end is no surprise.
	leaving atomic.Bool

	mu       sync.Mutex
	proc     *local.Process
	restarts int
}

// startProxies starts all at once and returns when each has a configuration
// that it did not reject.
func (m *Mesh) startProxies(ctx context.Context) error {
	for i := range m.site.Pods {
		pod := &m.site.Pods[i]
		if !pod.Proxied {
			continue
		}
		m.proxies = append(m.proxies, &proxy{name: pod.ID, node: envoy.Node{
			Role: envoy.Sidecar, IP: pod.IP, Name: pod.Name, Namespace: pod.Namespace, Workload: pod.Deployment.Name,
			ServiceAccount: kube.ServiceAccount(pod), Labels: kube.PodLabels(pod),
		}})
	}
	for i := range m.gateways {
		g := &m.gateways[i]
		m.proxies = append(m.proxies, &proxy{name: g.Name, gateway: true, node: envoy.Node{
			Role: envoy.Gateway, IP: g.IP, Name: g.Name + "-0", Namespace: kube.RootNamespace, Workload: g.Name,
			ServiceAccount: g.Name, Labels: g.Labels(),
		}})
	}
	if len(m.proxies) == len(m.gateways) {
		m.site.Progress("no pod has a proxy: no namespace of the manifests has the label istio-injection: enabled")
	}
	ready := make(chan error, len(m.proxies))
	for _, p := range m.proxies {
		if err := p.prepare(m); err != nil {
			return err
		}
		if err := p.start(m); err != nil {
			return err
		}
		m.running.Go(func() { p.keep(m) })
		go func() { ready <- p.awaitReady(ctx, p.process()) }()
	}
	for range m.proxies {
		if err := <-ready; err != nil {
			return err
		}
	}
	return nil
}

func (p *proxy) prepare(m *Mesh) (err error) {
	p.node.Privileged = m.site.FirstUnprivileged <= 80
	p.node.DNS, p.node.XDS, p.node.SDS = m.dns, m.istiod.grpc, m.istiod.secrets
	p.workers = kube.Concurrency(m.manifests, p.node.Namespace, p.node.Labels)
	p.admin = envoy.NewClient(p.node.AdminAddress())
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
	p.log, err = m.site.OpenLog(p.logName())
	return err
}

// logName is that of the log beside its pod's.
func (p *proxy) logName() string {
	if p.gateway {
		return p.name
	}
	return p.name + ".envoy"
}

func (p *proxy) process() *local.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proc
}

// started counts its processes.
func (p *proxy) started() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restarts
}

func (p *proxy) start(m *Mesh) error {
	cmd := exec.Command(m.options.Parts.Envoy.Path, envoy.Args(p.bootstrap, p.workers)...)
	cmd.Dir = m.dir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir()}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	proc, err := m.site.Spawn(cmd)
	if err != nil {
		return fmt.Errorf("starting the proxy of %s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proc = proc
	return nil
}

// awaitReady waits for one process of it.
func (p *proxy) awaitReady(ctx context.Context, proc *local.Process) error {
	for {
		err := p.admin.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-proc.Done():
			return fmt.Errorf("proxy of %s ended with %s; %s", p.name, proc.How(), lastWords(p.log.Name()))
		case <-ctx.Done():
			return fmt.Errorf("proxy of %s is not ready: %w; %s", p.name, err, lastWords(p.log.Name()))
		}
	}
}

// keep starts it again whenever it ends, until the mesh stops, and then ends
// it. Its pod is ready only while it is.
func (p *proxy) keep(m *Mesh) {
	defer p.log.Close()
	for {
		proc := p.process()
		select {
		case <-proc.Done():
		case <-m.stopping.Done():
			end(proc)
			return
		}
		why := fmt.Sprintf("its proxy ended with %s", proc.How())
		m.site.SetProxyReady(p.name, false, why)
		pause := restartPause
		if p.leaving.Load() {
			pause = 0
		} else {
			m.site.Progress(fmt.Sprintf("%s: %s and is started again", p.name, why))
		}
		for ; ; pause = restartPause {
			select {
			case <-time.After(pause):
			case <-m.stopping.Done():
				return
			}
			if p.start(m) == nil && p.awaitReady(m.stopping, p.process()) == nil {
				break
			}
			if m.stopping.Err() != nil {
				end(p.process())
				return
			}
		}
		p.mu.Lock()
		p.restarts++
		p.mu.Unlock()
		m.site.SetProxyReady(p.name, true, "")
		p.leaving.Store(false)
	}
}

// Ending implements local.Mesh.
func (h hooks) Ending(id string) {
	if p := h.m.proxyOf(id); p != nil {
		ctx, cancel := context.WithTimeout(h.m.stopping, lookTimeout)
		defer cancel()
		_ = p.admin.Drain(ctx) // one that does not answer is ended all the same
	}
}

// Ended implements local.Mesh.
func (h hooks) Ended(id string, stopping <-chan struct{}) {
	p := h.m.proxyOf(id)
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(h.m.stopping, podDrainTime)
	defer cancel()
	p.drain(ctx)
	p.leaving.Store(true)
	end(p.process())
	for p.leaving.Load() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-stopping:
			return
		}
	}
}

// podDrainTime is how long a proxy whose program has ended may finish the
// requests that are under way: istio-agent's terminationDrainDuration.
const podDrainTime = 5 * time.Second

// proxyOf is the proxy of a pod, nil when it has none.
func (m *Mesh) proxyOf(id string) *proxy {
	for _, p := range m.proxies {
		if p.name == id && !p.gateway {
			return p
		}
	}
	return nil
}

// drain lets the requests under way end, and tells clients to go.
func (p *proxy) drain(ctx context.Context) {
	if p.admin.Drain(ctx) != nil {
		return
	}
	for {
		if active, err := p.admin.Active(ctx); err != nil || active == 0 {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
