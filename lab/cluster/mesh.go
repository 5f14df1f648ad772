package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
)

// statusWithin bounds Mesh. A proxy that takes longer is reported as not ready.
const statusWithin = 10 * time.Second

// istiodDebug is the port of istiod's debug interface. It serves callers of its own pod, as a
// port-forward is, without credentials.
const istiodDebug = 8080

var errNoProxies = errors.New("no proxies")

// Mesh returns the status of the fleet's proxies, of the ingress gateways and of istiod.
func (c *Client) Mesh(ctx context.Context) (mesh.Status, error) {
	pods, err := c.Pods(ctx)
	if err != nil {
		return mesh.Status{}, err
	}
	proxied := proxied(pods)
	if len(proxied) == 0 {
		return mesh.Status{}, c.fail(errNoProxies, "no pod of the fleet has a proxy: start it with a scenario that enables injection, such as sidecars")
	}
	gateways, err := c.istioPods(ctx, gatewayLog)
	if err != nil {
		return mesh.Status{}, err
	}
	istiods, err := c.istioPods(ctx, istiodLog)
	if err != nil {
		return mesh.Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	status := mesh.Status{Proxies: make([]mesh.ProxyStatus, len(proxied)+len(gateways))}
	var queries sync.WaitGroup
	for i, pod := range append(proxied, gateways...) {
		queries.Go(func() {
			admin := c.Proxy(pod)
			defer admin.Close()
			status.Proxies[i] = mesh.ProxyStatus{
				Name: pod.Name, Namespace: pod.Namespace, Gateway: i >= len(proxied), Address: pod.Address, State: pod.State, Restarts: pod.Restarts,
				Admin: net.JoinHostPort(pod.Address, strconv.Itoa(proxyAdmin)),
			}
			status.Proxies[i].Read(ctx, admin)
		})
	}
	connected, all := c.syncs(ctx, istiods)
	status.Istiod, status.Revisions = all[0], all[1:]
	queries.Wait()
	for i := range status.Proxies {
		p := &status.Proxies[i]
		// istiod lists the connected proxies; the proxy's own gauge is not among the statistics that Istio keeps
		at := connected[p.Name+"."+p.Namespace]
		p.Revision, p.Synced = at.Revision, p.Ready && at.Synced
	}
	return status, nil
}

// istioPods returns the running pods of a part of the mesh.
func (c *Client) istioPods(ctx context.Context, app string) ([]local.Pod, error) {
	list, err := c.list(ctx, istioNamespace, ofApp+app)
	var pods []local.Pod
	for i := range list {
		if pod := describe(&list[i], nil); pod.State == "running" {
			pod.Revision = cmp.Or(list[i].Labels[manifest.RevisionLabel], manifest.DefaultRevision)
			pods = append(pods, pod)
		}
	}
	return pods, err
}

// Proxy returns a client of the admin interface of a pod's proxy.
func (c *Client) Proxy(pod local.Pod) *envoy.Client {
	return envoy.NewDialClient(pod.Name, c.dialer(pod.Namespace, pod.Name, proxyAdmin))
}

// syncs returns the proxies that the istiods list, as NAME.NAMESPACE, and the state of the istiods of each revision,
// the default one first. Each proxy is connected to one pod of its revision's istiod.
func (c *Client) syncs(ctx context.Context, istiods []local.Pod) (map[string]mesh.Connection, []mesh.IstiodStatus) {
	connected := map[string]mesh.Connection{}
	byRevision := map[string][]local.Pod{}
	for _, pod := range istiods {
		byRevision[pod.Revision] = append(byRevision[pod.Revision], pod)
	}
	if len(istiods) == 0 {
		byRevision[manifest.DefaultRevision] = nil
	}
	var all []mesh.IstiodStatus
	for _, revision := range slices.Sorted(maps.Keys(byRevision)) {
		status := c.istiodStatus(ctx, revision, byRevision[revision], connected)
		if revision == manifest.DefaultRevision {
			all = slices.Insert(all, 0, status)
		} else {
			all = append(all, status)
		}
	}
	return connected, all
}

// istiodStatus returns the state of a revision's istiod, and adds the proxies that its pods list to connected.
func (c *Client) istiodStatus(ctx context.Context, revision string, pods []local.Pod, connected map[string]mesh.Connection) mesh.IstiodStatus {
	status := mesh.IstiodStatus{Name: kube.ControlPlane(revision), Revision: revision, State: "not running"}
	for _, pod := range pods {
		status.State, status.HTTP, status.Restarts = pod.State, net.JoinHostPort(pod.Address, strconv.Itoa(istiodDebug)), status.Restarts+pod.Restarts
		text, err := c.istiod(ctx, pod, "/debug/syncz")
		if err == nil {
			err = mesh.ReadSyncs(text, revision, connected)
		}
		if err != nil {
			status.Ready, status.State = false, err.Error()
			return status
		}
		status.Ready = true
	}
	return status
}

// istiod returns a page of istiod's debug interface.
func (c *Client) istiod(ctx context.Context, pod local.Pod, path string) ([]byte, error) {
	code, text, err := c.get(ctx, pod.Namespace, pod.Name, istiodDebug, path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("istiod %s: status %d: %.100s", path, code, strings.TrimSpace(string(text)))
	}
	return text, err
}
