package compare

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/loader"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/process"
	"fleetman.example/lab/record"
)

// proxy is an Envoy: the sidecar of a pod, or a gateway.
type proxy struct {
	name          string // the name of the sidecar's pod, or of the gateway
	gateway       bool
	address       string // IP address of the proxy's pod
	admin         *envoy.Client
	readAccessLog func(ctx context.Context) ([]byte, error)
}

// count returns the number of attempts that the proxy has made, for each upstream service.
func (p proxy) count(ctx context.Context) ([]record.Count, error) {
	clusters, err := p.admin.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	attempts := map[record.Count]float64{}
	for cluster, stats := range clusters {
		if service, ok := outboundTo(cluster); ok && stats.Requests > 0 {
			attempts[record.Count{Name: record.CountProxyAttempts, Of: service}] += float64(stats.Requests)
		}
	}
	return counts(attempts), nil
}

// outboundTo returns the service of an outbound cluster: NAME of
// outbound|8080|SUBSET|fleetman-NAME.NAMESPACE.svc.cluster.local. ok is false for other clusters.
func outboundTo(cluster string) (service string, ok bool) {
	parts := strings.Split(cluster, "|")
	if len(parts) != 4 || parts[0] != "outbound" {
		return "", false
	}
	name, _, _ := strings.Cut(parts[3], ".")
	return strings.TrimPrefix(name, "fleetman-"), name != ""
}

// logFlush is the wait for the last lines of access logs in the local mesh. It is longer than its Envoys buffer a line,
// 200 ms.
const logFlush = 400 * time.Millisecond

// addAccessLogs adds the proxies' access-log entries to the run's failed requests. In access logs, the names of the
// run's requests begin with check.
func (r *running) addAccessLogs(ctx context.Context, check string) error {
	failed := map[string]*record.Request{}
	for i := range r.seen.Requests {
		if request := &r.seen.Requests[i]; request.Failed() {
			failed[loader.CheckName(check, i)] = request
		}
	}
	proxies := r.fleet.proxies()
	if len(failed) == 0 || len(proxies) == 0 {
		return nil
	}
	if err := process.Sleep(ctx, r.fleet.logDelay()); err != nil {
		return err
	}
	podNames := map[string]string{} // by address
	for _, pod := range r.fleet.Pods() {
		podNames[pod.Address] = pod.Name
	}
	for _, p := range proxies {
		text, err := p.readAccessLog(ctx)
		if err != nil {
			return fmt.Errorf("read the access log of %s: %w", p.name, err)
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte(check)) {
				continue // without parsing lines of other requests
			}
			entry, ok := envoy.ParseAccess(line)
			if !ok {
				continue
			}
			if request := failed[entry.Check]; request != nil {
				request.AccessLog = append(request.AccessLog, p.recordEntry(entry, podNames, r.began))
			}
		}
	}
	for _, request := range failed {
		slices.SortStableFunc(request.AccessLog, func(a, b record.AccessLogEntry) int { return cmp.Compare(a.At, b.At) })
	}
	return nil
}

// recordEntry returns the record of an entry of this proxy's access log. podNames has the names of pods by address;
// began is the run's start.
func (p proxy) recordEntry(e envoy.AccessEntry, podNames map[string]string, began time.Time) record.AccessLogEntry {
	host := func(address string) string {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return ""
		}
		return parsed.Addr().String()
	}
	recorded := record.AccessLogEntry{
		At: record.Offset(e.Time.Sub(began)), Proxy: p.name, Side: record.Out, Status: e.Status,
		Flags: e.Flags, Details: e.Details, To: podNames[host(e.Upstream)], Fault: e.Fault,
	}
	// A request that Envoy refused or had no route for has no cluster. It was inbound if its destination was the pod.
	inbound := e.Inbound() || e.Cluster == "" && host(e.Local) == p.address
	switch {
	case p.gateway:
		recorded.Side = record.AtGateway
	case inbound:
		recorded.Side, recorded.To = record.In, ""
	}
	return recorded
}
