package local

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// adminPort is the services' own default.
const adminPort = 9090

// listenOn finds the pod's ports, from its environment, its container and the
// Services that select it, and sets LISTEN_ADDR and ADMIN_ADDR to them on the
// pod's address.
func (p *podPlan) listenOn(env map[string]string, c *corev1.Container, services []*corev1.Service, o Options, h host) error {
	var err error
	if p.admin, err = portOf(env, "ADMIN_ADDR"); err != nil {
		return err
	}
	if p.admin == 0 {
		p.admin = adminPort
	}
	targets, err := p.targets(c, services)
	if err != nil {
		return err
	}
	if p.want, err = portOf(env, "LISTEN_ADDR"); err != nil {
		return err
	}
	if p.want == 0 {
		p.want = p.mainPort(c, targets)
	}
	p.listen = p.want
	if p.listen != 0 && p.listen < h.firstUnprivileged {
		if p.listen, err = h.freePort(p.ip, 10000+p.want); err != nil {
			return fmt.Errorf("finding a free port on %s: %w", p.ip, err)
		}
	}
	p.app, p.adminAt = netip.AddrPortFrom(p.ip, uint16(p.listen)), netip.AddrPortFrom(p.ip, uint16(p.admin))
	if p.proxied {
		if err := p.hideBehindProxy(targets, h); err != nil {
			return err
		}
	}
	env["ADMIN_ADDR"] = p.adminAt.String()
	if p.listen != 0 {
		env["LISTEN_ADDR"] = p.app.String()
	}
	for _, pair := range targets {
		pair.to = p.actual(pair.to)
		if pair.from != pair.to {
			p.forwards = append(p.forwards, pair)
		}
	}
	return nil
}

// Ports of 127.0.0.1 for the programs behind proxies, and for admin listeners
// that a Service leads to: the pod's place in the network is added. Fleets of
// different networks have ranges of their own, below the ports that systems
// give to outgoing connections.
const (
	appPorts   = 18000
	adminPorts = appPorts + 256
	rangeSize  = 512
	ranges     = 28
	noPort     = 1 // tcpmux: nobody listens there
)

// hideBehindProxy moves the program to 127.0.0.1, and leaves the pod's address
// to the proxy.
func (p *podPlan) hideBehindProxy(targets []portPair, h host) error {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	move := func(first int) (netip.AddrPort, error) {
		port, err := h.freePort(loopback, first+placeOf(p.ip))
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("finding a free port on %s: %w", loopback, err)
		}
		return netip.AddrPortFrom(loopback, uint16(port)), nil
	}
	var err error
	if p.listen != 0 {
		if p.app, err = move(appPorts); err != nil {
			return err
		}
		p.inbound = append(p.inbound, Inbound{Declared: p.want, Port: p.listen, App: int(p.app.Port())})
	}
	for _, pair := range targets {
		if slices.ContainsFunc(p.inbound, func(in Inbound) bool { return in.Declared == pair.to }) {
			continue
		}
		in := Inbound{Declared: pair.to, Port: pair.to, App: noPort}
		if pair.to == p.admin {
			if p.adminAt, err = move(adminPorts); err != nil {
				return err
			}
			in.App = int(p.adminAt.Port())
		}
		p.inbound = append(p.inbound, in)
	}
	return nil
}

// placeOf is the range of an address's network, the default one's being the first, and
// the address's place there.
func placeOf(ip netip.Addr) int {
	bytes := ip.AsSlice()
	last := len(bytes) - 1
	return (int(bytes[last-1])+ranges-1)%ranges*rangeSize + int(bytes[last])
}

// itself is where the program itself answers for a port of the manifests, for
// kubelet's probes do not go through the proxy.
func (p *podPlan) itself(port int) string {
	switch port {
	case p.want:
		return p.app.String()
	case p.admin:
		return p.adminAt.String()
	}
	return p.address(port)
}

// actual is where the program answers for a port of the manifests.
func (p *podPlan) actual(port int) int {
	if port == p.want {
		return p.listen
	}
	return port
}

// portFor is the pod's own port behind a Service's.
func (p *podPlan) portFor(servicePort int) int {
	for _, pair := range p.forwards {
		if pair.from == servicePort {
			return pair.to
		}
	}
	return servicePort
}

// mainPort is the port of the pod's Services, or its container's first, the
// admin port aside; 0 when it only sends.
func (p *podPlan) mainPort(c *corev1.Container, targets []portPair) int {
	for _, pair := range targets {
		if pair.to != p.admin {
			return pair.to
		}
	}
	for _, port := range c.Ports {
		if int(port.ContainerPort) != p.admin {
			return int(port.ContainerPort)
		}
	}
	return 0
}

// targets are the ports of the Services that select the pod, each with the
// container's port that it leads to.
func (p *podPlan) targets(c *corev1.Container, services []*corev1.Service) ([]portPair, error) {
	var targets []portPair
	from := map[int]int{}
	for _, s := range services {
		if namespaceOf(s.Namespace) != p.namespace || len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(p.labels) {
			continue
		}
		for i, port := range s.Spec.Ports {
			target, err := containerPort(port.TargetPort, int(port.Port), c)
			if err != nil {
				return nil, fmt.Errorf("%s: spec.ports[%d].targetPort: %w", ref(s), i, err)
			}
			if other, taken := from[int(port.Port)]; taken {
				if other != target {
					return nil, fmt.Errorf("%s: spec.ports[%d]: port %d leads to %d, in another Service of the same pods to %d; one address a pod cannot do both",
						ref(s), i, port.Port, target, other)
				}
				continue
			}
			from[int(port.Port)] = target
			targets = append(targets, portPair{from: int(port.Port), to: target})
		}
	}
	return targets, nil
}

// containerPort resolves a port by number or name; absent, it is the default.
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
	return 0, fmt.Errorf("container %s has no port named %q", c.Name, target.StrVal)
}

// portOf reads the port of a host:port variable; 0 when it is not set.
func portOf(env map[string]string, name string) (int, error) {
	value, set := env[name]
	if !set {
		return 0, nil
	}
	if _, text, err := net.SplitHostPort(value); err == nil {
		if port, err := strconv.Atoi(text); err == nil && port >= 1 && port <= 65535 {
			return port, nil
		}
	}
	return 0, fmt.Errorf("%s: %.60q; :8080 or host:8080 is expected", name, value)
}
