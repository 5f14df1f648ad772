//go:build !local

package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/scenario/check"
)

// ClusterStarter returns a function that starts fleets on a cluster, one at a time: all of them share the
// ingress gateway. A fleet replaces the one before in place, with new pods, so that the caller removes the last
// one with the client's Down.
// agree is called with the objects in other namespaces than those of the manifests.
func ClusterStarter(client *cluster.Client, ready time.Duration, agree func([]string) error) check.Start {
	var starts atomic.Int64
	began := strconv.FormatInt(time.Now().UnixNano(), 36)
	return func(ctx context.Context, _ int, objects *manifest.Objects) (check.Target, error) {
		rejections, err := client.Rejections(ctx)
		if err != nil {
			return nil, err
		}
		err = client.Up(ctx, objects, cluster.UpOptions{
			Change:       cluster.Change{FreeNodePorts: true, Start: fmt.Sprintf("%s-%d", began, starts.Add(1))},
			ReadyTimeout: ready, Progress: func(string) {}, Agree: agree,
		})
		if err != nil {
			return nil, err
		}
		if err := client.AwaitMesh(ctx, rejections); err != nil {
			return nil, err
		}
		if err := client.AwaitServices(ctx); err != nil {
			return nil, err
		}
		t, err := newClusterTarget(ctx, client, rejections)
		if err != nil {
			return nil, err
		}
		return t, t.awaitVehicles(ctx)
	}
}

// RunningOnCluster returns a running fleet as a target, which Stop does not stop.
func RunningOnCluster(ctx context.Context, client *cluster.Client) (check.Target, error) {
	t, err := newClusterTarget(ctx, client, nil)
	if err != nil || !t.proxied() {
		return t, err
	}
	status, err := client.Mesh(ctx)
	t.rejections = status.Rejections()
	return t, err
}

func newClusterTarget(ctx context.Context, client *cluster.Client, rejections map[string]int) (t *clusterTarget, err error) {
	t = &clusterTarget{client: client, since: metav1.Now(), rejections: rejections}
	if t.faults, err = client.FaultClient(ctx); err != nil {
		return nil, err
	}
	if t.pods, err = client.Pods(ctx); err != nil {
		return nil, err
	}
	if t.services, err = client.ServiceAddresses(ctx); err != nil {
		return nil, err
	}
	if t.ports, err = client.NodePorts(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

type clusterTarget struct {
	client *cluster.Client
	since  metav1.Time
	// rejections are those of the gateways before the fleet or, of a running fleet, of all proxies before its check.
	rejections map[string]int
	faults     *faults.Client
	pods       []local.Pod
	ports      []local.NodePort
	// services are the addresses of Services, by NAMESPACE/NAME.
	services map[string]string
}

// Stop implements check.Target. The next fleet replaces this one.
func (t *clusterTarget) Stop() {}

// Err implements check.Target.
func (t *clusterTarget) Err(ctx context.Context) error {
	if !t.proxied() {
		return nil
	}
	status, err := t.client.Mesh(ctx)
	if err != nil {
		return err
	}
	return status.RejectedSince(t.rejections)
}

// proxied reports whether any pod has a proxy.
func (t *clusterTarget) proxied() bool {
	return slices.ContainsFunc(t.pods, func(pod local.Pod) bool { return pod.AppAddress != "" })
}

// SetFaults implements check.Target.
func (t *clusterTarget) SetFaults(ctx context.Context, deployment, rules string) error {
	pods, err := t.now(ctx, deployment)
	if err != nil {
		return err
	}
	return setFaults(ctx, t.faults, pods, deployment, rules)
}

// Kill implements check.Target.
func (t *clusterTarget) Kill(ctx context.Context, deployment string) error {
	pods, err := t.now(ctx, deployment)
	if err != nil {
		return err
	}
	return each(pods, deployment, func(pod local.Pod) error {
		_, err := t.client.Kill(ctx, pod.Name, syscall.SIGTERM)
		return err
	})
}

// now returns the pods that a Deployment has after earlier ones were killed.
func (t *clusterTarget) now(ctx context.Context, deployment string) ([]local.Pod, error) {
	pods, err := t.client.Pods(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(podsOf(pods, deployment), func(p local.Pod) bool { return p.State == "terminating" }), nil
}

// Route implements check.Target. It starts the pods that relay the requests.
func (t *clusterTarget) Route(ctx context.Context, r *scenario.Requests) (check.Route, error) {
	from, to := r.From, r.To
	switch {
	case from.Ingress:
		if err := t.startHelpers(ctx, r.EachSource); err != nil {
			return check.Route{}, err
		}
		return nodeRoute(t.ports, func(p local.NodePort) bool { return p.Service == "istio-ingressgateway" }, t.dialIngress), nil
	case from.NodePort != 0:
		return nodeRoute(t.ports, func(p local.NodePort) bool { return p.Declared == from.NodePort }, dialAny), nil
	}
	pods := podsOf(t.pods, from.Workload)
	if len(pods) == 0 {
		return check.Route{}, fmt.Errorf("no pod of Deployment %s to send from", from.Workload)
	}
	if err := t.client.StartRelay(ctx, pods[0]); err != nil {
		return check.Route{}, err
	}
	return check.Route{Host: to, Dial: func(ctx context.Context, _ int) (net.Conn, error) {
		return t.client.DialFrom(ctx, pods[0], to)
	}}, nil
}

// startHelpers starts the pods for a number of sources, all at once.
func (t *clusterTarget) startHelpers(ctx context.Context, sources int) error {
	var starting sync.WaitGroup
	errs := make([]error, sources)
	for i := range sources {
		starting.Go(func() { errs[i] = t.client.StartHelper(ctx, i+1) })
	}
	starting.Wait()
	return errors.Join(errs...)
}

// dialIngress connects to the ingress gateway. A source, which needs an address of its own, is a pod that connects
// to the same port in the cluster.
func (t *clusterTarget) dialIngress(ctx context.Context, address string, source int) (net.Conn, error) {
	if source > 0 {
		return t.client.DialHelper(ctx, source, "istio-ingressgateway.istio-system.svc:80")
	}
	return dialAny(ctx, address, source)
}

// dialAny connects to a port of a node, whatever the source.
func dialAny(ctx context.Context, address string, _ int) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// Received implements check.Target. Identities have the default namespace, as the promises do.
func (t *clusterTarget) Received(ctx context.Context, name string) ([]check.Call, error) {
	proxied, bare := map[string]string{}, map[string]string{}
	for _, pod := range t.pods {
		if pod.AppAddress != "" {
			proxied[pod.Name] = pod.Deployment
			continue
		}
		bare[pod.Address] = pod.Deployment
		for _, service := range pod.Services { // a proxy that resolves the Service's name sees its address alone
			bare[t.services[pod.Namespace+"/"+service]] = pod.Deployment
		}
	}
	if len(proxied) == 0 {
		return nil, nil
	}
	logs, err := t.client.ProxyLogs(ctx, t.since)
	if err != nil {
		return nil, err
	}
	var calls []check.Call
	for _, log := range logs {
		calls = append(calls, receivedBy(log.Pod, log.Text, proxied, bare, name)...)
	}
	for i := range calls {
		calls[i].Identity = strings.Replace(calls[i].Identity, "/ns/"+t.client.Namespace()+"/sa/", "/ns/"+manifest.DefaultNamespace+"/sa/", 1)
	}
	return calls, nil
}

// Proxies implements check.Target.
func (t *clusterTarget) Proxies(ctx context.Context) ([]check.Proxy, error) {
	status, err := t.client.Mesh(ctx)
	if err != nil {
		return nil, err
	}
	deployments := map[string]string{}
	for _, pod := range t.pods {
		deployments[pod.Namespace+"/"+pod.Name] = pod.Deployment
	}
	var proxies []check.Proxy
	for _, p := range status.Proxies {
		of := deployments[p.Namespace+"/"+p.Name]
		if p.Gateway {
			of = scenario.IngressGateway
		}
		proxies = append(proxies, check.Proxy{Deployment: of, Revision: p.Revision})
	}
	return proxies, nil
}

// awaitVehicles is like that of a fleet on this machine. The request goes to the program of the tracker,
// without a proxy in between.
func (t *clusterTarget) awaitVehicles(ctx context.Context) error {
	trackers := podsOf(t.pods, "position-tracker")
	if len(trackers) == 0 {
		return nil
	}
	address := net.JoinHostPort(trackers[0].Name, strconv.Itoa(trackers[0].Port))
	route := check.Route{Host: address, Dial: func(ctx context.Context, _ int) (net.Conn, error) { return t.client.Dial(ctx, "tcp", address) }}
	return settle(ctx, route)
}
