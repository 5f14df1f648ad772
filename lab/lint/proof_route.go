package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
)

// proveFaultBesideRetries: the route injects its fault; repaired, the service has
// it.
func proveFaultBesideRetries(p *proving, r *route, s *service, t *trial) error {
	fault, own := r.http.at("fault"), r.retries()
	abort, delay := fault.at("abort", "httpStatus"), fault.at("delay", "fixedDelay")
	t.fault = 8 * time.Second
	var rules string
	switch {
	case abort.has() && own.n > 0 && own.repeatsAnswers() != "":
		rules = "status=" + abort.shown() + rateOf(fault.at("abort"))
		t.measures, t.goal = []measure{failed}, fewer(0, "the share that failed")
	case delay.has() && r.timeout() > 0 && delay.duration(0) > r.timeout() && delay.duration(0) < loadTimeout:
		rules = "delay=" + delay.text() + rateOf(fault.at("delay"))
		t.rate = 5
		t.measures, t.goal = []measure{slowest, failed}, less(0, "the time of the slowest answer")
	default:
		return errors.New("retries or a timeout would not change what this fault does")
	}
	p.repair(r.rule, removal(fault))
	for _, w := range s.workloads {
		p.setVariables(w, "FAULTS", rules)
	}
	return nil
}

// rateOf returns the share of the requests that get a fault, as the services'
// rules have it.
func rateOf(fault value) string {
	percent := fault.at("percentage", "value").or(fault.at("percent"))
	if !percent.has() {
		return ""
	}
	return fmt.Sprintf(",rate=%g", min(percent.number(100), 100)/100)
}

// marker is the status by which a request shows that it takes a route.
const marker = 418

// proveNotSeen: every route of the rule answers a status of its own.
func proveNotSeen(p *proving) (*trial, error) {
	rule := p.at.object
	s := p.host()
	if s == nil { // its host is a name in the rule's own namespace
		s = p.named(p.at.text())
	}
	t, err := p.load(s)
	if err != nil {
		return nil, err
	}
	routes := rule.at("spec", "http").items()
	if len(routes) == 0 {
		return nil, errors.New("the rule must have a route of HTTP")
	}
	t.streams[0].Headers = (&route{http: routes[0]}).headers()
	t.fault = 4 * time.Second
	t.note = fmt.Sprintf("every route of %s answers %d, which shows who takes it", rule.Ref(), marker)
	for _, route := range routes {
		p.setBoth(route.at("fault"), map[string]any{"abort": map[string]any{"httpStatus": marker, "percentage": map[string]any{"value": 100}}})
	}
	switch p.at.path[1].key {
	case "gateways":
		p.set(p.at, append(p.at.texts(), "mesh"))
	case "exportTo":
		t.from = p.edge.from
		p.set(p.at, append(p.at.texts(), p.edge.from.ns))
	default:
		p.set(p.at, s.host)
	}
	t.measures = []measure{shareOf("", "of the calls take a route of "+rule.Ref(), func(q record.Request) bool { return q.Status == marker })}
	t.goal = more(0, "the share")
	return t, nil
}

// proveLostHeader: the last hop refuses requests with the header.
func proveLostHeader(p *proving) (*trial, error) {
	if p.which != "" {
		return nil, errors.New("the repair is another header, which the callers have to send")
	}
	t, err := p.loadThrough(p.edge)
	if err != nil {
		return nil, err
	}
	header := p.headers(p.edge)[0]
	name := header.name
	t.streams[0].Headers = map[string]string{name: header.at.met()}
	t.rate = 10
	t.inject = inAll(p.edge.to, "status=404,header="+name+":")
	for _, r := range p.routes(p.edge) { // another Service may be the header's
		for _, d := range r.to {
			s := p.serviceOf(d.host)
			if s != nil && s != p.edge.to && !slices.ContainsFunc(t.inject, func(in experiment.Injection) bool { return in.Service == s.name }) {
				t.inject = append(t.inject, inAll(s, "status=404,header="+name+":")...)
			}
		}
	}
	t.measures = []measure{shareOf("", fmt.Sprintf("of the requests with %s reached %s with it", name, p.edge.name()), record.Request.Failed)}
	t.goal = more(0, "the share")
	p.setVariables(p.edge.from, "PROPAGATE_HEADERS", "true")
	return t, nil
}

// proveSmallPool: more requests are in flight than the pool has connections.
func proveSmallPool(p *proving, c *cluster, t *trial) error {
	t.goal = less(0, "the time of the slowest answer")
	t.measures = []measure{slowest, failed}
	if p.finding.Severity == Error { // below rate × latency
		if t.rate, t.fault = p.Rate, 8*time.Second; p.Rate > 200 {
			return errors.New("--rate must be at most 200, for one machine")
		}
		t.inject = inAll(c.service, "delay="+p.Latency.String())
		p.set(p.at, int(2*p.Rate*p.Latency.Seconds())+1)
		return nil
	}
	n := c.pool.at("tcp", "maxConnections").count(0)
	if n > 100 {
		return errors.New("maxConnections must be at most 100, so that one machine can hold three times as many requests")
	}
	rate, delay := inFlight(n)
	t.rate, t.fault = rate, max(6*time.Second, 2*delay)
	t.inject = inAll(c.service, "delay="+delay.String())
	p.withoutEjection(c.service)
	http := c.pool.at("http")
	p.set(http.at("http1MaxPendingRequests"), n)
	if c.pool.at("http", "http2MaxRequests").count(0) >= n {
		p.set(http.at("http2MaxRequests"), max(n-1, 1))
	}
	return nil
}

// reading returns a call that the load can let the workload of a finding make
// without a POST, and a trial that does.
func (p *proving) reading() (e *edge, t *trial, err error) {
	calls := p.edge.from.calls
	if p.which == "scope" {
		calls = []*edge{p.edge}
	}
	e, t, err = p.loadFirst(calls, func(method string) bool { return method != "POST" })
	if t == nil {
		err = cmp.Or(err, errors.New("the load would have to POST, which the library does not repeat"))
	}
	return e, t, err
}

// proveLibraryLimits: the library's own limits, each with the fault that meets it.
func proveLibraryLimits(p *proving) (*trial, error) {
	switch p.which {
	case "no call":
		return nil, errors.New("a fallback of a service that makes no call changes nothing")
	case "attempts":
		return nil, errors.New("the library gives an attempt at most half of the time that is left: all are made, the later ones shorter")
	}
	e, t, err := p.reading()
	if err != nil {
		return nil, err
	}
	w := e.from
	l := &w.library
	if l.total > 6*time.Second && p.which != "bulkhead" {
		return nil, errors.New("UPSTREAM_TIMEOUT must be 6s or less, so that the run is short")
	}
	p.withoutEjection(e.to)
	switch p.which {
	case "open time":
		p.both(w.object, variables(w, "FALLBACK", "false"))
		t.rate, t.fault, t.inject = 10, min(4*l.total, 12*time.Second), inAll(e.to, "hang")
		t.measures, t.goal = []measure{openings, slowest}, less(0, "the openings")
		p.setVariables(w, "BREAKER_OPEN_TIME", (2 * l.total).String())
	case "bulkhead":
		if p.Rate > 200 {
			return nil, errors.New("--rate must be at most 200, for one machine")
		}
		t.rate, t.fault, t.inject = p.Rate, 5*time.Second, inAll(e.to, "delay="+p.Latency.String())
		t.measures, t.goal = []measure{notGood}, fewer(0, "the share that failed or was degraded")
		p.setVariables(w, "BULKHEAD", fmt.Sprint(int(2*p.Rate*p.Latency.Seconds())+1))
	default:
		t.rate, t.fault = 20, 6*time.Second
		t.inject = []experiment.Injection{{Service: e.to.name, Replicas: experiment.Replicas{Some: 1}, Rules: "status=503"}}
		t.measures, t.goal = []measure{openings, notGood}, less(1, "the share that failed or was degraded")
		p.setVariables(w, "BREAKER_FAILURES", "0")
	}
	return t, nil
}
