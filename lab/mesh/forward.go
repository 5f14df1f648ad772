package mesh

import (
	"net"
	"net/netip"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
)

// forward returns the address of a pod's port on this machine, or nil when the pod has no such port.
// Only holders of the fleet's token reach it, and they may change a proxy: a proxy's admin port is
// Envoy's own socket, not the read-only one.
func (m *Mesh) forward(namespace, pod string, port int) net.Addr {
	if port < 1 || port > 65535 {
		return nil
	}
	if namespace == kube.RootNamespace && pod == kube.ControlPlane {
		// the ports that istiod has on a cluster
		at, known := map[int]netip.AddrPort{8080: m.istiod.http, 15010: m.istiod.grpc, 15012: m.istiod.secure, 15014: m.istiod.monitoring}[port]
		if !known {
			return nil
		}
		return net.TCPAddrFromAddrPort(at)
	}
	for _, p := range m.proxies {
		if p.node.Name == pod && p.node.Namespace == namespace && port == envoy.AdminPort {
			return &net.UnixAddr{Net: "unix", Name: p.node.AdminSocket}
		}
	}
	at := func(ip netip.Addr) net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))) }
	for i := range m.gateways {
		if g := &m.gateways[i]; namespace == kube.RootNamespace && pod == g.Name+"-0" {
			return at(g.IP)
		}
	}
	for i := range m.site.Pods {
		p := &m.site.Pods[i]
		if p.Name != pod || p.Namespace != namespace {
			continue
		}
		for _, in := range p.Inbound {
			if in.Declared == port {
				port = in.Port
			}
		}
		return at(p.IP)
	}
	return nil
}
