package mesh

import (
	"net/netip"

	"fleetman.example/lab/mesh/kube"
)

// forward is where the port of a pod is on this machine.
func (m *Mesh) forward(namespace, pod string, port int) (address string, ok bool) {
	if port < 1 || port > 65535 {
		return "", false
	}
	if namespace == kube.RootNamespace && pod == kube.ControlPlane {
		// istiod's usual ports
		at, known := map[int]netip.AddrPort{
			8080: m.istiod.http, 9876: m.istiod.internal, 15010: m.istiod.grpc, 15012: m.istiod.secure, 15014: m.istiod.monitoring,
		}[port]
		return at.String(), known
	}
	for i := range m.gateways {
		if g := &m.gateways[i]; namespace == kube.RootNamespace && pod == g.Name+"-0" {
			return netip.AddrPortFrom(g.IP, uint16(port)).String(), true
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
		return netip.AddrPortFrom(p.IP, uint16(port)).String(), true
	}
	return "", false
}
