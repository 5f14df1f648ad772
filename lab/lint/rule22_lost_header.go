package lint

import (
	"slices"
	"strings"
)

var lostHeader = &Rule{
	Number: 22, Name: "lost-header", Severity: Error,
	Finds:   "a header that routes depend on and a hop does not propagate",
	Reason:  "A proxy does not know which outgoing request belongs to which incoming one. A header reaches a route behind the first hop only if every service on the way copies it. The fleet's services copy x-, trace and baggage headers, unless PROPAGATE_HEADERS=false.",
	Source:  "https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/",
	check:   checkLostHeader,
	proof:   proveLostHeader,
	NoProof: "a header that the fleet's services do not propagate: the repair is another one, which the callers have to send",
}

func checkLostHeader(p *pass) {
	for _, e := range p.edges {
		w := e.from
		if !w.meshed || p.serviceRunning(w) == nil { // which gets no requests that have headers to propagate
			continue
		}
		for _, header := range p.headers(e) {
			p.about = subject{edge: e}
			switch name := strings.ToLower(header.name); {
			case !w.library.propagate:
				p.report(w.library.set("PROPAGATE_HEADERS"), "remove PROPAGATE_HEADERS: \"false\"",
					"routes to %s depend on header %s (%s), and %s does not propagate headers: no request that comes through it has one", e.name(), header.name, header.rule.Ref(), w.name)
			case w.program != "" && !isPropagated(name):
				p.about.which = "name"
				p.report(header.at, "use a header that begins with x-",
					"routes to %s depend on header %s, and %s propagates x-, trace and baggage headers only: no request that comes through it has one", e.name(), header.name, w.name)
			}
		}
	}
}

func isPropagated(header string) bool {
	return strings.HasPrefix(header, "x-") || slices.Contains([]string{"traceparent", "tracestate", "baggage", "b3"}, header)
}

// header is a header that a proxy chooses by.
type header struct {
	name string
	rule *object
	at   value
}

// headers returns the headers that the routes and the balancing of an edge
// depend on.
func (m *model) headers(e *edge) (found []header) {
	for _, r := range m.routes(e) {
		for _, match := range r.http.at("match").items() {
			for _, part := range []string{"headers", "withoutHeaders"} {
				conditions := match.at(part)
				for _, name := range conditions.keys() {
					found = append(found, header{name, r.rule, conditions.at(name)})
				}
			}
		}
	}
	for _, c := range m.clusters {
		if name := c.balancer.at("consistentHash", "httpHeaderName"); c.host == e.host && name.has() {
			found = append(found, header{name.text(), c.rule, name})
		}
	}
	return found
}
