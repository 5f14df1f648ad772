package lint

import (
	"slices"
	"strconv"
	"strings"
)

var retriesTwice = &Rule{
	Number: 7, Name: "retries-twice", Severity: Error,
	Finds:  "retries twice on one hop, in the library and in the mesh; retries on several hops of a path, whose product is the number of calls for one",
	Reason: "Tries multiply. A callee in trouble gets many times its load at the very time when it can do least.",
	Source: "https://sre.google/sre-book/addressing-cascading-failures/#xref_cascading-failure_retries",
	check:  checkRetriesTwice,
	proof:  proveRetriesTwice,
}

func checkRetriesTwice(p *pass) {
	for _, e := range p.edges {
		p.about = subject{edge: e}
		l := &e.from.library
		mesh := p.mostTries(e)
		if mesh > 1 && l.tries > 1 {
			p.report(l.set("RETRY_ATTEMPTS"), "leave the retries to one of them: RETRY_ATTEMPTS: 1, or attempts: 0 on the route",
				"%s tries %s %d times, and its proxy makes %d tries of each: %d × %d = %d calls for one",
				e.from.name, e.name(), l.tries, mesh, l.tries, mesh, l.tries*mesh)
		}
		if p.tries(e) > 1 && !p.isRetried(e.from) {
			p.reportPath(e)
		}
	}
}

// mostTries is the largest number of tries that a route of an edge makes.
func (m *model) mostTries(e *edge) int {
	most := 1
	for _, r := range m.routes(e) {
		most = max(most, r.tries())
	}
	return most
}

// isRetried reports whether a caller of a workload retries its calls: a path
// then begins there.
func (m *model) isRetried(w *workload) bool {
	return slices.ContainsFunc(m.edges, func(e *edge) bool { return e.to != nil && e.to.runs(w) && m.tries(e) > 1 })
}

// reportPath reports the path with the largest product that begins with an edge.
func (p *pass) reportPath(first *edge) {
	path, product := p.worst(first, map[*workload]tail{first.from: {product: 1}})
	var names, factors []string
	hops := 0
	for _, e := range path {
		names = append(names, e.name())
		if n := p.tries(e); n > 1 {
			factors = append(factors, strconv.Itoa(n))
			hops++
		}
	}
	if hops < 2 {
		return
	}
	p.reportAs(Warning, p.retrying(first), "retry on one hop of the path, the last one",
		"%s → %s: %s = %d calls for one", first.from.name, strings.Join(names, " → "), strings.Join(factors, " × "), product)
}

// tail is how a path goes on behind a workload, with the most calls for one.
type tail struct {
	path    []*edge
	product int
}

// worst returns the path with the most calls for one that begins with an edge.
// tails are those of the workloads that were looked at; a path does not lead
// through one that is being looked at, as on a circle.
func (m *model) worst(e *edge, tails map[*workload]tail) (path []*edge, product int) {
	best := tail{product: 1}
	if e.to != nil {
		for _, w := range e.to.workloads {
			if behind := m.tailOf(w, tails); behind.product > best.product {
				best = behind
			}
		}
	}
	return append([]*edge{e}, best.path...), min(m.tries(e)*best.product, maxCount)
}

func (m *model) tailOf(w *workload, tails map[*workload]tail) tail {
	if known, ok := tails[w]; ok {
		return known
	}
	best := tail{product: 1}
	tails[w] = best
	for _, next := range w.calls {
		if path, product := m.worst(next, tails); product > best.product {
			best = tail{path, product}
		}
	}
	tails[w] = best
	return best
}

// retrying is the setting that makes an edge's tries.
func (m *model) retrying(e *edge) value {
	if e.from.library.tries > 1 {
		return e.from.library.set("RETRY_ATTEMPTS")
	}
	return m.read(e).http.at("retries")
}
