package local

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"

	"fleetman.example/lab/tcp"
)

// claimPort is a port that no program uses. A fleet listens on it, at each of
// its addresses, for as long as it runs, so that no other fleet uses the address.
const claimPort = 65535

// claims are the listeners on claimPort.
type claims map[netip.Addr]net.Listener

// claim listens on every address that the fleet will use: those of the pods, of
// the outbound listeners of proxied pods, of the gateways, and the refusing one.
// It returns an error if another program listens on a port that the fleet will use.
func claim(p *plan, o Options) (taken claims, err error) {
	taken = claims{}
	defer func() {
		if err != nil {
			taken.release()
		}
	}()
	for _, address := range addressesOf(p, o) {
		listener, err := tcp.Listen(netip.AddrPortFrom(address, claimPort).String())
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return taken, takenAddress(o, address, meshNetworks(p, o))
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			network := o.Network.Masked()
			if !network.Contains(address) {
				network = nextNetwork(network)
			}
			return taken, missingAddress(address, network, len(p.pods), runtime.GOOS)
		case err != nil:
			return taken, fmt.Errorf("claim the fleet's addresses: %w", err)
		}
		taken[address] = listener
	}
	return taken, checkPorts(p, o)
}

// CheckFree returns an error if another fleet uses the network, or the next one,
// which is that of a mesh.
func CheckFree(o Options) error {
	network := o.WithDefaults().Network.Masked()
	for _, address := range []netip.Addr{network.Addr(), nextNetwork(network).Addr()} {
		listener, err := tcp.Listen(netip.AddrPortFrom(address, claimPort).String())
		if err == nil {
			listener.Close()
		}
		if errors.Is(err, syscall.EADDRINUSE) { // Start reports other errors
			return takenAddress(o.WithDefaults(), address, "")
		}
	}
	return nil
}

// takenAddress returns the error for an address that another fleet uses.
func takenAddress(o Options, address netip.Addr, more string) error {
	return fmt.Errorf("--network %v: %v is another fleet's: must be a network that is free%s; fleetman down ends a fleet", o.Network, address, more)
}

func (c claims) release() {
	for _, listener := range c {
		listener.Close()
	}
}

// add takes over other claims.
func (c claims) add(others claims) { maps.Copy(c, others) }

// free releases the claims of some addresses.
func (c claims) free(addresses []netip.Addr) {
	for _, address := range addresses {
		if listener := c[address]; listener != nil {
			listener.Close()
			delete(c, address)
		}
	}
}

// addressesOf returns the addresses of a plan. A fleet's first plan has the network's
// own address, too, which the later ones share.
func addressesOf(p *plan, o Options) []netip.Addr {
	var addresses []netip.Addr
	for _, pod := range p.pods {
		addresses = append(addresses, addressesOfPod(pod)...)
	}
	if p.later {
		return addresses
	}
	addresses = append(addresses, p.gateways...)
	return append(addresses, o.Network.Masked().Addr())
}

func addressesOfPod(p *podPlan) []netip.Addr {
	addresses := []netip.Addr{p.IP}
	if p.Proxied {
		addresses = append(addresses, p.Outbound)
		if p.Bind.IsValid() {
			addresses = append(addresses, p.Bind)
		}
	}
	return addresses
}

// meshNetworks returns the part of a message about the second network of a mesh.
func meshNetworks(p *plan, o Options) string {
	for _, pod := range p.pods {
		if pod.Proxied {
			return fmt.Sprintf(", and with --mesh the next one too, %v", nextNetwork(o.Network.Masked()))
		}
	}
	return ""
}

// envoyAdminPort is the port of a proxy's admin interface at its address.
const envoyAdminPort = 15000

// nodePortFlags are the flags that move a NodePort, for errors.
const nodePortFlags = "--node-address, or another port with --node-port"

// usedPort is an address that the fleet will listen on.
type usedPort struct {
	what    string // for people
	address netip.AddrPort
	flag    string // that moves it
}

// checkPorts returns an error if another program listens on a port that the fleet
// will use, before anything is started.
func checkPorts(p *plan, o Options) error {
	for _, port := range portsOf(p, o) {
		if port.address.Port() == 0 || int(port.address.Port()) < firstUnprivilegedPort() {
			continue
		}
		listener, err := tcp.Listen(port.address.String())
		if err != nil {
			return fmt.Errorf("%s: %w", port.what, explainListen(err, port.address.Addr(), port.flag))
		}
		listener.Close()
	}
	return nil
}

func portsOf(p *plan, o Options) []usedPort {
	var ports []usedPort
	services := map[int]bool{}
	for _, pod := range p.pods {
		for _, pair := range pod.forwards {
			services[pair.from] = true
		}
		services[pod.want] = true
	}
	for _, pod := range p.pods {
		add := func(what string, address netip.AddrPort) {
			ports = append(ports, usedPort{fmt.Sprintf("pod %s: %s", pod.ID, what), address, "--network"})
		}
		add("its port", netip.AddrPortFrom(pod.IP, uint16(pod.listen)))
		add("its program's port", pod.app)
		add("its admin port", pod.adminAt)
		for _, pair := range pod.forwards {
			add("a port of its Service", netip.AddrPortFrom(pod.IP, uint16(pair.from)))
		}
		if pod.Proxied {
			add("its proxy's admin port", netip.AddrPortFrom(pod.IP, envoyAdminPort))
			for _, port := range slices.Sorted(maps.Keys(services)) {
				add("its proxy's port for calls", netip.AddrPortFrom(pod.Outbound, uint16(port)))
			}
		}
	}
	for _, gateway := range p.gateways {
		ports = append(ports, usedPort{"the gateway's admin port", netip.AddrPortFrom(gateway, envoyAdminPort), "--network"})
	}
	for _, service := range p.services {
		for _, port := range service.nodePorts {
			ports = append(ports, usedPort{
				fmt.Sprintf("NodePort %d of Service %s", port.port, port.service), netip.AddrPortFrom(o.NodeAddress, uint16(port.port)), nodePortFlags,
			})
		}
	}
	return ports
}
