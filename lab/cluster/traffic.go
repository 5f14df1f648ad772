package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
)

// slowlyEvery is how often Traffic lists what changes seldom: the ingress gateways, and the DestinationRules.
const slowlyEvery = 10 * time.Second

var destinationRules = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}

// Traffic reads the counters of the fleet's proxies again and again. It keeps a tunnel to each.
type Traffic struct {
	client *Client

	mu       sync.Mutex
	admins   map[string]*envoy.Client // by NAMESPACE/POD
	listed   time.Time                // of what changes seldom
	gateways []local.Pod
	rules    []manifest.Object
	ejected  map[string]map[string]ejection // by proxy, then by CLUSTER HOST
}

// ejection is an ejection that was seen, or is over.
type ejection struct {
	since time.Time // zero: before the first reading of the proxy, or over
	times int       // seen
	now   bool
}

// NewTraffic returns a reader of the counters of the fleet's proxies.
func (c *Client) NewTraffic() *Traffic {
	return &Traffic{client: c, admins: map[string]*envoy.Client{}, ejected: map[string]map[string]ejection{}}
}

// Close closes the connections to the proxies.
func (t *Traffic) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, admin := range t.admins {
		admin.Close()
	}
}

// Read returns the counters of the proxies of pods, and of the ingress gateways. Of hosts in the cluster those in
// the pods' namespaces are included alone: all fleets share the gateway. Nil means that no pod has a proxy.
func (t *Traffic) Read(ctx context.Context, pods []local.Pod) ([]mesh.Traffic, error) {
	proxied := proxied(pods)
	if len(proxied) == 0 {
		return nil, nil
	}
	places := sets.New[string]()
	for _, pod := range pods {
		places.Insert(pod.Namespace)
	}
	if err := t.readSlowly(ctx, places); err != nil {
		return nil, err
	}
	all := make([]mesh.Traffic, len(proxied)+len(t.gateways))
	var reading sync.WaitGroup
	for i, pod := range append(proxied, t.gateways...) {
		all[i] = mesh.Traffic{Proxy: pod.Name, Gateway: i >= len(proxied), Started: pod.Started}
		all[i].Address, _ = netip.ParseAddr(pod.Address)
		if all[i].Gateway && len(t.gateways) == 1 {
			all[i].Proxy = pod.Deployment
		}
		reading.Go(func() { t.readProxy(ctx, pod, places, &all[i]) })
	}
	reading.Wait()
	forgetUnknownTLS(all)
	return all, nil
}

// readSlowly lists what changes seldom. Without permission for the DestinationRules the defaults are assumed.
func (t *Traffic) readSlowly(ctx context.Context, places sets.Set[string]) error {
	if time.Since(t.listed) < slowlyEvery {
		return nil
	}
	gateways, err := t.client.istioPods(ctx, gatewayLog)
	if err != nil {
		return err
	}
	t.client.remember(gateways)
	var rules []manifest.Object
	for _, place := range sets.List(places) {
		list, err := t.client.dynamic.Resource(destinationRules).Namespace(place).List(ctx, metav1.ListOptions{})
		if err != nil {
			continue
		}
		for i := range list.Items {
			text, _ := json.Marshal(list.Items[i].Object) // which the API server has sent as JSON
			rules = append(rules, manifest.Object{Kind: "DestinationRule", JSON: text})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gateways, t.rules, t.listed = gateways, rules, time.Now()
	return nil
}

// Gateways returns the pods of the ingress gateways that the last Read found.
func (t *Traffic) Gateways() []local.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gateways
}

func (t *Traffic) readProxy(ctx context.Context, pod local.Pod, places sets.Set[string], into *mesh.Traffic) {
	admin := t.admin(pod)
	clusters, err := admin.Traffic(ctx, into.Gateway)
	if err != nil {
		return
	}
	maps.DeleteFunc(clusters, func(name string, _ *envoy.ClusterStats) bool { return isElsewhere(name, places) })
	var hosts []envoy.Host
	for _, cluster := range clusters {
		if cluster.EjectedNow > 0 {
			if hosts, err = admin.Ejected(ctx); err != nil {
				return
			}
			break
		}
	}
	into.Clusters = clusters
	into.Ejections = t.ejections(into.Proxy, hosts, time.Now())
}

func (t *Traffic) admin(pod local.Pod) *envoy.Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := pod.Namespace + "/" + pod.Name
	if t.admins[key] == nil {
		t.admins[key] = t.client.Proxy(pod)
	}
	return t.admins[key]
}

// isElsewhere reports whether an outbound cluster leads to a Service in another namespace.
func isElsewhere(cluster string, places sets.Set[string]) bool {
	host := cluster[strings.LastIndex(cluster, "|")+1:]
	name, inCluster := strings.CutSuffix(host, ".svc.cluster.local")
	_, namespace, _ := strings.Cut(name, ".")
	return inCluster && !places.Has(namespace)
}

// ejections returns the ejections of a proxy. Envoy reports which hosts are ejected, not since when: the time is
// when that was first seen, and without one when the proxy had ejected the host before its first reading.
func (t *Traffic) ejections(proxy string, hosts []envoy.Host, now time.Time) (found []mesh.Ejection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, read := t.ejected[proxy], t.ejected[proxy] != nil
	if !read {
		known = map[string]ejection{}
		t.ejected[proxy] = known
	}
	current := map[string]bool{}
	for _, host := range hosts {
		key := host.Cluster + " " + host.Address.String()
		current[key] = true
		e := known[key]
		if !e.now {
			e.now, e.times = true, e.times+1
			if read {
				e.since = now
			}
			known[key] = e
		}
		one := mesh.Ejection{Cluster: host.Cluster, Host: host.Address.String(), Times: e.times, Since: e.since}
		if !e.since.IsZero() {
			one.Until = e.since.Add(mesh.EjectionTime(t.rules, host.Cluster, e.times))
		}
		found = append(found, one)
	}
	for key, e := range known {
		if !current[key] {
			known[key] = ejection{times: e.times}
		}
	}
	return found
}

// forgetUnknownTLS removes the numbers of connections when no proxy has a counter of TLS handshakes, which a
// mesh without k8s/istio.yaml does not keep: it is not known how they are encrypted.
func forgetUnknownTLS(all []mesh.Traffic) {
	for i := range all {
		for _, cluster := range all[i].Clusters {
			if cluster.Handshakes > 0 {
				return
			}
		}
	}
	for i := range all {
		for _, cluster := range all[i].Clusters {
			cluster.Connections, cluster.ConnectFailures = 0, 0
		}
	}
}

// InForce returns the paths of the manifests that were applied last, and when the fleet was started.
func (c *Client) InForce(ctx context.Context) (manifests []string, since time.Time, err error) {
	parent, err := c.fleet(ctx)
	if err != nil {
		return nil, since, err
	}
	return setOf(parent).manifests, parent.CreationTimestamp.Time, nil
}
