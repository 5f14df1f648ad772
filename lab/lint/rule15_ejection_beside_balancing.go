package lint

import "strings"

var ejectionBesideBalancing = &Rule{
	Number: 15, Name: "ejection-beside-balancing", Severity: Warning,
	Finds:   "ejection beside localities without the switch; ejection beside consistent hash",
	Reason:  "With outlierDetection istiod gives localities priorities, unless localityLbSetting says otherwise: all requests go to the caller's own zone, and an ejection there moves load to others. With consistentHash an ejected host's keys move to other hosts, and back when it returns: sessions and caches are lost twice.",
	Source:  "https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/",
	check:   checkEjectionBesideBalancing,
	proof:   ofCluster(proveMovedSession),
	NoProof: "localities, as the local mesh has no zones; a hash by cookie or address, as the load has no cookies and one address",
}

func checkEjectionBesideBalancing(p *pass) {
	for _, c := range p.clusters {
		hash := c.balancer.at("consistentHash")
		if c.outliers.has() && hash.has() {
			p.report(hash, "remove outlierDetection here, or consistentHash if the sessions may move",
				"%s is balanced by consistentHash and ejects hosts: the keys of an ejected host go to others for %s or longer, and then back",
				c.name(), short(c.baseEjection()))
		}
		if zones := p.zones(c.service); c.outliers.has() && zones != "" && !c.balancer.at("localityLbSetting").has() && !c.balancer.at("zoneAwareLbSetting").has() {
			p.report(c.outliers, "add loadBalancer.localityLbSetting: {enabled: false}, or what is meant, such as failover",
				"%s, and outlierDetection of %s switches on priorities by locality: requests go to the caller's own zone only, while it has a host that is not ejected", zones, c.name())
		}
	}
}

// zones returns by which the pods of a service are in several zones, "" if the
// manifests do not say it.
func (m *model) zones(s *service) string {
	if s == nil {
		return ""
	}
	for _, w := range s.workloads {
		if w.labels["istio-locality"] != "" {
			return w.name + " has the label istio-locality"
		}
		for _, spread := range w.object.at("spec", "template", "spec", "topologySpreadConstraints").items() {
			if key := spread.at("topologyKey").text(); strings.HasPrefix(key, "topology.kubernetes.io/") {
				return w.name + " is spread over " + key
			}
		}
	}
	return ""
}
