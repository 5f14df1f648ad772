package lint

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"fleetman.example/lab/experiment"
)

// routed returns the route of a finding, its Service, and a trial of its own.
func (p *proving) routed() (*route, *service, *trial, error) {
	r := p.route()
	if r == nil || len(r.to) == 0 {
		return nil, nil, nil, errors.New("the route must have a destination")
	}
	s := p.serviceOf(r.to[0].host)
	t, err := p.loadOn(s, r)
	return r, s, t, err
}

// longestWait is the longest time-out that an experiment waits for.
const longestWait = 2 * time.Second

// proveTriesDoNotFit: no host answers, so that all tries are made for which there
// is time.
func proveTriesDoNotFit(p *proving, r *route, s *service, t *trial) error {
	own, timeout := r.retries(), r.timeout()
	if p.finding.Severity == Warning {
		return errors.New("the last try is cut only when the waits before it, which are random, are long")
	}
	if own.n == 0 {
		if own.perTry > 3*time.Second {
			return errors.New("perTryTimeout must be 3s or less, so that the run is short")
		}
		t.rate, t.fault = 2, 3*time.Second
		t.inject = inAll(s, "delay="+(2*own.perTry).String())
		t.measures, t.goal = []measure{slowest, failed}, less(0, "the time of the slowest answer")
		p.set(r.http.at("timeout"), own.perTry.String())
		return nil
	}
	p.withoutEjection(s)
	perTry := own.perTry
	if by := int64(math.Ceil(timeout.Seconds() / longestWait.Seconds())); by > 1 {
		t.note = fmt.Sprintf("timeout %s and perTryTimeout %s are divided by %d", short(timeout), short(perTry), by)
		timeout, perTry = timeout/time.Duration(by), perTry/time.Duration(by)
		p.setBoth(r.http.at("timeout"), timeout.String())
		p.setBoth(r.http.at("retries", "perTryTimeout"), perTry.String())
	}
	t.rate = 1 / (1.5 * timeout.Seconds())
	t.fault = 4 * time.Duration(float64(time.Second)/t.rate)
	t.inject = inAll(s, "hang")
	t.measures, t.goal = []measure{calls(s)}, more(0, "the tries")
	p.set(r.http.at("retries", "perTryTimeout"), fit(timeout, own).String())
	return nil
}

// proveGivesUpFirst: no host of the callee answers; or, where the callee's retries
// would help, half of the next hop's answers are missing.
func proveGivesUpFirst(p *proving) (*trial, error) {
	e := p.edge
	l, r := &e.from.library, p.read(e)
	switch {
	case p.finding.Severity == Warning:
		return nil, errors.New("a time-out that never acts changes nothing: a run without it is the same")
	case p.behind != nil:
		return proveCalleeRetries(p)
	case r.total() > 6*time.Second:
		return nil, errors.New("the time-outs must be 6s or less, so that the run is short")
	}
	t, err := p.loadThrough(e)
	if err != nil {
		return nil, err
	}
	p.bare(e.from)
	p.withoutEjection(e.to)
	t.fault = 3 * time.Second
	t.inject = inAll(e.to, "hang")
	t.measures, t.goal = []measure{flagged("UT"), flagged("DC"), calls(e.to)}, more(0, "the requests that the mesh ends (UT)")
	longer := above(r.total())
	if l.attempt == 0 {
		p.setVariables(e.from, "UPSTREAM_TIMEOUT", longer.String())
		return t, nil
	}
	p.setVariables(e.from, "ATTEMPT_TIMEOUT", longer.String(), "UPSTREAM_TIMEOUT", max(l.total, 2*longer).String())
	return t, nil
}

func proveCalleeRetries(p *proving) (*trial, error) {
	next, e := p.behind, p.edge
	if next.to == nil {
		return nil, errors.New("the Service must be in the manifests")
	}
	program, err := next.to.program()
	if err != nil {
		return nil, err
	}
	t, err := p.loadThrough(e, program)
	if err != nil {
		return nil, err
	}
	needs, _ := p.wait(next)
	if needs > 6*time.Second {
		return nil, errors.New("the time-outs must be 6s or less, so that the run is short")
	}
	p.bare(e.from)
	p.bare(next.from)
	p.withoutEjection(next.to)
	t.needs = append(t.needs, next.to.workloads...)
	t.rate, t.fault = 5, 6*time.Second
	t.inject = inAll(next.to, "hang,rate=0.5")
	t.measures, t.goal = []measure{failed, calls(next.to)}, less(0, "the share that failed")
	longer := needs + 500*time.Millisecond
	p.setVariables(e.from, "ATTEMPT_TIMEOUT", longer.String(), "UPSTREAM_TIMEOUT", (2 * longer).String())
	return t, nil
}

// proveRetriesTwice: every host of the callee answers 503.
func proveRetriesTwice(p *proving) (*trial, error) {
	e, last := p.edge, p.edge
	var behind []string
	if p.finding.Severity == Warning {
		path, _ := p.worst(e, map[*workload]tail{e.from: {product: 1}})
		for _, next := range path[1:] {
			program, err := next.to.program()
			if err != nil {
				return nil, err
			}
			behind, last = append(behind, program), next
		}
	}
	t, err := p.loadThrough(e, behind...)
	if err != nil {
		return nil, err
	}
	t.needs = append(t.needs, last.to.workloads...)
	for _, w := range t.needs {
		if len(w.calls) > 0 {
			p.bare(w)
		}
	}
	p.withoutEjection(last.to)
	t.inject = inAll(last.to, "status=503")
	t.measures, t.goal = []measure{calls(last.to), slowest}, fewer(0, "the calls for one request")
	if e.from.library.tries > 1 {
		p.setVariables(e.from, "RETRY_ATTEMPTS", "1")
		return t, nil
	}
	r := p.read(e)
	p.set(r.http.at("retries"), map[string]any{"attempts": 0})
	return t, nil
}

// proveUnsafeRetry: a POST fails, and is repeated.
func proveUnsafeRetry(p *proving) (*trial, error) {
	if p.edge != nil {
		return proveUnsafeLibrary(p)
	}
	if p.at.object.Kind != "VirtualService" {
		return nil, errors.New("the fleet's programs do not speak gRPC")
	}
	r, s, t, err := p.routed()
	if err != nil {
		return nil, err
	}
	program, _ := s.program()
	post, known := writes[program]
	rules := failing(r.retries())
	switch {
	case !known:
		return nil, fmt.Errorf("%s accepts no POST", program)
	case rules == "":
		return nil, errors.New("no fault of a program makes what it repeats on")
	}
	post.Name = "write"
	t.streams, t.rate = []experiment.Stream{post}, 2
	p.withoutEjection(s)
	t.fault = 4 * time.Second
	t.inject = inAll(s, rules+",method=POST")
	t.measures, t.goal = []measure{calls(s)}, fewer(0, "the executions of one POST")
	p.repair(r.rule, func(fields map[string]any) { readsOnly(fields, r) })
	return t, nil
}

// failing returns rules with which an answer is one that is repeated; "" if there
// are none.
func failing(own retries) string {
	for _, word := range own.on {
		code, isCode := status(word)
		switch {
		case isCode && code >= 400:
			return "status=" + word
		case word == "5xx" || word == "gateway-error":
			return "status=503"
		case word == "retriable-4xx":
			return "status=409"
		case word == "reset" && own.perTry > 0:
			return "hang"
		}
	}
	return ""
}

// readsOnly lets a route match GET, and adds one without retries behind it.
func readsOnly(fields map[string]any, r *route) {
	routes, i := r.http.path[:2], r.http.path[2].index
	list, _ := get(fields, routes).([]any)
	others := runtime.DeepCopyJSON(list[i].(map[string]any))
	others["retries"] = map[string]any{"attempts": 0}
	delete(others, "name")
	own := list[i].(map[string]any)
	matches, _ := own["match"].([]any)
	if len(matches) == 0 {
		matches = []any{map[string]any{}}
	}
	for _, match := range matches {
		match.(map[string]any)["method"] = map[string]any{"exact": "GET"}
	}
	own["match"] = matches
	put(fields, slices.Insert(list, i+1, any(others)), routes)
}

// proveUnsafeLibrary: a POST of the library's fails.
func proveUnsafeLibrary(p *proving) (*trial, error) {
	e, t, _ := p.loadFirst(p.edge.from.calls, func(method string) bool { return method == "POST" })
	if t == nil {
		return nil, fmt.Errorf("%s: no request of the fleet's programs that the load could send makes it POST", p.edge.from.name)
	}
	p.bare(e.from)
	p.withoutEjection(e.to)
	t.inject = inAll(e.to, "status=503,method=POST")
	t.measures, t.goal = []measure{calls(e.to)}, fewer(0, "the executions of one POST")
	p.setVariables(e.from, "RETRY_UNSAFE", "false")
	return t, nil
}

// proveNoBudget: every host answers 503, late enough for retries to be in flight
// together.
func proveNoBudget(p *proving) (*trial, error) {
	if p.edge != nil {
		return proveLibraryBudget(p)
	}
	r, c, err := p.budgeted()
	if err != nil {
		return nil, err
	}
	s := p.serviceOf(r.to[0].host)
	t, err := p.loadOn(s, r)
	if err != nil {
		return nil, err
	}
	delay := 300 * time.Millisecond
	if own := r.retries(); own.perTry > 0 {
		delay = min(delay, own.perTry/2)
	}
	p.withoutEjection(s)
	t.rate = 40
	t.inject = inAll(s, "delay="+delay.String()+";status=503")
	t.measures, t.goal = []measure{calls(s)}, less(0, "the calls for one request")
	p.repairBudget(r, c)
	return t, nil
}

// budgeted returns the route whose retries a finding is about, and the cluster of
// its budget; nil when there is none.
func (p *proving) budgeted() (*route, *cluster, error) {
	if r := p.route(); r != nil {
		return r, p.clusterOf(r.to[0]), nil
	}
	c, _ := p.cluster()
	switch last := p.at.path[len(p.at.path)-1].key; {
	case c == nil:
		return nil, nil, errors.New("the Service must be in the manifests")
	case last == "maxRetries":
		return nil, nil, errors.New("maxRetries beside a budget changes nothing: a run without it is the same")
	case last == "trafficPolicy":
		return nil, nil, errors.New("the pinned version has the fix: the subset has the rule's budget")
	}
	for _, r := range p.allRoutes {
		if own := r.retries(); slices.Contains(r.hosts, c.host) && !r.hasFault() && own.n > 0 && own.repeatsAnswers() != "" {
			return r, c, nil
		}
	}
	return nil, nil, errors.New("no route repeats answers: without retries a budget shows nothing")
}

// repairBudget gives a cluster a budget that bounds.
func (p *proving) repairBudget(r *route, c *cluster) {
	budget := map[string]any{"percent": 20, "minRetryConcurrency": 1}
	switch {
	case c == nil:
		o := &object{Object: r.rule.Object}
		o.Kind, o.Name = "DestinationRule", "fleetman-lint-budget"
		o.fields = map[string]any{
			"apiVersion": "networking.istio.io/v1", "kind": o.Kind, "metadata": map[string]any{"name": o.Name, "namespace": o.Namespace},
			"spec": map[string]any{"host": r.to[0].host, "trafficPolicy": map[string]any{}},
		}
		p.set(o.at("spec", "trafficPolicy", "retryBudget"), budget)
	case p.at.path[len(p.at.path)-1].index >= 0: // a port's settings
		p.repair(c.rule, func(fields map[string]any) {
			traffic, _ := get(fields, c.rule.at("spec", "trafficPolicy").path).(map[string]any)
			port, _ := get(fields, p.at.path).(map[string]any)
			for _, block := range blocks {
				if port[block] != nil {
					traffic[block] = port[block]
				}
			}
			delete(traffic, "portLevelSettings")
		})
	default:
		p.set(c.budget.or(c.rule.at("spec", "trafficPolicy", "retryBudget")), budget)
	}
}

// proveLibraryBudget: every host of a callee answers 503.
func proveLibraryBudget(p *proving) (*trial, error) {
	e, t, err := p.loadFirst(p.edge.from.calls, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	p.both(e.from.object, variables(e.from, "FALLBACK", "false", "BREAKER_FAILURES", "0"))
	p.withoutEjection(e.to)
	t.rate = 20
	t.inject = inAll(e.to, "status=503")
	t.measures, t.goal = []measure{calls(e.to)}, less(0, "the calls for one request")
	p.setVariables(e.from, "RETRY_BUDGET_PERCENT", "20")
	return t, nil
}

// proveRetryWords: one host fails as none of the words says.
func proveRetryWords(p *proving, r *route, s *service, t *trial) error {
	if s.hosts(nil) == 1 {
		return errors.New("one host: a retry meets the same fault")
	}
	own := r.retries()
	words := strings.Join(own.on, ",")
	has := func(word string) bool { return slices.Contains(own.on, word) }
	var rules, instead string
	switch hangs := own.perTry > 0 && own.perTry <= 3*time.Second; {
	case has("503") && hangs:
		rules, instead = "hang", "reset,connect-failure,"+words
	case has("503"):
		rules, instead = "connect=refuse", "reset,connect-failure,"+words
	case has("500"):
		rules, instead = "status=502", "5xx"
	case hangs:
		rules, instead = "hang", "reset,"+words
	case has("retriable-status-codes") && own.value.at("retryOn").has():
		rules, instead = "status=503", words+",503"
	default:
		return errors.New("perTryTimeout must be 3s or less, so that the run is short")
	}
	p.withoutEjection(s)
	t.inject = []experiment.Injection{{Service: s.name, Replicas: experiment.Replicas{Some: 1}, Rules: rules}}
	if t.rate = 10; rules == "hang" {
		t.rate, t.fault = 2, 10*time.Second
	}
	t.measures, t.goal = []measure{failed}, fewer(0, "the share that failed")
	p.withoutBudget(s)
	p.set(r.http.at("retries", "retryOn"), instead)
	return nil
}
