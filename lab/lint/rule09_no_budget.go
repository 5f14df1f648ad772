package lint

import (
	"time"
)

var noBudget = &Rule{
	Number: 9, Name: "no-budget", Severity: Warning,
	Finds:   "retries on 5xx without a budget; a budget that bounds nothing; maxRetries beside a budget; a port's settings or a subset's policy that drop it",
	Reason:  "When all hosts fail, every request becomes 1 + attempts requests. A retryBudget bounds that to a share of the requests. With one, Envoy ignores maxRetries. A portLevelSettings entry drops it. A subset's own trafficPolicy drops it in versions without the fix of the report; the pinned version has the fix.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto#envoy-v3-api-msg-config-cluster-v3-circuitbreakers-thresholds-retrybudget",
	Report:  "https://github.com/istio/istio/issues/59667",
	check:   checkNoBudget,
	proof:   proveNoBudget,
	NoProof: "maxRetries beside a budget, and a subset in versions with the fix: a run without them is the same",
}

// Defaults of a retryBudget: istiod's.
const (
	defaultBudgetPercent = 20
	defaultMinRetries    = 3
)

func checkNoBudget(p *pass) {
	for _, r := range p.allRoutes {
		own := r.retries()
		if word := own.repeatsAnswers(); !r.hasFault() && own.n > 0 && word != "" {
			p.checkBudget(r, own, word)
		}
	}
	for _, c := range p.clusters {
		p.checkBlocksOf(c)
	}
	for _, w := range p.workloads {
		if l := &w.library; l.tries > 1 && len(w.calls) > 0 && l.budgetPercent >= 100*(l.tries-1) {
			p.about = subject{edge: w.calls[0]}
			p.report(l.set("RETRY_BUDGET_PERCENT"), "write RETRY_BUDGET_PERCENT: 20",
				"%d %% of %s's calls may be retries, and %s make no more than %d %%: the budget bounds nothing", l.budgetPercent, w.name, counted(l.tries, "try"), 100*(l.tries-1))
		}
	}
}

// checkBudget looks for a budget where a route leads.
func (p *pass) checkBudget(r *route, own retries, word string) {
	for i, d := range r.to {
		c := p.clusterOf(d)
		if c == nil || !c.budget.has() {
			if c != nil && c.pool.at("http", "maxRetries").count(0) > 0 {
				continue
			}
			p.report(own.value.at("retryOn").or(own.value), "add trafficPolicy.retryBudget: {percent: 20, minRetryConcurrency: 3} to a DestinationRule of the host",
				"%s repeats on %s without a budget: when every host of %s fails, %d times its load arrives", r.name(), word, r.http.at("route").items()[i].at("destination", "host").text(), 1+own.n)
			continue
		}
		p.checkBounds(c, own)
	}
}

// checkBounds reports a budget that is never used up.
func (p *pass) checkBounds(c *cluster, own retries) {
	percent := c.budget.at("percent").number(defaultBudgetPercent)
	interval := c.budget.at("budgetInterval").duration(0)
	longest := own.perTry
	if longest == 0 {
		longest = p.Latency
	}
	most := time.Duration(own.n) * longest
	allowed := time.Duration(percent / 100 * float64(interval))
	least := c.budget.at("minRetryConcurrency").count(defaultMinRetries)
	switch inFlight := p.Rate * most.Seconds(); {
	case percent >= 100:
		p.report(c.budget.at("percent"), "write percent: 20", "retryBudget of %s: percent %g allows as many retries as requests: it bounds nothing", c.name(), percent)
	case interval > 0 && allowed >= most:
		p.report(c.budget.at("budgetInterval"), "remove budgetInterval, or write "+short((most/4).Truncate(time.Millisecond)),
			"retryBudget of %s: %g %% of the requests of %s are as many as arrive in %s, and all retries of one request end within %s (%d × %s): it bounds nothing, at any rate",
			c.name(), percent, short(interval), short(allowed), short(most), own.n, short(longest))
	case p.Rate > 0 && inFlight <= float64(least):
		p.report(c.budget.at("minRetryConcurrency").or(c.budget), "write a smaller minRetryConcurrency",
			"retryBudget of %s: at %g requests per second at most %.3g retries are in flight (%g × %d × %s), and minRetryConcurrency allows %d always: it bounds nothing",
			c.name(), p.Rate, inFlight, p.Rate, own.n, short(longest), least)
	}
}

// checkBlocksOf reports maxRetries beside a budget, and a budget that a port's
// settings drop.
func (p *pass) checkBlocksOf(c *cluster) {
	if limit := c.pool.at("http", "maxRetries"); limit.count(0) > 0 && c.budget.has() {
		p.report(limit, "remove maxRetries, or the retryBudget", "maxRetries %d of %s is ignored beside its retryBudget", limit.count(0), c.name())
	}
	traffic := c.rule.at("spec", "trafficPolicy")
	for _, subset := range c.rule.at("spec", "subsets").items() {
		if own := subset.at("trafficPolicy"); c.subset == subset.at("name").text() && traffic.at("retryBudget").has() && own.has() && !own.at("retryBudget").has() {
			p.report(own, "repeat the retryBudget in the subset's trafficPolicy",
				"the trafficPolicy of subset %s has no retryBudget: the pinned version takes the rule's, but versions without the fix of istio/istio#59667 drop it", c.subset)
		}
	}
	for _, port := range traffic.at("portLevelSettings").items() {
		if number := port.at("port", "number").count(0); traffic.at("retryBudget").has() && (c.port == 0 || c.port == number) {
			p.report(port, "remove the port's settings, and put them into the trafficPolicy itself",
				"the settings of port %d replace the trafficPolicy with its retryBudget, and cannot have one: retries to %s on that port are not bounded", number, c.name())
		}
	}
}
