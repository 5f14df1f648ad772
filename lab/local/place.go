package local

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
)

// layout gives the replicas of Deployments their names and addresses. Pods of a
// running fleet that do not change keep theirs.
type layout struct {
	host    host
	names   map[string]bool       // taken, as podPlan.id returns them
	taken   map[netip.Addr]bool   // addresses
	running map[string][]*podPlan // by NAMESPACE/DEPLOYMENT
	// replace reports whether a running pod has to be replaced, although its plan is the same.
	replace  func(MeshPod) bool
	gateways []netip.Addr // nil before the start
}

func newLayout(h host) *layout {
	return &layout{
		host: h, names: map[string]bool{}, taken: map[netip.Addr]bool{}, running: map[string][]*podPlan{},
		replace: func(MeshPod) bool { return false },
	}
}

// layout returns the layout for the next plan of a running fleet, with the mutex
// held. Pods that are ending have their names and addresses until their end.
func (f *Fleet) layout(h host) *layout {
	l := newLayout(h)
	l.gateways = f.plan.gateways
	for _, ip := range l.gateways {
		l.taken[ip] = true
	}
	for _, p := range f.pods {
		l.names[p.plan.ID], l.taken[p.plan.IP] = true, true
		if !p.held {
			key := p.plan.Namespace + "/" + p.plan.Deployment.Name
			l.running[key] = append(l.running[key], p.plan)
		}
	}
	return l
}

// addresses returns n free addresses of the network.
func (l *layout) addresses(network netip.Prefix, n int) ([]netip.Addr, error) {
	var found []netip.Addr
	for range n {
		ip, err := l.address(network)
		if err != nil {
			return nil, err
		}
		found = append(found, ip)
	}
	return found, nil
}

// address returns the lowest address of the network, after its first, that is free.
func (l *layout) address(network netip.Prefix) (netip.Addr, error) {
	for ip := network.Masked().Addr().Next(); network.Contains(ip); ip = ip.Next() {
		if !l.taken[ip] {
			l.taken[ip] = true
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("--network %s: too few addresses: must have one for each pod", network)
}

// pod returns the plan of a Deployment's pod with an index: that of the running pod
// if it is the same, else a new one. plan makes one.
func (l *layout) pod(d *deployment, index int, network netip.Prefix, plan func(name string, ip netip.Addr, h host) (*podPlan, error)) (*podPlan, error) {
	namespace := namespaceOf(d.object.Namespace)
	if running := l.running[namespace+"/"+d.object.Name]; index < len(running) {
		was := running[index]
		same, err := plan(was.Name, was.IP, l.host.holding(was))
		if err != nil {
			return nil, err
		}
		if same.equal(was) && !l.replace(was.MeshPod) {
			return was, nil
		}
	}
	ip, err := l.address(network)
	if err != nil {
		return nil, err
	}
	for number := 0; ; number++ {
		name := fmt.Sprintf("%s-%d", d.object.Name, number)
		if id := podID(namespace, name); !l.names[id] {
			l.names[id] = true
			return plan(name, ip, l.host)
		}
	}
}

// holding returns a host where the ports of a running pod are free.
func (h host) holding(p *podPlan) host {
	own := []netip.AddrPort{netip.AddrPortFrom(p.IP, uint16(p.listen)), p.app, p.adminAt}
	free := h.freePort
	h.freePort = func(ip netip.Addr, wanted int) (int, error) {
		if slices.Contains(own, netip.AddrPortFrom(ip, uint16(wanted))) {
			return wanted, nil
		}
		return free(ip, wanted)
	}
	return h
}

// equal reports whether two plans make the same pod.
func (p *podPlan) equal(other *podPlan) bool {
	a, b := *p, *other
	for _, c := range []*podPlan{&a, &b} { // the template has the probes, notes are for people
		c.Deployment, c.readiness, c.liveness, c.startup, c.notes = nil, nil, nil, nil, nil
	}
	return equality.Semantic.DeepEqual(p.Deployment.Spec.Template, other.Deployment.Spec.Template) && reflect.DeepEqual(a, b)
}
