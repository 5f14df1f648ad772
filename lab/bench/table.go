package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The targets, except those of a fleet.
const (
	targetGateway = 1.25 // CPU to a plain handler's
	targetProxy   = 1.0  // CPU to httputil.ReverseProxy's
	targetWhole   = 1.4  // CPU with the whole resilience chain on to a plain handler's
	targetChain   = 1.4  // CPU to plain handlers'
	targetLinear  = .95  // share of the curve's variance that a line explains
	targetReady   = 50.0 // ms
	targetBinary  = 22.0 // MB of 10^6 bytes
	targetIdle    = 25.0 // MB of 10^6 bytes
)

// Result has all measurements; parts that were not measured are empty.
type Result struct {
	cpu      []comparison
	plain    point   // plain handlers' fleet of the target
	curve    []point // the fleets of the plan
	beyond   []point // larger ones, while the target held
	programs []program
	machine  machine
}

// comparison is the CPU of a service's requests to that of others, in µs a request.
type comparison struct {
	figure       string
	target       float64 // of the ratio, at most
	ratio        spread
	ours, theirs spread
}

// compare compares round by round: other work on the machine affects both values of a round.
func compare(figure string, target float64, ours, theirs []float64) comparison {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	return comparison{figure, target, spreadOf(ratios), spreadOf(ours), spreadOf(theirs)}
}

// row is one figure; ok means that its target holds.
type row struct {
	figure, target, measured string
	ok                       bool
}

func (r *Result) rows() []row {
	var rows []row
	for _, c := range r.cpu {
		measured := fmt.Sprintf("%.2f (%.2f to %.2f): %.0f to %.0f µs", c.ratio.median, c.ratio.min, c.ratio.max, c.ours.median, c.theirs.median)
		rows = append(rows, row{c.figure, fmt.Sprintf("at most %g", c.target), measured, c.ratio.median <= c.target})
	}
	if len(r.curve) > 0 {
		rows = append(rows, r.largest(), r.linear("CPU", func(p point) float64 { return p.cores }), r.linear("memory", func(p point) float64 { return mb(p.memory) }))
	}
	if len(r.programs) > 0 {
		rows = append(rows,
			worst(r.programs, "ready after exec", "ms", targetReady, func(p program) float64 { return p.ready.median }),
			worst(r.programs, "stripped binary", "MB", targetBinary, func(p program) float64 { return mb(p.binary) }),
			worst(r.programs, "resident memory, idle", "MB", targetIdle, func(p program) float64 { return mb(p.idle) }))
	}
	return rows
}

// Missed reports whether a target is missed.
func (r *Result) Missed() bool {
	return slices.ContainsFunc(r.rows(), func(r row) bool { return !r.ok })
}

func (r *Result) points() []point { return slices.Concat(r.curve, r.beyond) }

// largest returns the largest fleet for which it and every smaller one meet the target.
func (r *Result) largest() row {
	var best point
	for _, p := range r.points() {
		if !p.holds() {
			break
		}
		best = p
	}
	measured := "none"
	if best.vehicles > 0 {
		measured = fmt.Sprintf("%d (p99 %.1f ms)", best.vehicles, ms(best.p99))
	}
	if r.plain.vehicles > 0 && best.vehicles < targetFleet {
		measured += fmt.Sprintf("; of %d, plain handlers take %.0f reports a second (p99 %s)", r.plain.vehicles, r.plain.rate, latency(r.plain.p99))
	}
	return row{"largest fleet at a report a second, p99 below 50 ms, two cores", fmt.Sprintf("%d vehicles", targetFleet), measured, best.vehicles >= targetFleet}
}

// linear fits a line through the fleets that meet the target. CPU and memory of the others do not show
// what a larger fleet needs.
func (r *Result) linear(what string, y func(point) float64) row {
	var xs, ys []float64
	for _, p := range r.points() {
		if p.holds() {
			xs, ys = append(xs, float64(p.vehicles)), append(ys, y(p))
		}
	}
	if len(xs) < 3 {
		return row{what + " against fleet size", "a line (R² at least 0.95)", "fewer than three fleets were served", false}
	}
	r2 := linearity(xs, ys)
	return row{what + " against fleet size", "a line (R² at least 0.95)", fmt.Sprintf("R² %.3f", r2), r2 >= targetLinear}
}

// worst returns the row of the service that is farthest from a target, with the range of all services.
func worst(programs []program, what, unit string, target float64, of func(program) float64) row {
	w := slices.MaxFunc(programs, func(a, b program) int { return cmp.Compare(of(a), of(b)) })
	least := slices.MinFunc(programs, func(a, b program) int { return cmp.Compare(of(a), of(b)) })
	return row{
		"each service, " + what, fmt.Sprintf("at most %g %s", target, unit),
		fmt.Sprintf("%.1f to %.1f %s (%s)", of(least), of(w), unit, w.name), of(w) <= target,
	}
}

// Markdown returns a table of the figures and whether they meet their targets, then one of the fleets.
func (r *Result) Markdown() string {
	m := r.machine
	var b strings.Builder
	fmt.Fprintf(&b, "Measured by `make bench` on %s: %s, %d cores, %s", m.date, m.cpu, m.cores, m.goVersion)
	if m.quick {
		b.WriteString(" (quick)")
	}
	b.WriteString(". Ratios are the median of alternating rounds (least to greatest).\n\n| figure | target | measured | |\n| --- | --- | --- | --- |\n")
	for _, row := range r.rows() {
		verdict := "holds"
		if !row.ok {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.figure, row.target, row.measured, verdict)
	}
	if len(r.programs) > 0 {
		b.WriteString("\n| service | ready after exec | binary | idle memory |\n| --- | --- | --- | --- |\n")
		for _, p := range r.programs {
			fmt.Fprintf(&b, "| %s | %.0f ms (%.0f to %.0f) | %.1f MB | %.1f MB |\n", p.name, p.ready.median, p.ready.min, p.ready.max, mb(p.binary), mb(p.idle))
		}
	}
	if len(r.curve) > 0 {
		b.WriteString("\n| fleet | reports/s | p99 | lost | cores: tracker, telemetry, staff | simulator | everything else on the machine | stolen by its host | memory |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
		for _, p := range r.points() {
			fmt.Fprintf(&b, "| %d | %.0f | %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.0f MB |\n", p.vehicles, p.rate, latency(p.p99), p.lost, p.cores, p.sender, p.others, p.stolen, mb(p.memory))
		}
	}
	return b.String()
}

func latency(d time.Duration) string {
	if d == math.MaxInt64 {
		return "over 60 s"
	}
	return fmt.Sprintf("%.1f ms", ms(d))
}
