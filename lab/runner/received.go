package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/scrape"
)

// Received implements check.Target.
func (t *target) Received(_ context.Context, name string) ([]check.Call, error) {
	if t.mesh == nil {
		return nil, nil // nobody is there to see calls
	}
	logs := t.mesh.ProxyLogs()
	proxied, bare := map[string]string{}, map[string]string{}
	for _, pod := range t.fleet.Pods() {
		if _, ok := logs[pod.Name]; ok {
			proxied[pod.Name] = pod.Deployment
		} else {
			bare[pod.Address] = pod.Deployment
		}
	}
	return received(logs, proxied, bare, name)
}

// Proxies implements check.Target.
func (t *target) Proxies(ctx context.Context) ([]check.Proxy, error) {
	if t.mesh == nil {
		return nil, nil
	}
	revisions, err := t.mesh.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	var proxies []check.Proxy
	for _, pod := range t.fleet.Pods() {
		if revision, ok := revisions[pod.Name]; ok {
			proxies = append(proxies, check.Proxy{Deployment: pod.Deployment, Revision: revision})
		}
	}
	if revision, ok := revisions[scenario.IngressGateway]; ok {
		proxies = append(proxies, check.Proxy{Deployment: scenario.IngressGateway, Revision: revision})
	}
	return proxies, nil
}

// received reads the calls from the proxies' logs: for a pod with a proxy those
// that its own proxy forwarded, for a pod without one those that other proxies
// sent to its address.
func received(logs, proxied, bare map[string]string, name string) ([]check.Call, error) {
	var calls []check.Call
	for _, proxy := range slices.Sorted(maps.Keys(logs)) {
		text, err := os.ReadFile(logs[proxy])
		if err != nil {
			return nil, fmt.Errorf("log of the proxy of %s: %w", proxy, err)
		}
		calls = append(calls, receivedBy(proxy, text, proxied, bare, name)...)
	}
	return calls, nil
}

// receivedBy reads the calls from the text of one proxy's log.
func receivedBy(proxy string, text []byte, proxied, bare map[string]string, name string) (calls []check.Call) {
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte(name)) {
			continue
		}
		entry, ok := envoy.ParseAccess(line)
		if !ok || entry.Check != name || entry.Upstream == "" {
			continue // it went no further than the proxy
		}
		call := check.Call{Method: entry.Method, Path: entry.Path}
		if entry.Inbound() {
			call.Deployment, call.Identity = proxied[proxy], entry.Identity
		} else {
			host, _, _ := net.SplitHostPort(entry.Upstream)
			call.Deployment = bare[host]
		}
		if call.Deployment != "" {
			calls = append(calls, call)
		}
	}
	return calls
}

// vehicles returns the number of vehicles that the tracker has; 0 after an error.
func vehicles(ctx context.Context, route check.Route) int {
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return route.Dial(ctx, 0) },
		DisableKeepAlives: true,
	}}
	var known []json.RawMessage
	_, _ = scrape.JSON(ctx, client, "http://"+route.Host+"/vehicles/", &known)
	return len(known)
}
