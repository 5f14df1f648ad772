package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Markdown writes a README's tables: the outcomes, and what the arms cost.
func Markdown(w io.Writer, r Report) {
	var commands []string
	for _, f := range r.Faults {
		if c := f.command(r.Faults); !slices.Contains(commands, c) {
			commands = append(commands, c)
		}
	}
	fmt.Fprintf(w, "`%s`, %s", strings.Join(commands, "`, `"), r.Date)
	if r.Machine != "" {
		fmt.Fprintf(w, ", %s", r.Machine)
	}
	fmt.Fprint(w, ". From fault to repair; [what each figure is](lab/compare/README.md#the-figures).\n\n")
	if slices.ContainsFunc(r.Faults, func(f Fault) bool { return !f.Healthy() }) {
		r.outcomesMarkdown(w)
	}
	for _, f := range r.Faults {
		if f.Healthy() {
			f.costMarkdown(w, r.Faults)
		}
	}
	for _, f := range r.Faults {
		if len(f.Arms[0].Runs[0].Curve) > 0 {
			f.curvesMarkdown(w)
		}
	}
}

// curvesMarkdown draws each arm's first seed, a character a second.
func (f Fault) curvesMarkdown(w io.Writer) {
	highest := 0.0
	var most []string
	for _, a := range f.Arms {
		most = append(most, a.Name+" "+a.each(ratio, func(r Run) *float64 { return pointer(r.mostAttempts(f.Seconds)) }))
		for _, step := range a.Runs[0].Curve {
			highest = max(highest, step.attempts())
		}
	}
	fmt.Fprintf(w, "\n%s, second by second, from %s s before the fault: attempts that reached staff-service for one request (%c none, %c %s) and fresh answers (%c none, %c all). A bar is the fault's begin and its repair.\n\n```\n",
		f.Name, number(1-f.Arms[0].Runs[0].Curve[0].At, 1), bars[0], bars[len(bars)-1], ratio.show(highest), bars[0], bars[len(bars)-1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range f.Arms {
		curve := a.Runs[0].Curve
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Name,
			f.draw(curve, func(s CurveStep) float64 { return s.attempts() / highest }), f.draw(curve, func(s CurveStep) float64 { return s.Good }))
	}
	t.Flush()
	fmt.Fprintf(w, "```\n\nIn the worst second of the fault: %s attempts a request.\n", strings.Join(most, ", "))
}

// bars are shares from none to all.
var bars = []rune("▁▂▃▄▅▆▇█")

// draw shows a share of each step; one that is not nothing is never drawn as nothing, nor one that
// is not all as all.
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

// outcomesMarkdown writes what each arm made of each fault.
func (r Report) outcomesMarkdown(w io.Writer) {
	columns := []string{"fault", "arm", "good", "degraded", "failed", "p50", "p99", "longest gap", "contained", "good then", "recovered", "attempts gateway → staff", "failures made by", "counts of the whole run"}
	proxied := r.proxied()
	if proxied {
		columns = append(columns, "proxies' CPU", "memory")
	}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, f := range r.Faults {
		if f.Healthy() {
			continue
		}
		for _, a := range f.Arms {
			row := []string{
				f.Name, a.Name,
				a.each(percent, func(r Run) *float64 { return &r.Good }),
				a.each(percent, func(r Run) *float64 { return &r.Degraded }),
				a.each(percent, func(r Run) *float64 { return &r.Failed }),
				a.each(latency, func(r Run) *float64 { return &r.P50 }),
				a.each(latency, func(r Run) *float64 { return &r.P99 }),
				a.each(latency, func(r Run) *float64 { return &r.LongestGap }),
				a.each(latency, func(r Run) *float64 { return r.Contained }),
				a.each(percent, func(r Run) *float64 { return after(r, func(a *Aftermath) float64 { return a.Good }) }),
				a.each(latency, func(r Run) *float64 { return r.Recovered }),
				a.counts(func(r Run) *Hop { return &r.Hops[0] }),
				cmp.Or(a.failedAt(), "-"), a.agree(),
			}
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
	fmt.Fprintf(w, "\nAttempts are by the caller's count / by its proxy's, where there is one / by the receiver's. Of the whole run the last two must agree, but for what a crashed process did not live to count; %d may be under way at the ends.\n", underWay)
	if r.spread() {
		fmt.Fprintf(w, "\n%s\n", luck)
	}
}

// mostAttempts is the highest of the curve while the fault lasts.
func (r Run) mostAttempts(seconds float64) float64 {
	most := 0.0
	for _, step := range r.Curve {
		if step.At > 0 && step.At <= seconds {
			most = max(most, step.attempts())
		}
	}
	return most
}

// attempts is those that were received for one request; none where there was no load.
func (s CurveStep) attempts() float64 {
	if s.Requests == 0 {
		return 0
	}
	return s.Received / s.Requests
}

// command is what makes the runs of this fault, and of all others that had the
// same arms and seeds.
func (f Fault) command(all []Fault) string {
	var arms, names []string
	for _, a := range f.Arms {
		arms = append(arms, a.Name)
	}
	for _, other := range all {
		if slices.EqualFunc(other.Arms, f.Arms, func(a, b Arm) bool { return a.Name == b.Name }) && seeds(other) == seeds(f) {
			names = append(names, other.Name)
		}
	}
	return fmt.Sprintf("fleetman compare --arms %s --faults %s --seed %d --seeds %d",
		strings.Join(arms, ","), strings.Join(names, ","), f.Arms[0].Runs[0].Seed, len(f.Arms[0].Runs))
}
