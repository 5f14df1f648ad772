package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text writes the report for people: a range goes from the lowest to the
// highest of the seeds.
func Text(w io.Writer, r Report) {
	for _, f := range r.Faults {
		if f.Healthy() {
			fmt.Fprintf(w, "%s: no fault, for %s s; %s requests a second; seeds %s\n\n", f.Name, number(f.Seconds, 1), number(f.Rate, 1), seeds(f))
			f.cost(w)
			f.agreement(w)
			continue
		}
		fmt.Fprintf(w, "%s: %s in %s for %s s; %s requests a second; seeds %s\n\n", f.Name, f.Rules, strings.Join(f.Pods, ", "), number(f.Seconds, 1), number(f.Rate, 1), seeds(f))
		f.outcomes(w)
		f.attempts(w)
		f.agreement(w)
		f.proxies(w)
		f.origins(w)
		f.curves(w)
		f.timelines(w)
	}
	fmt.Fprintf(w, `good, degraded, failed, latencies (from intended start), positions, gap, attempts: from fault to repair.
longest gap: between two reports of one vehicle that reached the tracker; 1.5 s of it may be the vehicle's own.
contained: from the fault to the first request from which on, until the repair, no window of %v has a share of failed or slow (over %v) answers more than %v points above that before the fault.
recovered: the same from the repair to the end, of answers that are not fresh: failed, slow or degraded.
attempts a request, calls counted: by the caller / by its proxy, where there is one / by the receiver.
whole run: the last two agree when they are at most %d apart, what may be under way at the ends; where nothing fails, the first too.
`, Window, Slow, Tolerance*100, underWay)
	if r.spread() {
		fmt.Fprintln(w, luck)
	}
}

// luck explains why the seeds differ.
const luck = "A range is the seeds' lowest and highest: where nothing chooses, a new connection goes to a random replica and the one that was free last is used again, so luck decides whether and for how long a caller meets the bad replica."

// spread tells whether there are ranges.
func (r Report) spread() bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool {
		return slices.ContainsFunc(f.Arms, func(a Arm) bool { return len(a.Runs) > 1 })
	})
}

func seeds(f Fault) string {
	var all []string
	for _, run := range f.Arms[0].Runs {
		all = append(all, strconv.FormatUint(run.Seed, 10))
	}
	return strings.Join(all, ", ")
}

func (f Fault) outcomes(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "arm\tgood\tdegraded\tfailed\tp50\tp99\tp99.9\tpositions/s\tlongest gap\tcontained\tgood then\tdegraded then\trecovered")
	for _, a := range f.Arms {
		row := []string{
			a.Name,
			a.each(percent, func(r Run) *float64 { return &r.Good }),
			a.each(percent, func(r Run) *float64 { return &r.Degraded }),
			a.each(percent, func(r Run) *float64 { return &r.Failed }),
			a.each(latency, func(r Run) *float64 { return &r.P50 }),
			a.each(latency, func(r Run) *float64 { return &r.P99 }),
			a.each(latency, func(r Run) *float64 { return &r.P999 }),
			a.each(rate, func(r Run) *float64 { return &r.Positions }),
			a.each(latency, func(r Run) *float64 { return &r.LongestGap }),
			a.each(latency, func(r Run) *float64 { return r.Contained }),
			a.each(percent, func(r Run) *float64 { return after(r, func(a *Aftermath) float64 { return a.Good }) }),
			a.each(percent, func(r Run) *float64 { return after(r, func(a *Aftermath) float64 { return a.Degraded }) }),
			a.each(latency, func(r Run) *float64 { return r.Recovered }),
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	fmt.Fprintln(w)
}

func after(r Run, figure func(*Aftermath) float64) *float64 {
	if r.After == nil {
		return nil
	}
	return pointer(figure(r.After))
}

func (f Fault) attempts(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "attempts a request")
	for _, h := range hops {
		fmt.Fprint(t, "\t", h.name)
	}
	fmt.Fprintf(t, "\t%s once contained\n", hops[0].name)
	for _, a := range f.Arms {
		row := []string{a.Name}
		for i := range hops {
			row = append(row, a.counts(func(r Run) *Hop { return &r.Hops[i] }))
		}
		row = append(row, a.counts(func(r Run) *Hop {
			if r.After == nil {
				return nil
			}
			return &r.After.Hops[0]
		}))
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// counts shows a hop by the caller's count, by its proxy's when there is one,
// and by the receiver's.
func (a Arm) counts(hop func(Run) *Hop) string {
	side := func(pick func(attempts, tries, received float64) float64) string {
		return a.each(ratio, func(r Run) *float64 {
			h := hop(r)
			if h == nil || h.Requests == 0 {
				return nil
			}
			return pointer(pick(h.PerRequest()))
		})
	}
	shown := []string{side(func(attempts, _, _ float64) float64 { return attempts })}
	if a.proxied() {
		shown = append(shown, side(func(_, tries, _ float64) float64 { return tries }))
	}
	shown = append(shown, side(func(_, _, received float64) float64 { return received }))
	return strings.Join(shown, " / ")
}

func (a Arm) proxied() bool {
	return slices.ContainsFunc(a.Runs, Run.proxied)
}

func (r Run) proxied() bool { return r.Cost.Proxies.Processes > 0 }

func (r Report) proxied() bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool { return slices.ContainsFunc(f.Arms, Arm.proxied) })
}

// proxiesUse is what an arm's proxies use: CPU and memory.
func (a Arm) proxiesUse() (cpu, memory string) {
	figure := func(pick func(Use) float64) func(Run) *float64 {
		return func(r Run) *float64 {
			if !r.proxied() {
				return nil
			}
			return pointer(pick(r.Cost.Proxies))
		}
	}
	return a.each(percent, figure(func(u Use) float64 { return u.Cores })), a.each(megabytes, figure(func(u Use) float64 { return u.Memory }))
}

// proxies shows what each arm's proxies cost.
func (f Fault) proxies(w io.Writer) {
	if !slices.ContainsFunc(f.Arms, Arm.proxied) {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "all proxies\tnumber\tCPU, of one core\tmemory")
	for _, a := range f.Arms {
		if a.proxied() {
			cpu, memory := a.proxiesUse()
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", a.Name, a.Runs[0].Cost.Proxies.Processes, cpu, memory)
		}
	}
	t.Flush()
	fmt.Fprintln(w)
}

// agreement shows what callers, their proxies and receivers counted from begin
// to end.
func (f Fault) agreement(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "whole run: calls counted")
	for _, h := range hops {
		fmt.Fprint(t, "\t", h.name)
	}
	fmt.Fprintln(t, "\t")
	for _, a := range f.Arms {
		fmt.Fprint(t, a.Name)
		for i := range hops {
			var all []string
			for _, r := range a.Runs {
				h := r.Whole[i]
				text := fmt.Sprintf("%.0f / %.0f", h.Attempts, h.Received)
				if r.proxied() {
					text = fmt.Sprintf("%.0f / %.0f / %.0f", h.Attempts, h.Tries, h.Received)
				}
				all = append(all, text)
			}
			fmt.Fprint(t, "\t", strings.Join(all, ", "))
		}
		fmt.Fprintf(t, "\t%s\n", a.agree())
	}
	t.Flush()
	fmt.Fprintln(w)
}

// agree is the verdict of the runs' counts: the worst one's.
func (a Arm) agree() string {
	worst := a.Runs[0].Counts
	for _, r := range a.Runs[1:] {
		if r.Counts.Most > worst.Most {
			worst = r.Counts
		}
	}
	return worst.String()
}

// failedAt are the origins that an arm's failures have, in words.
func (a Arm) failedAt() string {
	var all []string
	for _, origin := range Origins {
		if slices.ContainsFunc(a.Runs, func(r Run) bool { return r.Origins[origin] > 0 }) {
			all = append(all, origin+" "+a.each(whole, func(r Run) *float64 { return pointer(float64(r.Origins[origin])) }))
		}
	}
	return strings.Join(all, ", ")
}

// origins shows where each arm's failed answers were made.
func (f Fault) origins(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	any := false
	fmt.Fprintln(t, "failed answers\tmade by")
	for _, a := range f.Arms {
		if at := a.failedAt(); at != "" {
			any = true
			fmt.Fprintf(t, "%s\t%s\n", a.Name, at)
		}
	}
	if any {
		t.Flush()
		fmt.Fprintln(w)
	}
}

// curves shows, second by second, the attempts that reached the receiver for
// one request of the load, and the share of good answers; of each arm its first
// seed.
func (f Fault) curves(w io.Writer) {
	if len(f.Arms[0].Runs[0].Curve) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "s from fault\t")
	for _, a := range f.Arms {
		fmt.Fprintf(t, "%s: attempts\tgood, %%\t", a.Name)
	}
	fmt.Fprintln(t)
	for i, step := range f.Arms[0].Runs[0].Curve {
		fmt.Fprintf(t, "%s\t", number(step.At, 1))
		for _, a := range f.Arms {
			if curve := a.Runs[0].Curve; i < len(curve) && curve[i].Requests > 0 {
				fmt.Fprintf(t, "%s\t%s\t", ratio.show(curve[i].attempts()), percent.show(curve[i].Good))
			} else {
				fmt.Fprint(t, "-\t-\t")
			}
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// longestTimeline bounds what the text form shows of one run.
const longestTimeline = 16

// timelines shows what was done and what breakers and proxies' outlier
// detection did, of each arm its first seed.
func (f Fault) timelines(w io.Writer) {
	for _, a := range f.Arms {
		var lines []string
		breakers := false
		for _, e := range a.Runs[0].Timeline {
			if told(e) {
				breakers = breakers || e.Who != "fleetman"
				lines = append(lines, fmt.Sprintf("%8.3f s  %s: %s", e.At, e.Who, e.What)+detail(e))
			}
		}
		if !breakers {
			continue
		}
		fmt.Fprintf(w, "%s, seed %d, from the fault:\n", a.Name, a.Runs[0].Seed)
		for i, line := range lines {
			if i == longestTimeline {
				fmt.Fprintf(w, "%d more in the JSON form\n", len(lines)-i)
				break
			}
			fmt.Fprintln(w, line)
		}
		fmt.Fprintln(w)
	}
}

func detail(e Event) string {
	if e.Detail == "" {
		return ""
	}
	return ", " + e.Detail
}

// unit is how a figure is written.
type unit struct {
	name string
	show func(float64) string
}

var (
	percent = unit{" %", func(v float64) string { return number(v*100, 1) }}
	latency = unit{" s", func(v float64) string { return number(v, 3) }}
	rate    = unit{"", func(v float64) string { return number(v, 2) }}
	ratio   = unit{"", func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }}
	whole   = unit{"", func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }}

	milliseconds = unit{" ms", func(v float64) string { return strconv.FormatFloat(math.Round(v*1e5)/100+0, 'f', 2, 64) }}
	ofCores      = unit{" cores", func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }}
	megabytes    = unit{" MB", func(v float64) string { return strconv.FormatFloat(v/1e6, 'f', 0, 64) }}
)

// each shows a figure of all runs: one value, or lowest..highest; "never" for a
// run without it.
func (a Arm) each(u unit, figure func(Run) *float64) string {
	low, high, missing := math.Inf(1), math.Inf(-1), 0
	for _, r := range a.Runs {
		if v := figure(r); v != nil {
			low, high = min(low, *v), max(high, *v)
		} else {
			missing++
		}
	}
	switch from, to := u.show(low), u.show(high); {
	case missing == len(a.Runs):
		return "-"
	case missing > 0 && from == to:
		return from + u.name + " or -"
	case missing > 0:
		return from + ".." + to + u.name + " or -"
	case from == to:
		return from + u.name
	default:
		return from + ".." + to + u.name
	}
}

// number has at most some decimals, and no zeros at its end. It rounds a share
// of failures to what is not less than it was told: 99.96 % is not 100 %.
func number(v float64, decimals int) string {
	if scale := math.Pow10(decimals); v < 100 && v > 99 {
		v = math.Floor(v*scale+1e-6) / scale
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
