package lint

import (
	"strconv"
	"time"
)

var panicUndoes = &Rule{
	Number: 3, Name: "panic-undoes-ejection", Severity: Error,
	Finds:   "minHealthPercent that undoes the ejection",
	Reason:  "In the pinned version minHealthPercent is Envoy's panic threshold: hosts are still ejected, but when fewer than that share are healthy, requests go to all hosts again, the ejected ones too.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold",
	check:   checkPanic,
	proof:   ofCluster(provePanic),
	NoProof: "a service whose number of hosts is not in the manifests",
}

// baseEjection is how long a host is ejected the first time.
func (p policy) baseEjection() time.Duration {
	return p.outliers.at("baseEjectionTime").duration(30 * time.Second)
}

func checkPanic(p *pass) {
	for _, c := range p.clusters {
		threshold := c.outliers.at("minHealthPercent").count(0)
		n := c.hosts()
		for ejected := 1; threshold > 0 && ejected <= c.mayEject(n); ejected++ {
			if 100*(n-ejected) >= threshold*n {
				continue
			}
			are := "are"
			if ejected == 1 {
				are = "is"
			}
			p.report(c.outliers.at("minHealthPercent"), atMost(100*(n-c.mayEject(n))/n),
				"when %d of %s of %s %s ejected, %d %% are healthy, fewer than minHealthPercent %d: the proxy panics and sends to all hosts, the ejected ones too",
				ejected, counted(n, "host"), c.name(), are, 100*(n-ejected)/n, threshold)
			break
		}
		if percent, _ := c.ejectionPercent(); n == 0 && c.outliers.has() && threshold > 100-percent {
			p.report(c.outliers.at("minHealthPercent"), atMost(100-percent),
				"%d %% of the hosts may be ejected, and with fewer than %d %% healthy the proxy panics and sends to all hosts, the ejected ones too", percent, threshold)
		}
	}
}

func atMost(percent int) string {
	if percent <= 0 {
		return "write minHealthPercent: 0"
	}
	return "write minHealthPercent: 0, or at most " + strconv.Itoa(percent)
}
