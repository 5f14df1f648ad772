package lint

import (
	"slices"
	"strings"
)

// patch is what an EnvoyFilter sets of the ejection of a service's hosts.
type patch struct {
	service  *service
	outliers value
}

// at returns a field of Envoy's outlier_detection, whose names may also be written
// as Istio's are, and whose values may be inside of an object.
func (p patch) at(name, other string) value {
	v := p.outliers.at(name).or(p.outliers.at(other))
	return v.at("value").or(v)
}

// percent is the field that says how much of a pool may be ejected.
func (p patch) percent() value { return p.at("max_ejection_percent", "maxEjectionPercent") }

// ejectsOne reports whether one host may be ejected whatever the percentage is.
func (p patch) ejectsOne() bool {
	return p.at("always_eject_one_host", "alwaysEjectOneHost").isTrue()
}

// patches returns what EnvoyFilters set of the ejection of each service's hosts
// for its callers.
func (m *model) patches() []patch {
	var found []patch
	for _, filter := range m.of("EnvoyFilter") {
		for _, p := range filter.at("spec", "configPatches").items() {
			outliers := p.at("patch", "value", "outlier_detection").or(p.at("patch", "value", "outlierDetection"))
			if p.at("applyTo").text() != "CLUSTER" || p.at("patch", "operation").text() != "MERGE" || !outliers.has() {
				continue
			}
			for _, s := range m.services {
				if matches(p.at("match"), s) {
					found = append(found, patch{s, outliers})
				}
			}
		}
	}
	return found
}

// matches reports whether the condition of a patch is met by a service's clusters
// in the proxies of its callers. A name is outbound|PORT|SUBSET|HOST.
func matches(match value, s *service) bool {
	if slices.Contains([]string{"SIDECAR_INBOUND", "GATEWAY"}, match.at("context").text()) {
		return false
	}
	cluster := match.at("cluster")
	if name := cluster.at("name").text(); name != "" {
		return strings.HasPrefix(name, "outbound|") && strings.HasSuffix(name, "|"+s.host)
	}
	host := cluster.at("service").text()
	return (host == "" || host == s.host) && !cluster.at("subset").has()
}
