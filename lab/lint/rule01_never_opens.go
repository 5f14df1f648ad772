package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

var neverOpens = &Rule{
	Number: 1, Name: "never-opens", Severity: Error,
	Finds:   "a breaker that can never open: floor(hosts × maxEjectionPercent / 100) < 1; of the library, endpoints × BREAKER_MAX_OPEN_PERCENT",
	Reason:  "A host is ejected only while the ejected ones stay within maxEjectionPercent of the pool. The default is 10 %, so in a pool below 10 hosts nothing is ever ejected; only the counter ejections_overflow says so.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/outlier_detection.proto#envoy-v3-api-field-config-cluster-v3-outlierdetection-max-ejection-percent",
	Report:  "https://github.com/istio/istio/issues/57010",
	check:   checkNeverOpens,
	proof:   proveNeverOpens,
	NoProof: "what an EnvoyFilter sets, which the repair of an experiment leaves alone",
}

// defaultEjectionPercent is what istiod leaves to Envoy: 0 is not sent either.
const defaultEjectionPercent = 10

// ejectionPercent returns the largest share of a pool that may be ejected.
func (p policy) ejectionPercent() (percent int, isDefault bool) {
	percent = p.outliers.at("maxEjectionPercent").count(0)
	if percent == 0 {
		return defaultEjectionPercent, true
	}
	return percent, false
}

// mayEject returns how many of n hosts may be ejected at once.
func (p policy) mayEject(n int) int {
	percent, _ := p.ejectionPercent()
	return n * percent / 100
}

func checkNeverOpens(p *pass) {
	for _, c := range p.clusters {
		n := c.hosts()
		if !c.outliers.has() || n == 0 || c.mayEject(n) > 0 || p.isPatched(c.service) {
			continue
		}
		if n == 1 && strings.HasPrefix(c.rule.at("spec", "host").text(), "*") {
			continue // a rule for many services is not meant to eject the only host of one
		}
		percent, isDefault := c.ejectionPercent()
		p.reportNoEjection(c.outliers.at("maxEjectionPercent").or(c.outliers), "maxEjectionPercent", c.name(), n, percent, isDefault)
	}
	p.checkPatches()
	for _, e := range p.edges {
		p.about = subject{edge: e}
		l := &e.from.library
		n := l.endpoints(e)
		if l.failures == 0 || l.openPercent >= 100 || n*l.openPercent/100 > 0 || n == 0 {
			continue
		}
		p.report(l.set("BREAKER_MAX_OPEN_PERCENT"), fmt.Sprintf("write BREAKER_MAX_OPEN_PERCENT: %s, or BREAKER_FAILURES: 0", shares(n)),
			"%s calls %s at %s, of which %d %% may be open: floor(%d × %d / 100) = 0, so the breaker never opens",
			e.from.name, e.name(), counted(n, "endpoint"), l.openPercent, n, l.openPercent)
	}
}

// reportNoEjection reports a field, or its default, by which none of n hosts may be ejected.
func (p *pass) reportNoEjection(at value, field, of string, n, percent int, isDefault bool) {
	origin := field
	if isDefault {
		origin += " by default"
	}
	instead := fmt.Sprintf("write %s: %s", field, shares(n))
	if n == 1 { // its ejection would leave no host for its requests
		instead = fmt.Sprintf("write replicas: 2 or more, and %s: %s", field, shares(2))
	}
	p.report(at, instead,
		"%s has %s and may eject %d %% of them (%s): floor(%d × %d / 100) = 0, so no host is ever ejected, whatever it answers",
		of, counted(n, "host"), percent, origin, n, percent)
}

// isPatched reports whether an EnvoyFilter says how many of a service's hosts may
// be ejected.
func (m *model) isPatched(s *service) bool {
	return slices.ContainsFunc(m.patches(), func(patch patch) bool {
		return patch.service == s && (patch.percent().has() || patch.ejectsOne())
	})
}

// checkPatches reports ejections that EnvoyFilters set, unless the field that
// decides is a DestinationRule's.
func (p *pass) checkPatches() {
	for _, patch := range p.patches() {
		ruled := slices.ContainsFunc(p.clusters, func(c *cluster) bool { return c.service == patch.service && c.outliers.has() })
		field, n := patch.percent(), patch.service.hosts(nil)
		percent := field.count(defaultEjectionPercent)
		if n == 0 || n*percent/100 > 0 || patch.ejectsOne() || ruled && !field.has() {
			continue
		}
		p.reportNoEjection(field.or(patch.outliers), "max_ejection_percent", patch.service.name, n, percent, !field.has())
	}
}

// shares returns the percentages of n hosts that are one host or more.
func shares(n int) string {
	if n == 1 {
		return "100"
	}
	return fmt.Sprintf("%d to 100", int(math.Ceil(100/float64(n))))
}

// endpoints is how many endpoints the library sees of what it calls: those of a
// headless Service, otherwise one. 0: not known.
func (l *library) endpoints(e *edge) int {
	if !l.endpointScope || e.to == nil || !e.to.headless {
		return 1
	}
	return e.to.hosts(nil)
}
