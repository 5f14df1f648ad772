package mesh

import (
	"net"
	"net/netip"
	"slices"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
)

// forward returns the address of one of the ports that istiod has on a cluster.
func (i *istiod) forward(port int) net.Addr {
	switch port {
	case 8080:
		return net.TCPAddrFromAddrPort(i.http)
	case 15010:
		return net.TCPAddrFromAddrPort(i.grpc)
	case 15012:
		return i.secure.Addr()
	case 15014:
		return net.TCPAddrFromAddrPort(i.monitoring)
	}
	return nil
}

// forward returns the address of a pod's port on this machine, or nil when the pod has no such port.
// Only holders of the fleet's token reach it, and they may change a proxy: a proxy's admin port is
// Envoy's own socket, not the read-only one.
func (m *Mesh) forward(namespace, pod string, port int) net.Addr {
	if port < 1 || port > 65535 {
		return nil
	}
	for _, i := range m.controlPlanes() {
		if namespace == kube.RootNamespace && pod == kube.ControlPlanePod(i.revision) {
			return i.forward(port)
		}
	}
	for _, p := range m.allProxies() {
		if p.node.Name == pod && p.node.Namespace == namespace && port == envoy.AdminPort {
			return &net.UnixAddr{Net: "unix", Name: p.node.AdminSocket}
		}
	}
	ip, port := m.addressOf(namespace, pod, port)
	if !ip.IsValid() {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port)))
}

// addressOf returns the address of a gateway's or a fleet's pod, and its port for
// a declared one.
func (m *Mesh) addressOf(namespace, pod string, port int) (netip.Addr, int) {
	for i := range m.gateways {
		if g := &m.gateways[i]; namespace == kube.RootNamespace && pod == g.PodName() {
			return g.IP, port
		}
	}
	for _, p := range m.site.Pods() {
		if p.Name != pod || p.Namespace != namespace {
			continue
		}
		if i := slices.IndexFunc(p.Inbound, func(in local.Inbound) bool { return in.Declared == port }); i >= 0 {
			port = p.Inbound[i].Port
		}
		return p.IP, port
	}
	return netip.Addr{}, 0
}
