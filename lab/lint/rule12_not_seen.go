package lint

import (
	"slices"
	"strings"
)

var notSeen = &Rule{
	Number: 12, Name: "callers-do-not-see", Severity: Error,
	Finds:  "a VirtualService that the callers do not see: bound to a gateway only, exportTo, host of another namespace",
	Reason: "A VirtualService acts in the proxies of those who call. One with gateways acts in these alone, unless mesh is one of them; exportTo hides it from other namespaces; and a short host is one of the VirtualService's own namespace.",
	Source: "https://istio.io/latest/docs/reference/config/networking/virtual-service/#VirtualService-gateways",
	check:  checkNotSeen,
	proof:  proveNotSeen,
}

func checkNotSeen(p *pass) {
	for _, rule := range p.of("VirtualService") {
		for _, host := range rule.at("spec", "hosts").items() {
			full := fullName(host.text(), rule.Namespace)
			if s := p.serviceOf(full); s != nil {
				p.checkSeen(rule, s)
				continue
			}
			p.checkElsewhere(rule, host, full)
		}
	}
}

// checkSeen reports a rule for a Service that the callers' proxies do not have.
func (p *pass) checkSeen(rule *object, s *service) {
	gateways := rule.at("spec", "gateways")
	if !inMesh(rule) && !p.isRouted(s) {
		p.report(gateways, "add mesh to gateways", "%s is bound to %s only: pods that call %s have none of it, and keep the default: no time-out, and 2 retries of failed connections",
			rule.Ref(), strings.Join(gateways.texts(), ", "), s.name)
	}
	for _, e := range s.calledBy {
		p.about = subject{edge: e}
		if inMesh(rule) && e.from.meshed && !isVisible(rule, e.from.ns) {
			p.report(rule.at("spec", "exportTo"), "add "+e.from.ns+" to exportTo", "%s is exported to %s only: %s calls %s from namespace %s and has none of it",
				rule.Ref(), strings.Join(rule.at("spec", "exportTo").texts(), ", "), e.from.name, s.name, e.from.ns)
		}
	}
}

// isRouted reports whether a rule in the mesh is for a service.
func (m *model) isRouted(s *service) bool {
	return slices.ContainsFunc(m.allRoutes, func(r *route) bool { return r.isFor(s) })
}

// checkElsewhere reports a host that means a name in the rule's own namespace,
// where only another namespace has such a Service.
func (p *pass) checkElsewhere(rule *object, host value, full string) {
	if strings.Contains(host.text(), ".") || !inMesh(rule) {
		return
	}
	if s := p.named(host.text()); s != nil {
		p.report(host, "write "+s.host, "%s means %s, and the Service is %s: its callers have none of this rule", host.text(), full, s.host)
	}
}
