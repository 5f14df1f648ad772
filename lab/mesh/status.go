package mesh

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/mesh/envoy"
)

// Status is the state of a running mesh.
type Status struct {
	Istiod IstiodStatus `json:"istiod"` // of the default revision
	// Revisions are the istiods of the other revisions.
	Revisions []IstiodStatus `json:"revisions,omitempty"`
	Proxies   []ProxyStatus  `json:"proxies"`
	// Failures are all failures since the start, including those that no longer apply.
	Failures []Failure `json:"failures,omitempty"`
	// Kubeconfig is the path of the kubeconfig for this mesh.
	Kubeconfig string `json:"kubeconfig"`
	// Istioctl is the path of istioctl in istiod's version.
	Istioctl string `json:"istioctl"`
}

// IstiodStatus is the state of istiod.
type IstiodStatus struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Ready    bool   `json:"ready"`
	GRPC     string `json:"grpc"`  // address of the plaintext port
	HTTP     string `json:"http"`  // address of the debug interface
	State    string `json:"state"` // running, or waiting and why
	Restarts int    `json:"restarts"`
	PID      int    `json:"pid"`
	Log      string `json:"log"`
	// NotApplied are the manifests' Istio objects that istiod does not have.
	NotApplied []string `json:"notApplied,omitempty"`
}

// ProxyStatus is the state of one Envoy.
type ProxyStatus struct {
	Name      string `json:"name"` // the pod's ID, or the gateway's name
	Namespace string `json:"namespace"`
	Gateway   bool   `json:"gateway"`
	Address   string `json:"address"`
	Admin     string `json:"admin"`
	Ready     bool   `json:"ready"`
	// Revision is that of the istiod to which the proxy is connected.
	Revision string `json:"revision,omitempty"`
	// Synced reports whether the proxy is connected to istiod and has acknowledged its last update.
	Synced   bool     `json:"synced"`
	Rejected []string `json:"rejected,omitempty"`
	// Ejected are the hosts that outlier detection ejects now, as CLUSTER ADDRESS.
	Ejected []string `json:"ejected,omitempty"`
	// Upstreams are the clusters to which the proxy has sent requests.
	Upstreams []UpstreamStatus `json:"upstreams,omitempty"`
	State     string           `json:"state"` // running, or waiting and why
	Restarts  int              `json:"restarts"`
	PID       int              `json:"pid"`
	Log       string           `json:"log"`
}

// UpstreamStatus has a proxy's counters of one cluster since the proxy started.
type UpstreamStatus struct {
	Cluster      string `json:"cluster"` // outbound|8080|SUBSET|HOST
	Tries        uint64 `json:"tries"`   // attempts, including retries
	Retries      uint64 `json:"retries"`
	RetrySuccess uint64 `json:"retrySuccess"` // retries that succeeded
	// Overflow counts the requests and retries that a limit of the circuit breaker refused.
	Overflow  uint64 `json:"overflow"`
	Ejections uint64 `json:"ejections"` // of the cluster's hosts, by outlier detection
}

// Good reports whether every proxy is in sync, no update was rejected and every object is applied.
func (s *Status) Good() bool {
	good := len(s.Failures) == 0
	for _, i := range s.Istiods() {
		good = good && i.Ready && len(i.NotApplied) == 0
	}
	for _, p := range s.Proxies {
		good = good && p.Ready && p.Synced && len(p.Rejected) == 0
	}
	return good
}

// Rejections returns how many updates each proxy has rejected since it started.
func (s *Status) Rejections() map[string]int {
	counts := map[string]int{}
	for _, p := range s.Proxies {
		counts[p.Name] = len(p.Rejected)
	}
	return counts
}

// RejectedSince returns an error if a proxy has rejected an update that is not among the earlier ones.
func (s *Status) RejectedSince(earlier map[string]int) error {
	for _, p := range s.Proxies {
		if len(p.Rejected) > earlier[p.Name] {
			return fmt.Errorf("proxy of %s: rejected: %s", p.Name, p.Rejected[len(p.Rejected)-1])
		}
	}
	return nil
}

// Istiods returns all istiods, that of the default revision first.
func (s *Status) Istiods() []IstiodStatus { return append([]IstiodStatus{s.Istiod}, s.Revisions...) }

// statusWithin bounds Status. Istiod or a proxy that takes longer is reported as not ready.
const statusWithin = 2 * time.Second

// Status returns the state of the mesh. It queries istiod and all proxies concurrently.
func (m *Mesh) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	istiods, proxies := m.controlPlanes(), m.allProxies()
	status := Status{Kubeconfig: Kubeconfig(m.site.State), Istioctl: m.options.Binaries.Istioctl.Path, Proxies: make([]ProxyStatus, len(proxies))}
	var queries sync.WaitGroup
	for n, p := range proxies {
		queries.Go(func() { status.Proxies[n] = p.status(ctx) })
	}
	of, connected := make([]IstiodStatus, len(istiods)), make([]map[string]Connection, len(istiods))
	for n, i := range istiods {
		queries.Go(func() { of[n], connected[n] = m.istiodStatus(ctx, i) })
	}
	queries.Wait()
	if len(of) > 0 { // false while the mesh starts
		status.Istiod, status.Revisions = of[0], of[1:]
	}
	known := map[string]Connection{}
	for _, more := range connected {
		maps.Copy(known, more)
	}
	for n, p := range proxies {
		at := known[p.key()]
		status.Proxies[n].Revision, status.Proxies[n].Synced = at.Revision, status.Proxies[n].Synced && at.Synced
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	status.Failures = append(status.Failures, m.failures...)
	return status
}

// istiodStatus returns the state of an istiod, and the proxies that it lists.
func (m *Mesh) istiodStatus(ctx context.Context, i *istiod) (IstiodStatus, map[string]Connection) {
	_, err := i.get(ctx, "/ready")
	now := i.supervisor.Status()
	status := IstiodStatus{
		Name: i.name, Revision: i.revision, Ready: err == nil, GRPC: i.grpc.String(), HTTP: i.http.String(),
		State: now.String(), Restarts: now.Restarts, PID: now.Process.PID(), Log: i.log.Name(),
	}
	known := map[string]Connection{}
	if err == nil {
		status.NotApplied, _ = m.missingOf(ctx, i)
		_ = i.syncs(ctx, known) // what it does not list is not in sync
	}
	return status, known
}

// status returns the proxy's own state: see ProxyStatus.Read.
func (p *proxy) status(ctx context.Context) ProxyStatus {
	now := p.supervisor.Status()
	status := ProxyStatus{
		Name: p.name, Namespace: p.node.Namespace, Gateway: p.gateway, Address: p.node.IP.String(), Admin: p.node.AdminAddress().String(),
		State: now.String(), Restarts: now.Restarts, PID: now.Process.PID(), Log: p.log.Name(),
	}
	status.Read(ctx, p.admin)
	return status
}

// Read fills in what the proxy itself reports: all but its name, its addresses and its process. Its Synced
// only reports the connection to istiod.
func (s *ProxyStatus) Read(ctx context.Context, admin *envoy.Client) {
	if s.Ready = admin.Ready(ctx) == nil; !s.Ready {
		return
	}
	connected, err := admin.Connected(ctx)
	s.Synced = err == nil && connected
	rejected, _ := admin.Rejected(ctx)
	for _, rejection := range rejected {
		s.Rejected = append(s.Rejected, rejection.String())
	}
	ejected, _ := admin.Ejected(ctx)
	for _, host := range ejected {
		s.Ejected = append(s.Ejected, host.Cluster+" "+host.Address.String())
	}
	clusters, _ := admin.Clusters(ctx)
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		if c := clusters[name]; strings.HasPrefix(name, "outbound|") && c.Requests+c.PendingOverflow+c.Ejections > 0 {
			s.Upstreams = append(s.Upstreams, UpstreamStatus{
				Cluster: name, Tries: c.Requests, Retries: c.Retries, RetrySuccess: c.RetrySuccess,
				Overflow: c.RetryOverflow + c.PendingOverflow, Ejections: c.Ejections,
			})
		}
	}
}
