package console

import (
	"fmt"

	"fleetman.example/lab/local"
)

// changes returns the events between two readings of a fleet whose launcher notes none; none before the second.
func changes(before, after *Reading) (events []local.Event) {
	if before == nil {
		return nil
	}
	note := func(pod *Pod, kind local.EventKind, detail string) {
		events = append(events, local.Event{Time: after.Time, Pod: pod.Name, Kind: kind, Detail: detail, Restarts: pod.Restarts})
	}
	was := map[string]*Pod{}
	for i := range before.Pods {
		was[before.Pods[i].Name] = &before.Pods[i]
	}
	for i := range after.Pods {
		p := &after.Pods[i]
		old := was[p.Name]
		delete(was, p.Name)
		if old == nil {
			note(p, local.Started, "a new pod of Deployment "+p.Deployment)
			continue
		}
		lifeChanges(old, p, note)
		breakerChanges(old, p, note)
	}
	for i := range before.Pods {
		if p := &before.Pods[i]; was[p.Name] != nil {
			note(p, local.Exited, "the pod is gone")
		}
	}
	return append(events, ejectionChanges(before, after)...)
}

// lifeChanges notes what became of a pod and of its faults.
func lifeChanges(old, p *Pod, note func(*Pod, local.EventKind, string)) {
	if p.Restarts > old.Restarts {
		note(p, local.Started, fmt.Sprintf("its container has restarted %d times", p.Restarts))
	}
	switch {
	case p.State == "terminating" && old.State != p.State:
		note(p, local.Terminating, "")
	case p.Ready && !old.Ready:
		note(p, local.Ready, "")
	case !p.Ready && old.Ready:
		note(p, local.NotReady, p.Why)
	}
	switch {
	case p.Faults == old.Faults:
	case p.Faults == "":
		note(p, local.FaultCleared, "no faults")
	default:
		note(p, local.FaultSet, p.Faults)
	}
}

// breakerChanges notes the breakers of a pod that have another state.
func breakerChanges(old, p *Pod, note func(*Pod, local.EventKind, string)) {
	if old.Upstreams == nil || p.Upstreams == nil {
		return
	}
	states := map[string]string{}
	for _, u := range old.Upstreams {
		for _, e := range u.Endpoints {
			states[u.Name+" "+e.Address] = e.State
		}
	}
	for _, u := range p.Upstreams {
		for _, e := range u.Endpoints {
			was, known := states[u.Name+" "+e.Address]
			if !known {
				was = "closed"
			}
			if was == e.State {
				continue
			}
			upstream := u.Name
			if e.Address != "" {
				upstream += " at " + e.Address
			}
			note(p, local.Breaker, fmt.Sprintf("%s: %s, was %s: %s", upstream, e.State, was, e.LastFailure))
		}
	}
}

// ejectionChanges returns the ejections that began, and those that ended.
func ejectionChanges(before, after *Reading) (events []local.Event) {
	read := map[string]bool{} // proxies, both times
	was, is := map[string]bool{}, map[string]bool{}
	key := func(proxy, cluster, host string) string { return proxy + " " + cluster + " " + host }
	for i := range before.Proxies {
		t := &before.Proxies[i]
		read[t.Proxy] = t.Clusters != nil
		for _, e := range t.Ejections {
			was[key(t.Proxy, e.Cluster, e.Host)] = true
		}
	}
	for i := range after.Proxies {
		t := &after.Proxies[i]
		read[t.Proxy] = read[t.Proxy] && t.Clusters != nil
		for _, e := range t.Ejections {
			is[key(t.Proxy, e.Cluster, e.Host)] = true
			if read[t.Proxy] && !was[key(t.Proxy, e.Cluster, e.Host)] {
				events = append(events, local.Event{
					Time: after.Time, Pod: t.Proxy, Kind: local.Ejected, Detail: fmt.Sprintf("its proxy ejected %s from %s", after.hostName(e.Host), e.Cluster),
				})
			}
		}
	}
	for i := range before.Proxies {
		t := &before.Proxies[i]
		for _, e := range t.Ejections {
			if read[t.Proxy] && !is[key(t.Proxy, e.Cluster, e.Host)] {
				events = append(events, local.Event{
					Time: after.Time, Pod: t.Proxy, Kind: local.Returned, Detail: fmt.Sprintf("its proxy returned %s to %s", after.hostName(e.Host), e.Cluster),
				})
			}
		}
	}
	return events
}

// hostName returns a host with the name of its pod.
func (r *Reading) hostName(host string) string {
	for i := range r.Pods {
		if p := &r.Pods[i]; p.Address != "" && host == fmt.Sprintf("%s:%d", p.Address, p.Port) {
			return p.Name + " (" + host + ")"
		}
	}
	return host
}
