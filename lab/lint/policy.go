package lint

import (
	"slices"
	"strings"
)

// policy is what a proxy gets for one cluster: the blocks of a DestinationRule
// after they are merged as istiod merges them.
type policy struct {
	pool, outliers, balancer, budget value
}

// cluster is one set of hosts in the configuration of proxies: a service's port and subset.
type cluster struct {
	rule    *object
	service *service // nil when the manifests do not have it
	destination
	port   int // 0: any
	labels map[string]string
	policy
}

// name is the cluster's name in messages.
func (c *cluster) name() string {
	name, _, _ := strings.Cut(c.host, ".")
	if c.subset != "" {
		return name + ", subset " + c.subset
	}
	return name
}

// hosts is the number of its hosts; 0 when it is not known.
func (c *cluster) hosts() int { return c.service.hosts(c.labels) }

// blocks are the parts of a traffic policy that a port's settings replace.
var blocks = []string{"connectionPool", "outlierDetection", "loadBalancer", "tls"}

// merged returns the blocks for one port: a port's own settings replace all of
// the policy's, the retry budget too, which they cannot have (istiod's
// GetPortLevelTrafficPolicy).
func merged(traffic value, port int) (p policy, ofPort bool) {
	for _, own := range traffic.at("portLevelSettings").items() {
		if port != 0 && own.at("port", "number").count(0) == port {
			return policy{own.at("connectionPool"), own.at("outlierDetection"), own.at("loadBalancer"), value{}}, true
		}
	}
	return policy{traffic.at("connectionPool"), traffic.at("outlierDetection"), traffic.at("loadBalancer"), traffic.at("retryBudget")}, false
}

// over returns a subset's policy on top of the rule's: a block of the subset
// replaces the rule's block whole (istiod's MergeTrafficPolicy).
func (p policy) over(subset value, port int) policy {
	own, ofPort := merged(subset, port)
	if ofPort {
		own.budget = p.budget
		return own
	}
	return policy{own.pool.or(p.pool), own.outliers.or(p.outliers), own.balancer.or(p.balancer), own.budget.or(p.budget)}
}

// findClusters returns what every DestinationRule configures, for each port and for
// each subset that a route leads to.
func (m *model) findClusters() (all []*cluster) {
	for _, rule := range m.of("DestinationRule") {
		for _, host := range m.hostsOf(rule) {
			all = append(all, m.clustersOf(rule, host)...)
		}
	}
	return all
}

// clustersOf returns what a DestinationRule configures for one host.
func (m *model) clustersOf(rule *object, host string) (all []*cluster) {
	traffic := rule.at("spec", "trafficPolicy")
	service := m.serviceOf(host)
	ports := []int{0}
	if service != nil {
		ports = nil
		for _, p := range service.object.at("spec", "ports").items() {
			ports = append(ports, p.at("port").count(0))
		}
	}
	for _, port := range ports {
		whole, _ := merged(traffic, port)
		if d := (destination{host: host}); m.leadsTo(d) {
			all = append(all, &cluster{rule, service, d, port, nil, whole})
		}
		for _, subset := range rule.at("spec", "subsets").items() {
			if d := (destination{host, subset.at("name").text()}); m.leadsTo(d) {
				all = append(all, &cluster{rule, service, d, port, subset.at("labels").labels(), whole.over(subset.at("trafficPolicy"), port)})
			}
		}
	}
	return all
}

// hostsOf returns the full names of a DestinationRule's host: for one with a
// wildcard, the Services for which no other rule is more specific.
func (m *model) hostsOf(rule *object) (hosts []string) {
	host := fullName(rule.at("spec", "host").text(), rule.Namespace)
	end, isWild := strings.CutPrefix(host, "*")
	if !isWild {
		return []string{host}
	}
	for _, s := range m.services {
		closer := slices.ContainsFunc(m.of("DestinationRule"), func(other *object) bool {
			name := fullName(other.at("spec", "host").text(), other.Namespace)
			otherEnd, isWild := strings.CutPrefix(name, "*")
			return name == s.host || isWild && len(otherEnd) > len(end) && strings.HasSuffix(s.host, otherEnd)
		})
		if strings.HasSuffix(s.host, end) && !closer {
			hosts = append(hosts, s.host)
		}
	}
	return hosts
}

// leadsTo reports whether a route leads to a destination, or no VirtualService is
// for its host.
func (m *model) leadsTo(d destination) bool {
	return slices.ContainsFunc(m.allRoutes, func(r *route) bool { return slices.Contains(r.to, d) }) ||
		!slices.ContainsFunc(m.allRoutes, func(r *route) bool { return slices.Contains(r.hosts, d.host) })
}

// clusterOf returns the cluster of a destination, or nil.
func (m *model) clusterOf(d destination) *cluster {
	return first(m.clusters, func(c *cluster) bool { return c.destination == d })
}
