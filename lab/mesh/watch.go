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
	"fleetman.example/lab/process"
)

const (
	// lookEvery is the default of Options.LookEvery.
	lookEvery = time.Second
	// lookTimeout bounds one readiness probe; a proxy responds within milliseconds.
	lookTimeout = time.Second
	// unreadyAfter is how many failed probes in a row make the proxy's pod unready. It is the
	// failureThreshold of the readiness probe that Istio's injector writes, with a period of 15 s.
	unreadyAfter = 4
)

// watchAll watches some proxies until they end.
func (m *Mesh) watchAll(proxies []*proxy) {
	every := m.options.LookEvery
	for i, p := range proxies {
		m.running.Go(func() { p.watch(every, every/time.Duration(len(proxies))*time.Duration(i)) })
	}
}

// watch polls the proxy's readiness, rejections and retries until it ends. Each proxy has its own
// initial delay, because polling all at once keeps two cores from the fleet's requests for 10 ms.
func (p *proxy) watch(every, after time.Duration) {
	var health probing
	retries := map[string]*envoy.ClusterStats{}
	_ = process.Sleep(p.running, after)
	// a ticker: the delays stay as they are, and probes that time out do not come later
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.running.Done():
			return
		}
		err := p.probe(p.running)
		if p.running.Err() != nil {
			return
		}
		if changed, ready := health.add(err); changed {
			p.readiness(ready, err)
		}
		if err != nil {
			continue // the proxy starts, stops or hangs
		}
		p.lookForRejections(p.running)
		retries = p.lookForRetries(retries)
	}
}

// probe is the proxy's readiness probe.
func (p *proxy) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return p.admin.Ready(ctx)
}

// probing counts failed probes in a row.
type probing struct {
	failed int
	down   bool
}

// add adds the result of a probe. changed reports whether it changes the readiness.
func (h *probing) add(err error) (changed, ready bool) {
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

// readiness applies the proxy's readiness to its pod. A gateway has no pod in the fleet: its readiness
// is only printed.
func (p *proxy) readiness(ready bool, err error) {
	site := p.mesh.site
	why := ""
	if !ready {
		why = fmt.Sprintf("its proxy's readiness probe failed %d times: %v", unreadyAfter, err)
	}
	site.SetProxyDown(p.name, why)
	if p.gateway && !ready {
		site.Progress(p.name + ": " + why)
	} else if p.gateway {
		site.Progress(p.name + ": its proxy's readiness probe succeeds again")
	}
}

// lookForRejections records a failure for every update that the proxy rejected.
func (p *proxy) lookForRejections(ctx context.Context) {
	found, err := p.admin.Rejected(ctx)
	if err != nil {
		return
	}
	for _, rejection := range found {
		// The count distinguishes one rejection from the next: the reason disappears with the next update.
		key := fmt.Sprintf("%s %d %s %d", p.name, p.supervisor.Status().Restarts, rejection.Stat, rejection.Count)
		if rejection.Stat == "" {
			key = p.name + " " + rejection.String()
		}
		p.mesh.fail(key, "proxy of "+p.name, "rejected an update: "+rejection.String())
	}
}

// lookForRetries makes an event of the proxy's retries to each upstream since the last call.
func (p *proxy) lookForRetries(before map[string]*envoy.ClusterStats) map[string]*envoy.ClusterStats {
	now, err := p.admin.Retries(p.running)
	if err != nil {
		return before
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		is, was := now[name], before[name]
		if was == nil || was.Retries > is.Retries { // the proxy was restarted
			was = &envoy.ClusterStats{}
		}
		if detail := retried(is, was); detail != "" {
			p.mesh.fleet.Note(local.Event{Time: time.Now(), Pod: p.name, Kind: local.Retried, Detail: detail})
		}
	}
	return now
}

func retried(is, was *envoy.ClusterStats) string {
	sent, refused := is.Retries-was.Retries, is.RetryOverflow-was.RetryOverflow
	if sent == 0 && refused == 0 {
		return ""
	}
	text := fmt.Sprintf("its proxy sent %d retries to %s", sent, Upstream(is.Cluster))
	if sent == 1 {
		text = "its proxy sent 1 retry to " + Upstream(is.Cluster)
	}
	text += fmt.Sprintf(": %d succeeded", is.RetrySuccess-was.RetrySuccess)
	if refused > 0 {
		text += fmt.Sprintf("; %d more were refused by its retry budget or maxRetries", refused)
	}
	return text
}

// Upstream returns a short name of a cluster: HOST:PORT, and the subset if it has one.
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

// look records the failures that the proxies have now.
func (m *Mesh) look(ctx context.Context) {
	var queries sync.WaitGroup
	for _, p := range m.allProxies() {
		queries.Go(func() { p.lookForRejections(ctx) })
	}
	queries.Wait()
}

// check returns an error if an update was rejected, leaving the first failures out.
func (m *Mesh) check(ctx context.Context, first int) error {
	m.look(ctx)
	if err := m.errSince(first); err != nil {
		first, others, _ := strings.Cut(err.Error(), "\n")
		if others != "" { // Options.Rejected was called with each
			first += fmt.Sprintf("; and %d more", 1+strings.Count(others, "\n"))
		}
		return fmt.Errorf("mesh: %s", first)
	}
	return nil
}
