package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Markdown writes the tables of a README, a group of conditions after the other:
// the outcomes, and what the arms cost.
func Markdown(w io.Writer, r Report) {
	for i, g := range r.Groups {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, f := range g.Faults {
			for _, note := range f.Notes {
				fmt.Fprintf(w, "> %s: %s\n\n", f.Name, note)
			}
		}
		fmt.Fprintf(w, "%s. From fault to repair; [what each figure is](lab/compare/README.md#the-figures).\n\n", g.heading("`"))
		g.markdown(w)
	}
}

func (g Group) markdown(w io.Writer) {
	outcomes := slices.ContainsFunc(g.Faults, func(f Fault) bool { return !f.Healthy() })
	if outcomes {
		g.outcomesMarkdown(w)
	}
	for _, f := range g.Faults {
		if f.Healthy() {
			if outcomes {
				fmt.Fprintln(w)
			}
			f.costMarkdown(w)
		}
	}
	for _, f := range g.Faults {
		if len(f.Arms[0].Runs[0].Curve) > 0 {
			f.curvesMarkdown(w)
		}
	}
}

// curvesMarkdown draws each arm's first seed, one character per second.
func (f Fault) curvesMarkdown(w io.Writer) {
	highest := 0.0
	var most []string
	for _, a := range f.Arms {
		most = append(most, a.Name+" "+a.each(ratio, func(r Run) *float64 { return pointer(r.mostAttempts(f.Seconds)) }))
		for _, step := range a.Runs[0].Curve {
			highest = max(highest, step.attempts())
		}
	}
	fmt.Fprintf(w, "\n%s, second by second, from %s s before the fault: attempts that reached staff-service for one request (%c none, %c %s) and good answers (%c none, %c all). A bar is the begin of the fault and its end.\n\n```\n",
		f.Name, number(1-f.Arms[0].Runs[0].Curve[0].At, 1), bars[0], bars[len(bars)-1], ratio.show(highest), bars[0], bars[len(bars)-1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range f.Arms {
		curve := a.Runs[0].Curve
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Name,
			f.draw(curve, func(s CurveStep) float64 { return s.attempts() / highest }), f.draw(curve, func(s CurveStep) float64 { return s.Good }))
	}
	t.Flush()
	fmt.Fprintf(w, "```\n\nIn the worst second of the fault: %s attempts per request.\n", strings.Join(most, ", "))
}

// bars draw shares from none to all.
var bars = []rune("▁▂▃▄▅▆▇█")

// draw draws a share of each step. Only 0 is drawn as nothing, and only 1 as all.
func (f Fault) draw(curve []CurveStep, share func(CurveStep) float64) string {
	var drawn strings.Builder
	last := -1.0
	for _, step := range curve {
		if last <= 0 && step.At > 0 || last <= f.Seconds && step.At > f.Seconds {
			drawn.WriteRune('|')
		}
		last = step.At
		between := len(bars) - 2 // of neither nothing nor all
		switch v := share(step); {
		case v <= 0:
			drawn.WriteRune(bars[0])
		case v >= 1:
			drawn.WriteRune(bars[len(bars)-1])
		default:
			drawn.WriteRune(bars[1+int(v*float64(between))])
		}
	}
	return drawn.String()
}

// outcomesMarkdown writes the outcomes of each arm with each fault.
func (g Group) outcomesMarkdown(w io.Writer) {
	columns := []string{"fault", "arm", "good", "degraded", "last known", "oldest", "failed", "p50", "p99", "longest gap", "contained", "good then", "recovered", "attempts gateway → staff", "origin of failures", "counts of the whole run"}
	proxied := g.any(Arm.proxied)
	if proxied {
		columns = append(columns, "proxies' CPU", "memory")
	}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, f := range g.Faults {
		if f.Healthy() {
			continue
		}
		for _, a := range f.Arms {
			row := f.outcomeRow(a)
			if proxied {
				cpu, memory := a.proxiesUse()
				row = append(row, cpu, memory)
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		}
	}
	if proxied {
		fmt.Fprint(w, "\n[Why library and mesh differ](lab/compare/README.md#library-and-mesh), fault by fault. *sidecars* is the mesh without a policy, *matched* the library with the mesh's numbers.\n")
	}
	fmt.Fprintf(w, "\nAttempts are by the caller's count / by its proxy's, where there is one / by the upstream's. Of the whole run the last two must agree, except for what a crashed process had not reported; %d may be in flight at the ends.\n", inFlight)
	if g.any(func(a Arm) bool { return len(a.Runs) > 1 }) {
		fmt.Fprintf(w, "\n%s\n", variance)
	}
}

// outcomeRow has the columns that do not need a proxy.
func (f Fault) outcomeRow(a Arm) []string {
	return []string{
		f.Name, a.Name,
		a.each(percent, func(r Run) *float64 { return &r.Good }),
		a.each(percent, func(r Run) *float64 { return &r.Degraded }),
		a.lastKnown(), a.oldest(),
		a.each(percent, func(r Run) *float64 { return &r.Failed }),
		a.each(latency, func(r Run) *float64 { return &r.P50 }),
		a.each(latency, func(r Run) *float64 { return &r.P99 }),
		a.each(latency, func(r Run) *float64 { return &r.LongestGap }),
		a.each(latency, func(r Run) *float64 { return r.Contained }),
		a.each(percent, func(r Run) *float64 { return after(r, func(a *Aftermath) float64 { return a.Good }) }),
		a.each(latency, func(r Run) *float64 { return r.Recovered }),
		a.counts(func(r Run) *Hop { return &r.Hops[0] }),
		cmp.Or(a.origins(), "-"), a.agree(),
	}
}

// mostAttempts is the highest value of the curve during the fault.
func (r Run) mostAttempts(seconds float64) float64 {
	most := 0.0
	for _, step := range r.Curve {
		if step.At > 0 && step.At <= seconds {
			most = max(most, step.attempts())
		}
	}
	return most
}

// attempts per request of the load; 0 without load.
func (s CurveStep) attempts() float64 {
	if s.Requests == 0 {
		return 0
	}
	return s.Received / s.Requests
}
