package console

import (
	"fmt"
	"slices"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
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
	for _, p := range before.Pods {
		was[p.Name] = p
	}
	for _, p := range after.Pods {
		old := was[p.Name]
		delete(was, p.Name)
		if old == nil {
			note(p, local.Started, "a new pod of Deployment "+p.Deployment)
			continue
		}
		lifeChanges(old, p, note)
		breakerChanges(old, p, note)
	}
	for _, p := range before.Pods {
		if was[p.Name] != nil {
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
			note(p, local.Breaker, fmt.Sprintf("%s: %s, was %s: %s", faults.BreakerName(u.Name, e.Address), e.State, was, e.LastFailure))
		}
	}
}

// ejectionChanges returns the ejections that began, and those that ended.
func ejectionChanges(before, after *Reading) (events []local.Event) {
	// note notes the ejections of one reading that the other one, which has read the same proxy, has not.
	note := func(of, other *Reading, kind local.EventKind, format string) {
		for i := range of.Proxies {
			t := &of.Proxies[i]
			at := slices.IndexFunc(other.Proxies, func(o mesh.Traffic) bool { return o.Proxy == t.Proxy })
			if at < 0 || t.Clusters == nil || other.Proxies[at].Clusters == nil {
				continue
			}
			for _, e := range t.Ejections {
				if !slices.ContainsFunc(other.Proxies[at].Ejections, func(o mesh.Ejection) bool { return o.Cluster == e.Cluster && o.Host == e.Host }) {
					events = append(events, local.Event{Time: after.Time, Pod: t.Proxy, Kind: kind, Detail: fmt.Sprintf(format, after.hostName(e.Host), e.Cluster)})
				}
			}
		}
	}
	note(after, before, local.Ejected, "its proxy ejected %s from %s")
	note(before, after, local.Returned, "its proxy returned %s to %s")
	return events
}

// hostName returns a host with the name of its pod.
func (r *Reading) hostName(host string) string {
	for _, p := range r.Pods {
		if p.Address != "" && host == fmt.Sprintf("%s:%d", p.Address, p.Port) {
			return p.Name + " (" + host + ")"
		}
	}
	return host
}
