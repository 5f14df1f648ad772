package mesh

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/envoy"
)

const (
	// lookEvery is how often each proxy is asked how it is, unless Options say,
	// and lookTimeout how long it may take: an answer is there within milliseconds.
	lookEvery   = time.Second
	lookTimeout = time.Second
	// unreadyAfter is how many probes in a row fail until a pod with this proxy
	// is not ready. It is what Istio's injector writes into the proxy's
	// readiness probe, with a period of 15 s.
	unreadyAfter = 4
)

// watch asks the proxy, until the mesh stops, whether it is ready, what it
// rejected, what it sent again. It begins after a while of its own: the answers
// of all proxies at once keep both of two cores from the requests for 10 ms.
func (p *proxy) watch(m *Mesh, every, after time.Duration) {
	var health probing
	retries := map[string]*envoy.ClusterStats{}
	select {
	case <-time.After(after):
	case <-m.stopping.Done():
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.stopping.Done():
			return
		}
		err := p.probe(m.stopping)
		if m.stopping.Err() != nil {
			return
		}
		if changed, ready := health.heard(err); changed {
			p.readiness(m, ready, err)
		}
		if err != nil {
			continue // it is being started, or stopped, or hangs
		}
		p.lookForRejections(m.stopping, m)
		retries = p.lookForRetries(m, retries)
	}
}

// probe is its readiness probe.
func (p *proxy) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return p.admin.Ready(ctx)
}

// probing counts failures in a row.
type probing struct {
	failed int
	down   bool
}

func (h *probing) heard(err error) (changed, ready bool) {
	if err == nil {
		changed = h.down
		*h = probing{}
		return changed, true
	}
	h.failed++
	changed = !h.down && h.failed >= unreadyAfter
	h.down = h.down || changed
	return changed, false
}

// readiness brings the pod in line with its proxy; a gateway has no pod of the
// fleet's.
func (p *proxy) readiness(m *Mesh, ready bool, err error) {
	why := ""
	if !ready {
		why = fmt.Sprintf("its proxy's readiness probe failed %d times: %v", unreadyAfter, err)
	}
	m.site.SetProxyDown(p.name, why)
	if p.gateway && !ready {
		m.site.Progress(p.name + ": " + why)
	} else if p.gateway {
		m.site.Progress(p.name + ": it answers again")
	}
}

// lookForRejections makes every update that a proxy rejects an error of the
// run.
func (p *proxy) lookForRejections(ctx context.Context, m *Mesh) {
	found, err := p.admin.Rejected(ctx)
	if err != nil {
		return
	}
	for _, rejection := range found {
		// the count tells one from the next; the reason is gone when the update is
		key := fmt.Sprintf("%s %d %s %d", p.name, p.supervisor.Status().Restarts, rejection.Stat, rejection.Count)
		if rejection.Stat == "" {
			key = p.name + " " + rejection.String()
		}
		m.fail(key, "proxy of "+p.name, "rejected an update: "+rejection.String())
	}
}

// lookForRetries makes an event of what the proxy sent again to an upstream
// since the last look.
func (p *proxy) lookForRetries(m *Mesh, before map[string]*envoy.ClusterStats) map[string]*envoy.ClusterStats {
	now, err := p.admin.Retries(m.stopping)
	if err != nil {
		return before
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		is, was := now[name], before[name]
		if was == nil || was.Retries > is.Retries { // one that was started again counts from 0
			was = &envoy.ClusterStats{}
		}
		if detail := retried(is, was); detail != "" {
			m.site.Event(local.Event{Time: time.Now(), Pod: p.name, Kind: local.Retried, Detail: detail})
		}
	}
	return now
}

func retried(is, was *envoy.ClusterStats) string {
	sent, refused := is.Retries-was.Retries, is.RetryOverflow-was.RetryOverflow
	if sent == 0 && refused == 0 {
		return ""
	}
	text := fmt.Sprintf("its proxy sends %d requests again to %s", sent, Upstream(is.Cluster))
	if sent == 1 {
		text = "its proxy sends a request again to " + Upstream(is.Cluster)
	}
	if refused > 0 {
		text += fmt.Sprintf(", and %d not, for its retry budget or maxRetries", refused)
	}
	return fmt.Sprintf("%s; %d came to a good end", text, is.RetrySuccess-was.RetrySuccess)
}

// Upstream is a cluster's name for people: HOST:PORT, and its subset.
func Upstream(cluster string) string {
	parts := strings.Split(cluster, "|")
	if len(parts) != 4 {
		return cluster
	}
	text := strings.TrimSuffix(parts[3], ".svc.cluster.local") + ":" + parts[1]
	if parts[2] != "" {
		text += " subset " + parts[2]
	}
	return text
}

// watchRefusals makes what the certificate service refused an error of the run.
func (m *Mesh) watchRefusals() {
	for {
		select {
		case <-time.After(lookEvery):
			m.lookForRefusals()
		case <-m.stopping.Done():
			return
		}
	}
}

func (m *Mesh) lookForRefusals() {
	for _, refusal := range m.certs.Refusals() {
		m.fail(refusal, "certificates", refusal)
	}
}

// check tells whether anything was rejected, the first failures aside.
func (m *Mesh) check(ctx context.Context, first int) error {
	var asking sync.WaitGroup
	for _, p := range m.proxies {
		asking.Go(func() { p.lookForRejections(ctx, m) })
	}
	asking.Wait()
	m.lookForRefusals()
	if err := m.errSince(first); err != nil {
		first, others, _ := strings.Cut(err.Error(), "\n")
		if others != "" { // each has been shown
			first += fmt.Sprintf("; and %d more", 1+strings.Count(others, "\n"))
		}
		return fmt.Errorf("mesh: %s", first)
	}
	return nil
}
