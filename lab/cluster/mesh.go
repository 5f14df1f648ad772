package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
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
	var proxied []local.Pod
	for _, pod := range pods {
		if pod.AppAddress != "" {
			proxied = append(proxied, pod)
		}
	}
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
			admin := c.proxyAdmin(pod.Namespace, pod.Name)
			defer admin.Close()
			status.Proxies[i] = mesh.ProxyStatus{
				Name: pod.Name, Namespace: pod.Namespace, Gateway: i >= len(proxied), Address: pod.Address, State: pod.State, Restarts: pod.Restarts,
				Admin: net.JoinHostPort(pod.Address, strconv.Itoa(proxyAdmin)),
			}
			status.Proxies[i].Read(ctx, admin)
		})
	}
	synced, istiod := c.syncs(ctx, istiods)
	status.Istiod = istiod
	queries.Wait()
	for i := range status.Proxies {
		p := &status.Proxies[i]
		// istiod lists the connected proxies; the proxy's own gauge is not among the statistics that Istio keeps
		p.Synced = p.Ready && synced[p.Name+"."+p.Namespace]
	}
	return status, nil
}

// istioPods returns the running pods of a part of the mesh.
func (c *Client) istioPods(ctx context.Context, app string) ([]local.Pod, error) {
	list, err := c.kube.CoreV1().Pods(istioNamespace).List(ctx, metav1.ListOptions{LabelSelector: istioAppName + "=" + app})
	if err != nil {
		return nil, c.about("pods of "+app, err)
	}
	var pods []local.Pod
	for i := range list.Items {
		if pod := describe(&list.Items[i], nil); pod.State == "running" {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// proxyAdmin returns a client of the admin interface of a pod's proxy.
func (c *Client) proxyAdmin(namespace, pod string) *envoy.Client {
	return envoy.NewDialClient(pod, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.DialPod(ctx, namespace, pod, proxyAdmin)
	})
}

// syncs returns the state of istiod, and which proxies, as NAME.NAMESPACE, have acknowledged its last
// update. Each proxy is connected to one of the istiods.
func (c *Client) syncs(ctx context.Context, istiods []local.Pod) (map[string]bool, mesh.IstiodStatus) {
	synced := map[string]bool{}
	status := mesh.IstiodStatus{State: "not running"}
	for _, pod := range istiods {
		status.State, status.HTTP, status.Restarts = pod.State, net.JoinHostPort(pod.Address, strconv.Itoa(istiodDebug)), status.Restarts+pod.Restarts
		text, err := c.istiod(ctx, pod, "/debug/syncz")
		if err == nil {
			err = mesh.ReadSyncs(text, synced)
		}
		if err != nil {
			status.State = err.Error()
			return synced, status
		}
		status.Ready = true
	}
	return synced, status
}

// istiod returns a page of istiod's debug interface.
func (c *Client) istiod(ctx context.Context, pod local.Pod, path string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.DialPod(ctx, pod.Namespace, pod.Name, istiodDebug)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://istiod"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("istiod %s: status %d: %.100s", path, response.StatusCode, strings.TrimSpace(string(text)))
	}
	return text, err
}
