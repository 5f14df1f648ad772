package compare

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/record"
)

// proxy is one Envoy beside a pod, or a gateway.
type proxy struct {
	name    string // of its pod, or the gateway's
	gateway bool
	address string // of its pod
	pid     int
	log     string
	admin   *envoy.Client
}

// proxiesOf answers the process of the control plane, too.
func proxiesOf(ctx context.Context, m *mesh.Mesh) (found []proxy, istiod int, err error) {
	status := m.Status(ctx)
	for _, p := range status.Proxies {
		admin, err := netip.ParseAddrPort(p.Admin)
		if err != nil {
			return nil, 0, fmt.Errorf("proxy of %s: %w", p.Name, err)
		}
		found = append(found, proxy{p.Name, p.Gateway, p.Address, p.PID, p.Log, envoy.NewClient(admin)})
	}
	return found, status.Istiod.PID, nil
}

// count is what the proxy has counted and used: tries by the service they went
// to, CPU seconds, resident bytes.
func (p proxy) count(ctx context.Context) ([]record.Count, error) {
	clusters, err := p.admin.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	tries := map[string]float64{}
	for name, stats := range clusters {
		if to, ok := outboundTo(name); ok {
			tries[to] += float64(stats.Requests)
		}
	}
	counts, err := usage(ctx, p.pid)
	if err != nil {
		return nil, err
	}
	for to, n := range tries {
		if n > 0 {
			counts = append(counts, record.Count{Name: "tries", Of: to, N: n})
		}
	}
	slices.SortFunc(counts, func(a, b record.Count) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Of, b.Of)) })
	return counts, nil
}

// outboundTo is the service of outbound|8080|SUBSET|fleetman-NAME.NAMESPACE.svc.cluster.local.
func outboundTo(cluster string) (service string, ok bool) {
	part := strings.Split(cluster, "|")
	if len(part) != 4 || part[0] != "outbound" {
		return "", false
	}
	name, _, _ := strings.Cut(part[3], ".")
	return strings.TrimPrefix(name, "fleetman-"), name != ""
}

// logFlush is more than Envoy keeps lines of its log back.
const logFlush = 400 * time.Millisecond

// checkHeader is written to the proxies' logs and travels with a request.
const checkHeader = "X-Fleetman-Check"

// checkName tells a request of the load in them.
func checkName(n int) string { return fmt.Sprintf("load-%d", n) }

// passages adds to the requests that failed what the proxies' logs say of them;
// names are those that checkName gave the requests.
func (c *cell) passages(ctx context.Context, names []string) error {
	failed := map[string]*record.Request{}
	for i := range c.seen.Requests {
		if r := &c.seen.Requests[i]; r.Failed() {
			failed[names[i]] = r
		}
	}
	if len(failed) == 0 || len(c.proxies) == 0 {
		return nil
	}
	select {
	case <-time.After(logFlush):
	case <-ctx.Done():
		return ctx.Err()
	}
	pods := map[string]string{}
	for _, pod := range c.fleet.Pods() {
		pods[pod.Address] = pod.Name
	}
	for _, p := range c.proxies {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return fmt.Errorf("log of the proxy of %s: %w", p.name, err)
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte(checkName(0)[:5])) {
				continue
			}
			entry, ok := envoy.ParseAccess(line)
			if !ok {
				continue
			}
			if r := failed[entry.Check]; r != nil {
				r.Passages = append(r.Passages, p.passage(entry, pods, c.began))
			}
		}
	}
	for _, r := range failed {
		slices.SortStableFunc(r.Passages, func(a, b record.Passage) int { return cmp.Compare(a.At, b.At) })
	}
	return nil
}

func (p proxy) passage(e envoy.AccessEntry, pods map[string]string, began time.Time) record.Passage {
	host := func(address string) string {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return ""
		}
		return parsed.Addr().String()
	}
	passage := record.Passage{
		At: record.Moment(e.Time.Sub(began)), Proxy: p.name, Side: record.Out, Status: e.Status,
		Flags: e.Flags, Details: e.Details, To: pods[host(e.Upstream)], Fault: e.Fault,
	}
	switch {
	case p.gateway:
		passage.Side = record.AtGateway
	case e.Inbound(), e.Cluster == "" && host(e.Local) == p.address:
		passage.Side, passage.To = record.In, ""
	}
	return passage
}
