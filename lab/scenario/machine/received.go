package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/scenario/check"
)

// Received implements check.Target. A pod with a proxy took what its own proxy
// passed on to it; a pod without one took what others' proxies sent there.
func (t *target) Received(_ context.Context, name string) ([]check.Call, error) {
	if t.mesh == nil {
		return nil, nil // nobody is there to see calls
	}
	deployment, bare := map[string]string{}, map[string]string{}
	logs := t.mesh.ProxyLogs()
	for _, pod := range t.fleet.Pods() {
		deployment[id(pod)] = pod.Deployment
		if _, proxied := logs[id(pod)]; !proxied {
			bare[pod.Address] = pod.Deployment
		}
	}
	var calls []check.Call
	for proxy, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			return nil, fmt.Errorf("log of the proxy of %s: %w", proxy, err)
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte(name)) {
				continue
			}
			entry, ok := envoy.ParseAccess(line)
			if !ok || entry.Check != name || entry.Upstream == "" {
				continue
			}
			call := check.Call{Method: entry.Method, Path: entry.Path}
			if entry.Inbound() {
				call.Deployment, call.Identity = deployment[proxy], entry.Identity
			} else {
				host, _, _ := net.SplitHostPort(entry.Upstream)
				call.Deployment = bare[host]
			}
			if call.Deployment != "" {
				calls = append(calls, call)
			}
		}
	}
	return calls, nil
}

// vehicles is how many the tracker knows; 0 when it does not say.
func vehicles(ctx context.Context, route check.Route) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+route.Host+"/vehicles/", nil)
	if err != nil {
		return 0
	}
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return route.Dial(ctx, 0) },
		DisableKeepAlives: true,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	var known []json.RawMessage
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&known) != nil {
		return 0
	}
	return len(known)
}
