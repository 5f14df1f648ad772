package lint

import (
	"slices"
	"strings"
)

var twoForOneHost = &Rule{
	Number: 23, Name: "two-for-one-host", Severity: Error,
	Finds:   "two Gateways or VirtualServices for one host and port",
	Reason:  "In the mesh only the oldest VirtualService of a host acts, and the other one does nothing; at a gateway their routes are merged, the older's first. Of two Gateways for a host and port of the same pods, the newer server is dropped. Which is older is not in the manifests.",
	Source:  "https://istio.io/latest/docs/ops/best-practices/traffic-management/#split-virtual-services",
	check:   checkTwoForOneHost,
	NoProof: "which of the two acts depends on which was created first, not on the manifests",
}

func checkTwoForOneHost(p *pass) {
	rules := p.of("VirtualService")
	for i, rule := range rules {
		for _, other := range rules[:i] {
			if host, where := shared(rule, other); host.has() {
				happens := "only the one that was created first acts there, and the other one does nothing"
				if where != "mesh" {
					happens = "their routes are merged, those of the one that was created first before the other's"
				}
				p.report(host, "merge both into one VirtualService", "%s and %s are both for host %s at %s: %s", other.Ref(), rule.Ref(), host.text(), where, happens)
			}
		}
	}
	gateways := p.of("Gateway")
	for i, gateway := range gateways {
		for _, other := range gateways[:i] {
			p.checkGateways(gateway, other)
		}
	}
}

// shared returns a host that two VirtualServices are for at the same gateway.
func shared(a, b *object) (host value, where string) {
	for _, host := range a.at("spec", "hosts").items() {
		for _, other := range b.at("spec", "hosts").texts() {
			if fullName(host.text(), a.Namespace) != fullName(other, b.Namespace) {
				continue
			}
			for _, gateway := range gatewaysOf(a) {
				if slices.Contains(gatewaysOf(b), gateway) && (gateway != "mesh" || seenTogether(a, b)) {
					return host, gateway
				}
			}
		}
	}
	return value{}, ""
}

// gatewaysOf returns the gateways of a VirtualService, with their namespaces.
func gatewaysOf(rule *object) []string {
	names := rule.at("spec", "gateways").texts()
	if len(names) == 0 {
		return []string{"mesh"}
	}
	for i, name := range names {
		if name != "mesh" && !strings.Contains(name, "/") {
			names[i] = rule.Namespace + "/" + name
		}
	}
	return names
}

// seenTogether reports whether proxies of some namespace have both objects.
func seenTogether(a, b *object) bool {
	namespaces := slices.Concat([]string{a.Namespace, b.Namespace}, a.at("spec", "exportTo").texts(), b.at("spec", "exportTo").texts())
	return slices.ContainsFunc(namespaces, func(ns string) bool { return isVisible(a, ns) && isVisible(b, ns) })
}

// checkGateways reports a server that another Gateway of the same pods has too.
func (p *pass) checkGateways(gateway, other *object) {
	mine, others := gateway.at("spec", "selector").labels(), other.at("spec", "selector").labels()
	if !selects(mine, others) && !selects(others, mine) {
		return
	}
	for _, server := range gateway.at("spec", "servers").items() {
		for _, second := range other.at("spec", "servers").items() {
			port := server.at("port", "number").count(0)
			if port != second.at("port", "number").count(0) || server.at("bind").text() != second.at("bind").text() {
				continue
			}
			for _, host := range server.at("hosts").items() {
				if slices.Contains(second.at("hosts").texts(), host.text()) {
					p.report(host, "merge both servers into one Gateway", "%s and %s are both for host %s on port %d of the same pods: the newer server is dropped", other.Ref(), gateway.Ref(), host.text(), port)
				}
			}
		}
	}
}
