package mesh

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// rejectionPoll is how often proxies are asked whether they rejected anything.
const rejectionPoll = time.Second

// watchRejections makes every update that a proxy rejects an error of the run.
func (m *Mesh) watchRejections() {
	for {
		select {
		case <-time.After(rejectionPoll):
			m.lookForRejections(m.stopping)
		case <-m.stopping.Done():
			return
		}
	}
}

func (m *Mesh) lookForRejections(ctx context.Context) {
	for _, p := range m.proxies {
		found, err := p.admin.Rejected(ctx)
		if err != nil {
			continue // it is being started, or stopped
		}
		for _, rejection := range found {
			// the count tells one from the next; the reason is gone when the update is
			key := fmt.Sprintf("%s %d %s %d", p.name, p.started(), rejection.Stat, rejection.Count)
			if rejection.Stat == "" {
				key = p.name + " " + rejection.String()
			}
			m.fail(key, "proxy of "+p.name, "rejected an update: "+rejection.String())
		}
	}
	for _, refusal := range m.certs.Refusals() {
		m.fail(refusal, "certificates", refusal)
	}
}

// check tells whether anything was rejected, the first failures aside.
func (m *Mesh) check(ctx context.Context, first int) error {
	m.lookForRejections(ctx)
	if err := m.errSince(first); err != nil {
		first, others, _ := strings.Cut(err.Error(), "\n")
		if others != "" { // each has been shown
			first += fmt.Sprintf("; and %d more", 1+strings.Count(others, "\n"))
		}
		return fmt.Errorf("mesh: %s", first)
	}
	return nil
}

// Status is a running mesh at one moment.
type Status struct {
	Istiod  IstiodStatus  `json:"istiod"`
	Proxies []ProxyStatus `json:"proxies"`
	// Failures make the run worthless, also when they are over.
	Failures []Failure `json:"failures,omitempty"`
	// Kubeconfig leads kubectl and istioctl to this mesh.
	Kubeconfig string `json:"kubeconfig"`
}

// IstiodStatus is the control plane's. GRPC is what istioctl wants in
// --xds-address.
type IstiodStatus struct {
	Ready    bool   `json:"ready"`
	GRPC     string `json:"grpc"`
	HTTP     string `json:"http"`
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
	Ejected  []string `json:"ejected,omitempty"`
	Restarts int      `json:"restarts"`
	PID      int      `json:"pid"`
	Log      string   `json:"log"`
}

// Good is false when anything is rejected, out of step or left out.
func (s *Status) Good() bool {
	good := s.Istiod.Ready && len(s.Istiod.NotApplied) == 0 && len(s.Failures) == 0
	for _, p := range s.Proxies {
		good = good && p.Ready && p.Synced && len(p.Rejected) == 0
	}
	return good
}

// Status asks istiod and every proxy.
func (m *Mesh) Status(ctx context.Context) Status {
	i := m.istiod
	status := Status{Kubeconfig: i.kubeconfig(), Proxies: make([]ProxyStatus, len(m.proxies))}
	_, err := i.ask(ctx, "/ready")
	i.mu.Lock()
	status.Istiod = IstiodStatus{Ready: err == nil, GRPC: i.grpc.String(), HTTP: i.http.String(), Restarts: i.restarts, PID: i.proc.PID(), Log: i.log.Name()}
	i.mu.Unlock()
	if err == nil {
		status.Istiod.NotApplied, _ = m.notHeld(ctx)
	}
	syncs, _ := m.syncs(ctx)
	var asking sync.WaitGroup
	for n, p := range m.proxies {
		asking.Go(func() { status.Proxies[n] = p.status(ctx, syncs[p.node.Name+"."+p.node.Namespace]) })
	}
	asking.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	status.Failures = append(status.Failures, m.failures...)
	return status
}

func (p *proxy) status(ctx context.Context, known *syncState) ProxyStatus {
	p.mu.Lock()
	status := ProxyStatus{
		Name: p.name, Namespace: p.node.Namespace, Gateway: p.gateway, Address: p.node.IP.String(), Admin: p.node.AdminAddress().String(),
		Restarts: p.restarts, PID: p.proc.PID(), Log: p.log.Name(),
	}
	p.mu.Unlock()
	status.Ready = p.admin.Ready(ctx) == nil
	connected, err := p.admin.Connected(ctx)
	status.Synced = err == nil && connected && known != nil && known.done()
	rejected, _ := p.admin.Rejected(ctx)
	for _, rejection := range rejected {
		status.Rejected = append(status.Rejected, rejection.String())
	}
	ejected, _ := p.admin.Ejected(ctx)
	for _, host := range ejected {
		status.Ejected = append(status.Ejected, host.Cluster+" "+host.Address.String())
	}
	return status
}
