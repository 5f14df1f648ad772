package lint

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
)

// proveNeverOpens: one host answers 503. A service with one host has two when repaired.
func proveNeverOpens(p *proving) (*trial, error) {
	if p.edge != nil {
		return proveBreakerOpens(p)
	}
	if p.at.object.Kind == "EnvoyFilter" {
		return nil, errors.New(p.rule.NoProof)
	}
	c, t, err := p.loadCluster()
	if err != nil {
		return nil, err
	}
	t.inject = c.in(1, "status=503")
	t.measures, t.goal = []measure{ejections, failed}, fewer(1, "the share that failed")
	if c.hosts() == 1 {
		w := first(c.service.workloads, func(w *workload) bool { return selects(c.labels, w.labels) })
		p.set(w.object.at("spec", "replicas"), 2)
	}
	p.set(p.at.around("outlierDetection").at("maxEjectionPercent"), 50)
	return t, nil
}

// proveBreakerOpens: every host of the callee answers 503.
func proveBreakerOpens(p *proving) (*trial, error) {
	t, err := p.loadThrough(p.edge)
	if err != nil {
		return nil, err
	}
	t.rate, t.fault = 20, 5*time.Second
	t.inject = inAll(p.edge.to, "status=503")
	t.measures, t.goal = []measure{openings, calls(p.edge.to)}, more(0, "the openings")
	p.setVariables(p.edge.from, "BREAKER_MAX_OPEN_PERCENT", "100")
	return t, nil
}

// needs are requests of a program that need a callee, and rules by which they
// fail in the program itself, as the errors of a callee make them.
var needs = map[string]struct {
	stream experiment.Stream
	rules  string
}{
	"position-tracker": {writes["position-tracker"], "status=500,method=POST"},
	"api-gateway":      {experiment.Stream{Path: "/vehicles/driver/City%20Truck"}, "status=500,path=/vehicles/driver/"},
	"webapp":           {experiment.Stream{Path: "/api/vehicles/"}, "status=500,path=/api/"},
}

// proveEjectsForCallees: requests that need a callee fail, as if it did; few
// others need none.
func proveEjectsForCallees(p *proving, c *cluster, t *trial) error {
	program, _ := c.service.program()
	failing, known := needs[program]
	if !known {
		return fmt.Errorf("no request of %s needs a callee", program)
	}
	failing.stream.Name, failing.stream.Share = "callee", 9
	t.streams[0].Name = "own"
	t.streams = append(t.streams, failing.stream)
	t.rate, t.fault = 50, 6*time.Second
	t.inject = inAll(c.service, failing.rules)
	t.measures = []measure{ejections, shareOf("own", "of the requests that need no callee failed", record.Request.Failed)}
	t.goal = fewer(1, "the share that failed")
	t.note = "the errors of a callee are injected into the service itself"
	p.set(p.at.around("outlierDetection").at("maxEjectionPercent"), 50)
	return nil
}

// provePanic: as many hosts answer 503 as it takes for the panic.
func provePanic(p *proving, c *cluster, t *trial) error {
	n, threshold, ejected := c.hosts(), c.outliers.at("minHealthPercent").count(0), 1
	for 100*(n-ejected) >= threshold*n && ejected < n {
		ejected++
	}
	if n == 0 || ejected > c.mayEject(n) {
		return errors.New("the number of hosts must be in the manifests")
	}
	t.rate, t.fault = 40, 8*time.Second
	t.inject = c.in(ejected, "status=503")
	t.measures, t.goal = []measure{ejections, failed}, fewer(1, "the share that failed")
	p.set(p.at.around("outlierDetection").at("minHealthPercent"), 0)
	return nil
}

// proveGatewayErrors: one host answers 502.
func proveGatewayErrors(p *proving, c *cluster, t *trial) error {
	if n := c.hosts(); n > 0 && c.mayEject(n) == 0 {
		return errors.New("no host can be ejected: rule 1")
	}
	all := c.outliers.at("consecutive5xxErrors").count(default5xx)
	t.rate = 10
	t.inject = c.in(1, "status=502")
	t.measures = []measure{firstEjection}
	t.goal = less(0, "the errors until an ejection")
	block := p.at.around("outlierDetection")
	p.set(block.at("consecutiveGatewayErrors"), max(all-1, 1))
	if all == 1 {
		p.set(block.at("consecutive5xxErrors"), 0)
	}
	return nil
}

// poisons are paths whose requests an experiment lets always fail.
var poisons = map[string]string{
	"staff-service": "/driver/Bug", "vehicle-telemetry": "/vehicles/Bug", "position-tracker": "/vehicles/Bug", "api-gateway": "/vehicles/driver/Bug",
}

// proveEjectsItself: one request of ten always fails.
func proveEjectsItself(p *proving) (*trial, error) {
	r := p.route()
	if p.finding.Severity == Warning {
		return nil, errors.New("it takes several such requests in a row, which a short run may not have")
	}
	c := p.clusterOf(r.to[0])
	t, err := p.loadOn(c.service, r)
	if err != nil {
		return nil, err
	}
	program, _ := c.service.program()
	bug := t.streams[0]
	bug.Name, bug.Path = "bug", poisons[program]
	bug.Share, t.streams[0].Share = 1, 9
	t.streams = append(t.streams, bug)
	t.inject = inAll(c.service, "status=503,path="+bug.Path)
	t.measures, t.goal = []measure{ejections, shareOf("read", "of the other requests failed", record.Request.Failed)}, less(0, "the ejections")
	field := "consecutive5xxErrors"
	if gateway := c.outliers.at("consecutiveGatewayErrors").count(0); gateway == c.ejectingErrors() {
		field = "consecutiveGatewayErrors"
	}
	enough := r.retries().n + 2
	p.set(c.outliers.at(field), enough)
	if all := c.outliers.at("consecutive5xxErrors").count(default5xx); field != "consecutive5xxErrors" && all != 0 && all < enough {
		p.set(c.outliers.at("consecutive5xxErrors"), enough)
	}
	return t, nil
}

// proveReplaced: one host answers 503, and is not ejected where outlierDetection
// is replaced.
func proveReplaced(p *proving) (*trial, error) {
	traffic := p.at.object.at("spec", "trafficPolicy")
	fields, whole := blocks, traffic
	last := p.at.path[len(p.at.path)-1].key
	if slices.Contains(blocks, last) {
		whole = traffic.at(last)
		fields = whole.keys()
	} else if p.at.path[1].key == "subsets" {
		whole = p.at.object.at("spec", "subsets").items()[p.at.path[2].index].at("trafficPolicy")
	}
	ejects := last == "outlierDetection"
	for _, field := range fields {
		if whole.at(field).has() && !p.at.at(field).has() {
			ejects = ejects || field == "outlierDetection"
			p.set(p.at.at(field), whole.at(field).any)
		}
	}
	c, t, err := p.loadCluster()
	switch {
	case err != nil:
		return nil, err
	case !ejects:
		return nil, errors.New("what is lost is no ejection: the same requests are answered")
	}
	t.inject = c.in(1, "status=503")
	t.measures, t.goal = []measure{ejections, failed}, fewer(1, "the share that failed")
	return t, nil
}

// proveMovedSession: the host of one session answers 503.
func proveMovedSession(p *proving, c *cluster, t *trial) error {
	hash := c.balancer.at("consistentHash")
	name, query := hash.at("httpHeaderName").text(), hash.at("httpQueryParameterName").text()
	switch {
	case !hash.has():
		return errors.New("the local mesh has no zones")
	case name != "":
		t.streams[0].Headers = map[string]string{name: "session-1"}
	case query != "":
		t.streams[0].Path += "?" + query + "=session-1"
	default:
		return errors.New("the load keeps no cookies, and has one address")
	}
	t.inject = c.in(1, "status=503")
	t.measures, t.goal = []measure{hostsOf(c.service, "one session"), ejections, failed}, less(0, "the hosts of a session")
	p.repair(c.rule, removal(c.outliers))
	return nil
}

// proveLateSweep: one host answers 503 for two seconds; or, with --rate, for as
// long as the fault of interest.
func proveLateSweep(p *proving, c *cluster, t *trial) error {
	n, errs := c.hosts(), c.ejectingErrors()
	if n > 0 && c.mayEject(n) == 0 {
		return errors.New("no host can be ejected: rule 1")
	}
	interval, base := c.outliers.at("interval").duration(defaultInterval), c.baseEjection()
	if interval < 2*base {
		if t.rate, t.fault = p.Rate, p.Fault; t.rate > 200 || t.fault > 20*time.Second {
			return errors.New("--rate must be at most 200, and --fault at most 20s, so that the run is short")
		}
		t.inject = c.in(1, "status=503")
		t.measures, t.goal = []measure{ejections, failed}, more(0, "the ejections")
		p.set(c.outliers.at("consecutive5xxErrors"), max(int(p.Fault.Seconds()*p.Rate/float64(n))/2, 1))
		return nil
	}
	scaled := time.Duration(float64(interval) / float64(base) * float64(time.Second)).Truncate(time.Millisecond)
	t.note = fmt.Sprintf("baseEjectionTime %s and interval %s are shortened to 1s and %s", short(base), short(interval), short(scaled))
	p.setBoth(c.outliers.at("baseEjectionTime"), "1s")
	p.setBoth(c.outliers.at("interval"), scaled.String())
	p.set(c.outliers.at("interval"), "333ms")
	t.rate, t.fault, t.after = float64(max(20, n*errs)), 2*time.Second, 10*time.Second
	t.inject = c.in(1, "status=503")
	t.measures, t.goal = []measure{away}, fewer(0, "the time away")
	return nil
}

// inFlight returns a rate and a delay with which three times a number of requests
// are in flight.
func inFlight(n int) (rate float64, delay time.Duration) {
	rate = math.Min(100, math.Max(20, float64(3*n)))
	return rate, time.Duration(3 * float64(n) / rate * float64(time.Second))
}
