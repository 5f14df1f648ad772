package mesh

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Status is a running mesh at one moment.
type Status struct {
	Istiod  IstiodStatus  `json:"istiod"`
	Proxies []ProxyStatus `json:"proxies"`
	// Failures make the run worthless, also when they are over.
	Failures []Failure `json:"failures,omitempty"`
	// Kubeconfig leads kubectl and istioctl to this mesh.
	Kubeconfig string `json:"kubeconfig"`
	// Istioctl is the program of istiod's version.
	Istioctl string `json:"istioctl"`
}

// IstiodStatus is the control plane's. GRPC is its plain port.
type IstiodStatus struct {
	Ready    bool   `json:"ready"`
	GRPC     string `json:"grpc"`
	HTTP     string `json:"http"`
	State    string `json:"state"` // running, or waiting and why
	Restarts int    `json:"restarts"`
	PID      int    `json:"pid"`
	Log      string `json:"log"`
	// NotApplied are Istio objects of the manifests that istiod does not have.
	NotApplied []string `json:"notApplied,omitempty"`
}

// ProxyStatus is one Envoy's.
type ProxyStatus struct {
	Name      string `json:"name"` // of its pod, or the gateway's
	Namespace string `json:"namespace"`
	Gateway   bool   `json:"gateway"`
	Address   string `json:"address"`
	Admin     string `json:"admin"`
	Ready     bool   `json:"ready"`
	// Synced: it is connected, and has accepted the last that istiod sent.
	Synced   bool     `json:"synced"`
	Rejected []string `json:"rejected,omitempty"`
	// Ejected are hosts that outlier detection shut out, as CLUSTER ADDRESS.
	Ejected []string `json:"ejected,omitempty"`
	// Upstreams are those that it has sent requests to.
	Upstreams []UpstreamStatus `json:"upstreams,omitempty"`
	State     string           `json:"state"` // running, or waiting and why
	Restarts  int              `json:"restarts"`
	PID       int              `json:"pid"`
	Log       string           `json:"log"`
}

// UpstreamStatus is what a proxy counted of one upstream since it started.
type UpstreamStatus struct {
	Cluster      string `json:"cluster"` // outbound|8080|SUBSET|HOST
	Tries        uint64 `json:"tries"`   // retries are among them
	Retries      uint64 `json:"retries"`
	RetrySuccess uint64 `json:"retrySuccess"`
	// Overflow are requests and retries that the circuit breaker's limits refused.
	Overflow  uint64 `json:"overflow"`
	Ejections uint64 `json:"ejections"` // of its hosts, by outlier detection
}

// Good is false when anything is rejected, out of step or left out.
func (s *Status) Good() bool {
	good := s.Istiod.Ready && len(s.Istiod.NotApplied) == 0 && len(s.Failures) == 0
	for _, p := range s.Proxies {
		good = good && p.Ready && p.Synced && len(p.Rejected) == 0
	}
	return good
}

// statusWithin bounds Status: who does not answer until then is not ready.
const statusWithin = 2 * time.Second

// Status asks istiod and every proxy, all at once.
func (m *Mesh) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	i := m.istiod
	status := Status{Kubeconfig: i.kubeconfig(), Istioctl: m.options.Binaries.Istioctl.Path, Proxies: make([]ProxyStatus, len(m.proxies))}
	var asking sync.WaitGroup
	for n, p := range m.proxies {
		asking.Go(func() { status.Proxies[n] = p.status(ctx) })
	}
	_, err := i.ask(ctx, "/ready")
	now := i.supervisor.Status()
	status.Istiod = IstiodStatus{
		Ready: err == nil, GRPC: i.grpc.String(), HTTP: i.http.String(), State: now.String(), Restarts: now.Restarts, PID: now.Process.PID(), Log: i.log.Name(),
	}
	var syncs map[string]*syncState
	if err == nil {
		status.Istiod.NotApplied, _ = m.notHeld(ctx)
		syncs, _ = m.syncs(ctx)
	}
	asking.Wait()
	for n, p := range m.proxies {
		known := syncs[p.node.Name+"."+p.node.Namespace]
		status.Proxies[n].Synced = status.Proxies[n].Synced && known != nil && known.done()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	status.Failures = append(status.Failures, m.failures...)
	return status
}

// status is what the proxy itself says; whether it has the last that istiod
// sent is for istiod to say.
func (p *proxy) status(ctx context.Context) ProxyStatus {
	now := p.supervisor.Status()
	status := ProxyStatus{
		Name: p.name, Namespace: p.node.Namespace, Gateway: p.gateway, Address: p.node.IP.String(), Admin: p.node.AdminAddress().String(),
		State: now.String(), Restarts: now.Restarts, PID: now.Process.PID(), Log: p.log.Name(),
	}
	if status.Ready = p.admin.Ready(ctx) == nil; !status.Ready {
		return status
	}
	connected, err := p.admin.Connected(ctx)
	status.Synced = err == nil && connected
	rejected, _ := p.admin.Rejected(ctx)
	for _, rejection := range rejected {
		status.Rejected = append(status.Rejected, rejection.String())
	}
	ejected, _ := p.admin.Ejected(ctx)
	for _, host := range ejected {
		status.Ejected = append(status.Ejected, host.Cluster+" "+host.Address.String())
	}
	clusters, _ := p.admin.Clusters(ctx)
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		if c := clusters[name]; strings.HasPrefix(name, "outbound|") && c.Requests+c.PendingOverflow+c.Ejections > 0 {
			status.Upstreams = append(status.Upstreams, UpstreamStatus{
				Cluster: name, Tries: c.Requests, Retries: c.Retries, RetrySuccess: c.RetrySuccess,
				Overflow: c.RetryOverflow + c.PendingOverflow, Ejections: c.Ejections,
			})
		}
	}
	return status
}
