package mesh

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
)

// Traffic has a proxy's counters since it started, and the hosts that it ejects.
type Traffic struct {
	Proxy   string // the pod's ID, or the gateway's name
	Gateway bool
	Address netip.Addr
	Started time.Time
	// Clusters are the outbound clusters and, with the responses alone, the inbound ones, keyed by name, as
	// envoy.Client.Traffic returns them. Nil when the proxy did not respond.
	Clusters  map[string]*envoy.ClusterStats
	Ejections []Ejection
}

// Ejection is a host that a proxy's outlier detection ejects.
type Ejection struct {
	Cluster string    `json:"cluster"` // outbound|8080|SUBSET|HOST
	Host    string    `json:"host"`    // ADDRESS:PORT
	Cause   string    `json:"cause"`   // consecutive_5xx, ...
	Times   int       `json:"times"`   // how often the host has been ejected
	Since   time.Time `json:"since"`
	// Until is when the ejection time ends. The host returns at the sweep after it.
	Until time.Time `json:"until"`
}

// Traffic returns the counters of all proxies. It queries them concurrently.
func (m *Mesh) Traffic(ctx context.Context) []Traffic {
	proxies := m.allProxies()
	all := make([]Traffic, len(proxies))
	var reading sync.WaitGroup
	for i, p := range proxies {
		all[i] = Traffic{Proxy: p.name, Gateway: p.gateway, Address: p.node.IP}
		if now := p.supervisor.Status(); now.Process != nil {
			all[i].Started = now.Process.Started()
			reading.Go(func() {
				all[i].Clusters, _ = p.admin.Traffic(ctx, p.gateway)
				maps.DeleteFunc(all[i].Clusters, func(name string, _ *envoy.ClusterStats) bool {
					return strings.HasSuffix(name, "|"+kube.CollectorHost) // the proxies' own spans
				})
				all[i].Ejections = m.ejections(p, all[i].Clusters)
			})
		}
	}
	reading.Wait()
	return all
}

// noteEjection keeps an ejection until the host returns.
func (p *proxy) noteEjection(e envoy.Ejection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := e.Cluster + " " + e.Host
	if e.Action == "UNEJECT" {
		delete(p.ejected, key)
		return
	}
	if p.ejected == nil {
		p.ejected = map[string]envoy.Ejection{}
	}
	if e.Enforced {
		p.ejected[key] = e
	}
}

// ejections returns the proxy's ejections of the clusters in which a host is ejected now: a proxy that
// restarts does not log that its hosts return.
func (m *Mesh) ejections(p *proxy, clusters map[string]*envoy.ClusterStats) (found []Ejection) {
	m.mu.Lock()
	objects := m.manifests.All
	m.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.ejected {
		if now := clusters[e.Cluster]; now == nil || now.EjectedNow == 0 {
			continue
		}
		found = append(found, Ejection{
			Cluster: e.Cluster, Host: e.Host, Cause: strings.ToLower(e.Type), Times: e.Times,
			Since: e.Time, Until: e.Time.Add(EjectionTime(objects, e.Cluster, e.Times)),
		})
	}
	return found
}

// Envoy's defaults of outlier detection.
const (
	defaultEjection = 30 * time.Second
	maxEjection     = 300 * time.Second
)

// EjectionTime returns how long the n-th ejection of a host of a cluster lasts, by the DestinationRules among
// the objects.
func EjectionTime(objects []manifest.Object, cluster string, n int) time.Duration {
	base := baseEjectionTime(objects, cluster)
	return min(base*time.Duration(max(n, 1)), max(maxEjection, base))
}

// baseEjectionTime returns that of the DestinationRule for a cluster.
func baseEjectionTime(objects []manifest.Object, cluster string) time.Duration {
	parts := strings.Split(cluster, "|")
	if len(parts) != 4 {
		return defaultEjection
	}
	type policy struct {
		OutlierDetection struct{ BaseEjectionTime string }
	}
	base := defaultEjection
	set := func(p policy) {
		if d, err := time.ParseDuration(p.OutlierDetection.BaseEjectionTime); err == nil && d > 0 {
			base = d
		}
	}
	for _, object := range objects {
		var rule struct {
			Spec struct {
				Host          string
				TrafficPolicy policy
				Subsets       []struct {
					Name          string
					TrafficPolicy policy
				}
			}
		}
		if object.Kind != "DestinationRule" || json.Unmarshal(object.JSON, &rule) != nil || !isHost(rule.Spec.Host, parts[3]) {
			continue
		}
		set(rule.Spec.TrafficPolicy)
		for _, subset := range rule.Spec.Subsets {
			if subset.Name == parts[2] {
				set(subset.TrafficPolicy)
			}
		}
	}
	return base
}

// isHost reports whether a rule's host, which may be a short name or *.DOMAIN, is a cluster's.
func isHost(rule, host string) bool {
	if domain, ok := strings.CutPrefix(rule, "*"); ok {
		return strings.HasSuffix(host, domain)
	}
	return host == rule || strings.HasPrefix(host, rule+".") && !strings.Contains(rule, ".svc")
}
