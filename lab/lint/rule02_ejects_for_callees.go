package lint

import "strings"

var ejectsForCallees = &Rule{
	Number: 2, Name: "ejects-for-callees", Severity: Warning,
	Finds:  "maxEjectionPercent: 100 on a service whose errors are its callees'",
	Reason: "A service that calls others passes on their errors. When a callee fails, every host of the service answers 5xx, all are ejected, and callers get 503 (UH) also for what does not need the callee.",
	Source: "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier",
	Report: "https://github.com/istio/istio/issues/20135",
	check:  checkEjectsForCallees,
	proof:  ofCluster(proveEjectsForCallees),
}

func checkEjectsForCallees(p *pass) {
	for _, c := range p.clusters {
		percent, _ := c.ejectionPercent()
		if !c.outliers.has() || percent < 100 || c.service == nil || len(c.service.callees()) == 0 {
			continue
		}
		hosts := "all of its hosts"
		if n := c.hosts(); n == 1 {
			hosts = "its only host"
		} else if n > 1 {
			hosts = "all " + counted(n, "host")
		}
		p.report(c.outliers.at("maxEjectionPercent"), "write maxEjectionPercent: 50, so that half of the hosts stay",
			"%s calls %s, and %s may be ejected: when a callee fails, its errors eject %s for %s, and every request gets 503",
			c.name(), strings.Join(c.service.callees(), ", "), hosts, hosts, c.baseEjection())
	}
}
