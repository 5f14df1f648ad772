package lint

import "strings"

var faultBesideRetries = &Rule{
	Number: 11, Name: "fault-beside-retries", Severity: Error,
	Finds:   "fault beside retries or timeout on one route: they do not act on it",
	Reason:  "The caller's proxy injects the fault before its router, which is what retries and limits the time. An aborted request is not retried, and a delay is not cut: the test says nothing about either.",
	Source:  "https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute-fault",
	Report:  "https://github.com/istio/istio/issues/13705",
	check:   checkFaultBesideRetries,
	proof:   ofRoute(proveFaultBesideRetries),
	NoProof: "an abort beside a timeout alone, which takes no time that one could limit",
}

func checkFaultBesideRetries(p *pass) {
	for _, r := range p.allRoutes {
		fault, own := r.http.at("fault"), r.retries()
		var idle []string
		if own.n > 0 {
			idle = append(idle, "retried (attempts "+own.value.at("attempts").shown()+")")
		}
		if r.timeout() > 0 {
			idle = append(idle, "limited by timeout "+short(r.timeout()))
		}
		if !fault.has() || len(idle) == 0 {
			continue
		}
		p.report(fault, "inject the fault in the service or in a proxy behind this one, such as an EnvoyFilter for its inbound listener, and keep the route",
			"%s: the %s is not %s: the proxy injects it before its router", r.name(), strings.Join(fault.keys(), " and the "), strings.Join(idle, ", nor "))
	}
}
