package local

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// adminPort is the port of the services' own default of ADMIN_ADDR, which is on
// loopback.
const adminPort = 9090

// listenOn finds the ports where the program listens on a cluster, by its
// environment or by its own default, and sets LISTEN_ADDR and ADMIN_ADDR to them
// on the pod's address. A Service reaches them, and no others.
func (p *podPlan) listenOn(env map[string]string, c *corev1.Container, services []*corev1.Service, h host) error {
	var err error
	if p.want, p.listenOpen, err = p.listener(env, "LISTEN_ADDR", defaultPort(p.program)); err != nil {
		return err
	}
	if p.admin, p.adminOpen, err = p.listener(env, "ADMIN_ADDR", adminPort); err != nil {
		return err
	}
	if _, set := env["ADMIN_ADDR"]; !set {
		p.adminOpen = false
	}
	targets, err := p.targets(c, services)
	if err != nil {
		return err
	}
	p.listen = p.want
	if p.listen != 0 && (p.listen < h.firstUnprivileged || hides(targets, p.want)) {
		if p.listen, err = h.freePort(p.IP, 10000+p.want%50000); err != nil {
			return fmt.Errorf("find a free port on %s: %w", p.IP, err)
		}
	}
	p.app, p.adminAt = netip.AddrPortFrom(p.IP, uint16(p.listen)), netip.AddrPortFrom(p.IP, uint16(p.admin))
	switch {
	case p.Proxied:
		err = p.hideBehindProxy(targets, h)
	case p.relayed && p.listen != 0:
		p.app, err = p.hide(appPorts, h)
	}
	if err != nil {
		return err
	}
	env["ADMIN_ADDR"] = p.adminAt.String()
	if p.listen != 0 {
		env["LISTEN_ADDR"] = p.app.String()
	}
	p.route(targets)
	return nil
}

// listener is the port of a variable of the form host:port, and whether it is
// reachable from outside the pod.
func (p *podPlan) listener(env map[string]string, name string, otherwise int) (port int, open bool, err error) {
	value, set := env[name]
	if !set {
		return otherwise, true, nil
	}
	host, text, err := net.SplitHostPort(value)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 1 || port > 65535 {
		return 0, false, fmt.Errorf("%s: %.60q: must be :PORT or HOST:PORT, such as :8080", name, value)
	}
	ip, _ := netip.ParseAddr(host)
	return port, host != "localhost" && (!ip.IsLoopback() || ip == p.IP), nil
}

// route opens the ports of the pod's Services, each to where its target port is
// served. Calls to another target fail, as on a cluster.
func (p *podPlan) route(targets []target) {
	p.ports = map[int]int{}
	for _, t := range targets {
		at := p.serving(t.to)
		if at == 0 {
			at = noPort
			p.notes = append(p.notes, fmt.Sprintf("%s: spec.ports[%d].targetPort: %d: calls fail, as on a cluster: %s",
				t.service, t.index, t.to, p.whereItListens()))
		}
		if t.headless { // callers reach the pod itself
			continue
		}
		p.ports[t.from] = at
		if at != noPort && at != t.from {
			p.forwards = append(p.forwards, portPair{t.from, at})
		}
	}
}

// serving is the port at the pod's address where the program, or its proxy,
// answers for a port of the manifests; 0 when nothing listens there.
func (p *podPlan) serving(port int) int {
	switch {
	case port == p.want && p.listenOpen:
		return p.listen
	case port == p.admin && p.adminOpen:
		return p.admin
	}
	return 0
}

// whereItListens returns the part of a note that lists the program's ports.
func (p *podPlan) whereItListens() string {
	var at []string
	for _, l := range []struct {
		variable string
		port     int
		open     bool
	}{{"LISTEN_ADDR", p.want, p.listenOpen}, {"ADMIN_ADDR", p.admin, p.adminOpen}} {
		switch {
		case l.port != 0 && l.open:
			at = append(at, fmt.Sprintf("%d (%s)", l.port, l.variable))
		case l.port != 0:
			at = append(at, fmt.Sprintf("%d on loopback alone (%s)", l.port, l.variable))
		}
	}
	return fmt.Sprintf("Deployment %s listens on %s", p.Deployment.Name, strings.Join(at, " and "))
}

// The first ports at 127.0.0.1 of the programs behind proxies, and of admin
// listeners that a Service leads to; a pod's own is its place in the network
// further. Fleets of different networks have ranges of their own.
//
// All fixed ports of a fleet, those of the manifests and of flags as well, are
// outside of the ports that a system gives to outgoing connections and to
// listeners without a port: on Linux, 32768 to 60999 by default. A port that the
// system has given to another program is in use until that program ends.
// claimPort is above them, all others are below.
const (
	appPorts   = 18000
	adminPorts = appPorts + 256
	rangeSize  = 512
	ranges     = 28
	noPort     = 1 // tcpmux: nothing listens there
)

// hideBehindProxy moves the program to 127.0.0.1, and leaves the pod's address
// to the proxy.
func (p *podPlan) hideBehindProxy(targets []target, h host) error {
	var err error
	if p.listen != 0 {
		if p.app, err = p.hide(appPorts, h); err != nil {
			return err
		}
		in := Inbound{Declared: p.want, Port: p.listen, App: int(p.app.Port())}
		if !p.listenOpen {
			in.App = noPort
		}
		p.Inbound = append(p.Inbound, in)
	}
	for _, t := range targets {
		if slices.ContainsFunc(p.Inbound, func(in Inbound) bool { return in.Declared == t.to }) {
			continue
		}
		in := Inbound{Declared: t.to, Port: t.to, App: noPort}
		if t.to == p.admin && p.adminOpen {
			if p.adminAt, err = p.hide(adminPorts, h); err != nil {
				return err
			}
			in.App = int(p.adminAt.Port())
		}
		p.Inbound = append(p.Inbound, in)
	}
	return nil
}

// hide returns a free port of 127.0.0.1, in the pod's range after first.
func (p *podPlan) hide(first int, h host) (netip.AddrPort, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	port, err := h.freePort(loopback, first+placeOf(p.IP))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port on %s: %w", loopback, err)
	}
	return netip.AddrPortFrom(loopback, uint16(port)), nil
}

// placeOf returns the offset of an address's port in the ranges of all networks.
func placeOf(ip netip.Addr) int {
	bytes := ip.AsSlice()
	last := len(bytes) - 1
	return (int(bytes[last-1])+ranges-1)%ranges*rangeSize + int(bytes[last])
}

// itself returns the address where the program listens for a port of the manifests:
// probes bypass the proxy.
func (p *podPlan) itself(port int) string {
	switch {
	case port == p.want && p.listenOpen:
		return p.app.String()
	case port == p.admin && p.adminOpen:
		return p.adminAt.String()
	}
	return p.address(noPort)
}

// portFor returns the pod's port for a port of a Service.
func (p *podPlan) portFor(servicePort int) int {
	if port, known := p.ports[servicePort]; known {
		return port
	}
	return noPort
}

// target is a port of a Service that selects the pod, and the container's port
// that it leads to.
type target struct {
	service  string
	index    int // in spec.ports
	from, to int
	headless bool
}

// hides reports whether the Services of a pod lead elsewhere than to a port, so
// that calls to it by a Service's name are refused on a cluster.
func hides(targets []target, port int) bool {
	return len(targets) > 0 && !slices.ContainsFunc(targets, func(t target) bool {
		return t.headless || t.from == port && t.to == port
	})
}

func (p *podPlan) targets(c *corev1.Container, services []*corev1.Service) ([]target, error) {
	var targets []target
	from := map[int]int{}
	for _, s := range services {
		if namespaceOf(s.Namespace) != p.Namespace || len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(p.Labels) {
			continue
		}
		for i, port := range s.Spec.Ports {
			if !isTCP(port) {
				continue
			}
			to, err := containerPort(port.TargetPort, int(port.Port), c)
			if err != nil {
				return nil, fmt.Errorf("%s: spec.ports[%d].targetPort: %w", ref(s), i, err)
			}
			t := target{service: ref(s), index: i, from: int(port.Port), to: to, headless: s.Spec.ClusterIP == corev1.ClusterIPNone}
			if other, taken := from[t.from]; taken && !t.headless {
				if other != to {
					return nil, fmt.Errorf("%s: spec.ports[%d].targetPort: %d: must be %d, as for port %d in another Service of the same pods: they have one address here",
						t.service, i, to, other, t.from)
				}
				continue
			}
			if !t.headless {
				from[t.from] = to
			}
			targets = append(targets, t)
		}
	}
	return targets, nil
}

// containerPort resolves a port by number or name. The number 0 means otherwise.
func containerPort(target intstr.IntOrString, otherwise int, c *corev1.Container) (int, error) {
	if target.Type == intstr.Int {
		if target.IntVal == 0 {
			return otherwise, nil
		}
		return int(target.IntVal), nil
	}
	for _, port := range c.Ports {
		if port.Name == target.StrVal {
			return int(port.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("%q: must be the name of a port of container %s", target.StrVal, c.Name)
}
