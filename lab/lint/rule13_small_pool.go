package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

var smallPool = &Rule{
	Number: 13, Name: "small-pool", Severity: Warning,
	Finds:   "pools below rate × latency (given --rate); limits that queue where they should refuse; an http2MaxRequests that HTTP/1.1 never reaches",
	Reason:  "Requests in flight are rate × latency. A pool below that refuses healthy traffic. On HTTP/1.1 maxConnections does not refuse: requests wait in a queue, which http1MaxPendingRequests bounds and which has no bound by default. http2MaxRequests counts requests of HTTP/1.1 too, where each has a connection: one that is not below maxConnections is never reached: the next request waits for a connection first.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking",
	Report:  "https://github.com/envoyproxy/envoy/issues/16610",
	check:   checkSmallPool,
	proof:   ofCluster(proveSmallPool),
	NoProof: "a limit above 100: one machine does not hold three times as many requests",
}

func checkSmallPool(p *pass) {
	for _, c := range p.clusters {
		connections := c.pool.at("tcp", "maxConnections")
		pending, requests := c.pool.at("http", "http1MaxPendingRequests"), c.pool.at("http", "http2MaxRequests")
		n := connections.count(0)
		p.checkRate(c, connections, "maxConnections")
		p.checkRate(c, requests, "http2MaxRequests")
		if n == 0 || c.isHTTP2() {
			continue
		}
		limit := requests.count(0)
		if limit > n {
			p.report(requests, fmt.Sprintf("write http2MaxRequests: %d or less, or more connections", max(n-1, 1)),
				"http2MaxRequests %d is never reached: requests to %s go over HTTP/1.1, one at a time on each of at most %s", limit, c.name(), counted(n, "connection"))
		}
		if pending.count(0) == 0 && (limit == 0 || limit == n) && c.pool.at("http").has() {
			p.report(connections, fmt.Sprintf("write http1MaxPendingRequests: %d, or http2MaxRequests: %d to refuse at once", n, max(n-1, 1)),
				"maxConnections %d of %s refuses no request: the next one waits in a queue without a bound", n, c.name())
		}
	}
}

// isHTTP2 reports whether the proxies speak HTTP/2 to a cluster.
func (c *cluster) isHTTP2() bool {
	if c.pool.at("http", "h2UpgradePolicy").text() == "UPGRADE" || c.pool.at("http", "useClientProtocol").isTrue() {
		return true
	}
	return c.service != nil && slices.ContainsFunc(c.service.object.at("spec", "ports").items(), func(port value) bool {
		return isGRPC(port) || strings.HasPrefix(port.at("name").text(), "http2")
	})
}

// checkRate compares a limit with the requests in flight.
func (p *pass) checkRate(c *cluster, limit value, name string) {
	inFlight := p.Rate * p.Latency.Seconds()
	if n := limit.count(0); n > 0 && inFlight > float64(n) {
		p.reportAs(Error, limit, fmt.Sprintf("write %s: %d or more, twice that for peaks", name, int(math.Ceil(inFlight))),
			"%s %d of %s is below %g requests per second × %s = %.4g in flight", name, n, c.name(), p.Rate, short(p.Latency), inFlight)
	}
}
