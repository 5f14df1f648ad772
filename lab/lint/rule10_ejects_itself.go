package lint

var ejectsItself = &Rule{
	Number: 10, Name: "one-request-ejects", Severity: Error,
	Finds:   "one request that ejects a host by its own tries: attempts ≥ consecutive errors",
	Reason:  "Each try that fails counts as an error of its host. With as many retries as it takes errors, a single request that always fails, such as one that hits a bug, ejects a healthy host for all others.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier#consecutive-5xx",
	check:   checkEjectsItself,
	proof:   proveEjectsItself,
	NoProof: "a warning about several such requests in a row: a short run may not have them",
}

func checkEjectsItself(p *pass) {
	for _, r := range p.allRoutes {
		own := r.retries()
		if r.hasFault() || own.n == 0 || own.repeatsAnswers() == "" {
			continue
		}
		for _, d := range r.to {
			if c := p.clusterOf(d); c != nil && c.outliers.has() {
				p.checkOwnTries(c, r, own)
			}
		}
	}
}

// ejectingErrors is the number of consecutive errors that eject a host; 0: none
// does.
func (p policy) ejectingErrors() int {
	all, gateway := p.outliers.at("consecutive5xxErrors").count(default5xx), p.outliers.at("consecutiveGatewayErrors").count(0)
	if all == 0 || gateway != 0 && gateway < all {
		return gateway
	}
	return all
}

func (p *pass) checkOwnTries(c *cluster, r *route, own retries) {
	n, errors := c.hosts(), c.ejectingErrors()
	if errors == 0 || n > 0 && c.mayEject(n) == 0 {
		return // rule 1
	}
	// A retry goes to a host that was not tried, while there is one.
	onOne := max(1, 1+own.n-max(n-1, 0))
	again := own.value.at("retryIgnorePreviousHosts")
	if c.balancer.at("consistentHash").has() || again.has() && !again.isTrue() {
		onOne = 1 + own.n
	}
	at := own.value.at("attempts")
	const instead = "write fewer attempts, or more consecutive errors than tries"
	switch {
	case onOne >= errors && n == 0:
		p.reportAs(Warning, at, instead, "%s: one request makes %d tries, and %d consecutive errors eject a host of %s, whose number of hosts is not in the manifests: if it has 1, a single request that always fails ejects it",
			r.name(), 1+own.n, errors, c.name())
	case onOne >= errors:
		p.report(at, instead, "%s: one request makes %d tries, up to %d of them on one host of %s, which has %d, and %d consecutive errors eject it: a single request that always fails ejects a host",
			r.name(), 1+own.n, onOne, c.name(), n, errors)
	case own.n >= errors:
		p.reportAs(Warning, at, instead, "%s: one request that always fails makes %d errors on the %d hosts of %s, and %d in a row eject a host: %d such requests in a row eject the %s that may be ejected",
			r.name(), 1+own.n, n, c.name(), errors, requestsToEject(n, c.mayEject(n), errors, 1+own.n), counted(c.mayEject(n), "host"))
	}
}

// requestsToEject is how many requests that always fail eject some of n hosts,
// however their tries are spread: until then, the others may have one error less
// than it takes.
func requestsToEject(n, ejected, errors, tries int) int {
	needed := (ejected-1)*errors + (n-ejected+1)*(errors-1) + 1
	return (needed + tries - 1) / tries
}
