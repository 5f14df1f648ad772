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

// proxy is one Envoy beside a pod, or a gateway.
type proxy struct {
	name    string // of its pod, or the gateway's
	gateway bool
	address string // of its pod
	admin   *envoy.Client
	log     func(ctx context.Context) ([]byte, error) // its access log
}

// count returns the proxy's attempts by upstream service.
func (p proxy) count(ctx context.Context) ([]record.Count, error) {
	clusters, err := p.admin.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	attempts := map[record.Count]float64{}
	for name, stats := range clusters {
		if to, ok := outboundTo(name); ok && stats.Requests > 0 {
			attempts[record.Count{Name: record.CountProxyAttempts, Of: to}] += float64(stats.Requests)
		}
	}
	return counts(attempts), nil
}

// outboundTo returns the service of outbound|8080|SUBSET|fleetman-NAME.NAMESPACE.svc.cluster.local.
func outboundTo(cluster string) (service string, ok bool) {
	part := strings.Split(cluster, "|")
	if len(part) != 4 || part[0] != "outbound" {
		return "", false
	}
	name, _, _ := strings.Cut(part[3], ".")
	return strings.TrimPrefix(name, "fleetman-"), name != ""
}

// logFlush is longer than Envoy buffers lines of its access log, as the local mesh starts it.
const logFlush = 400 * time.Millisecond

// accessLogs adds the proxies' access-log entries to the requests that failed, whose
// names begin with check.
func (r *running) accessLogs(ctx context.Context, check string) error {
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
	pods := map[string]string{}
	for _, pod := range r.fleet.Pods() {
		pods[pod.Address] = pod.Name
	}
	for _, p := range proxies {
		text, err := p.log(ctx)
		if err != nil {
			return fmt.Errorf("read the access log of %s: %w", p.name, err)
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte(check)) {
				continue
			}
			entry, ok := envoy.ParseAccess(line)
			if !ok {
				continue
			}
			if request := failed[entry.Check]; request != nil {
				request.AccessLog = append(request.AccessLog, p.entry(entry, pods, r.began))
			}
		}
	}
	for _, request := range failed {
		slices.SortStableFunc(request.AccessLog, func(a, b record.AccessLogEntry) int { return cmp.Compare(a.At, b.At) })
	}
	return nil
}

// entry is the record of an access-log entry of this proxy.
func (p proxy) entry(e envoy.AccessEntry, pods map[string]string, began time.Time) record.AccessLogEntry {
	host := func(address string) string {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return ""
		}
		return parsed.Addr().String()
	}
	entry := record.AccessLogEntry{
		At: record.Offset(e.Time.Sub(began)), Proxy: p.name, Side: record.Out, Status: e.Status,
		Flags: e.Flags, Details: e.Details, To: pods[host(e.Upstream)], Fault: e.Fault,
	}
	switch {
	case p.gateway:
		entry.Side = record.AtGateway
	case e.Inbound(), e.Cluster == "" && host(e.Local) == p.address:
		entry.Side, entry.To = record.In, ""
	}
	return entry
}
