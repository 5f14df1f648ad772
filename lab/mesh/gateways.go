package mesh

import (
	"fmt"
	"net/netip"

	"fleetman.example/lab/mesh/kube"
)

const ingressGateway = "istio-ingressgateway"

func (m *Mesh) makeGateways() {
	for i, name := range m.manifests.Gateways() {
		m.gateways = append(m.gateways, kube.Gateway{Name: "istio-" + name, IP: m.site.Gateways[i], Istio: name, NodePorts: map[int]int{}})
	}
	m.gateways[0].NodePorts[80] = m.options.IngressPort
}

// openNodePorts opens the ports of the ingress gateway at the node's address. A port without a node
// port gets a free one. Without a Gateway the gateway serves nothing, so no port is opened.
func (m *Mesh) openNodePorts() error {
	g := m.gateways[0]
	m.mu.Lock()
	ports, used := kube.GatewayPorts(m.objects, ingressGateway), kube.HasGateway(m.objects, &g)
	m.mu.Unlock()
	if !used {
		m.site.CloseNodePorts(g.Name)
		clear(m.nodePorts)
		return nil
	}
	for _, port := range ports {
		if m.nodePorts[port] {
			continue
		}
		name := "http"
		if port != 80 {
			name = fmt.Sprintf("port-%d", port)
		}
		to := netip.AddrPortFrom(g.IP, uint16(kube.GatewayPort(port)))
		switch err := m.site.OpenNodePort(g.Name, name, g.NodePorts[port], to); {
		case err != nil && port == 80:
			return fmt.Errorf("%w, or set another port with --ingress-port", err)
		case err != nil:
			return err
		}
		m.nodePorts[port] = true
	}
	return nil
}
