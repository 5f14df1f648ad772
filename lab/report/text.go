package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"fleetman.example/lab/record"
)

// Text writes the report for a terminal: a range goes from the lowest to the
// highest of the seeds.
func Text(w io.Writer, r Report) {
	for _, g := range r.Groups {
		if len(r.Groups) > 1 {
			fmt.Fprintf(w, "%s\n\n", g.heading(""))
		}
		for _, f := range g.Faults {
			f.text(w)
		}
	}
	fmt.Fprintf(w, `good, degraded, failed, latencies (from intended start), positions, gap, attempts: from fault to repair.
last known, oldest: degraded answers that are the last known one, of all requests, and the highest age; the other degraded ones are placeholders.
longest gap: between two reports of one vehicle that reached the tracker; 1.5 s of it may be the vehicle's own.
contained: from the fault to the first request from which on, until the repair, no window of %v has a share of SLO violations (failed, or over %v) more than %v points above that before the fault.
recovered: the same from the repair to the end, with degraded answers as violations.
attempts per request, calls counted: by the caller / by its proxy, where there is one / by the upstream.
whole run: the last two agree when they differ by at most %d, what may be in flight at the ends; where nothing fails, the first too.
`, Window, Slow, Tolerance*100, inFlight)
	if r.spread() {
		fmt.Fprintln(w, variance)
	}
}

// text writes one fault's tables, its notes first.
func (f Fault) text(w io.Writer) {
	for _, note := range f.Notes {
		fmt.Fprintf(w, "%s: %s\n", f.Name, note)
	}
	if f.Healthy() {
		fmt.Fprintf(w, "%s: no fault, for %s s; %s requests per second; seeds %s\n\n", f.Name, number(f.Seconds, 1), number(f.Rate, 1), seeds(f))
		f.cost(w)
		f.agreement(w)
		return
	}
	fmt.Fprintf(w, "%s: %s in %s for %s s; %s requests per second; seeds %s\n\n", f.Name, f.Rules, f.where(), number(f.Seconds, 1), number(f.Rate, 1), seeds(f))
	f.outcomes(w)
	f.routes(w)
	f.attempts(w)
	f.agreement(w)
	f.proxies(w)
	f.origins(w)
	f.curves(w)
	f.timelines(w)
}

// heading describes the comparisons of a group; quote stands around commands.
func (g Group) heading(quote string) string {
	c := g.Conditions
	text := quote + strings.Join(g.Commands, quote+", "+quote) + quote + ", " + g.Date
	for _, part := range []string{c.Machine, c.Versions["fleetman"]} {
		if part != "" {
			text += ", " + part
		}
	}
	return text
}

// variance is the reason why seeds differ.
const variance = "A range is the seeds' lowest and highest: where nothing balances, a new connection goes to a random replica and the connection that was free last is used again, so how often a caller meets the bad replica is chance."

// spread reports whether there are ranges.
func (r Report) spread() bool {
	return r.any(func(a Arm) bool { return len(a.Runs) > 1 })
}

// any reports whether is holds for some arm.
func (r Report) any(is func(Arm) bool) bool {
	return slices.ContainsFunc(r.Groups, func(g Group) bool { return g.any(is) })
}

func (g Group) any(is func(Arm) bool) bool {
	return slices.ContainsFunc(g.Faults, func(f Fault) bool { return slices.ContainsFunc(f.Arms, is) })
}

func seeds(f Fault) string {
	var all []uint64
	for _, run := range f.Arms[0].Runs {
		all = append(all, run.Seed)
	}
	return numbers(all)
}

// where names the pods that had the fault in some run.
func (f Fault) where() string {
	var all []string
	for _, a := range f.Arms {
		for _, r := range a.Runs {
			all = append(all, r.pods...)
		}
	}
	slices.Sort(all)
	between := ", "
	if f.partial() {
		between = " or "
	}
	return strings.Join(slices.Compact(all), between)
}

func (f Fault) outcomes(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "arm\tgood\tdegraded\tlast known\toldest\tfailed\tp50\tp99\tp99.9\tpositions/s\tlongest gap\tcontained\tgood then\tdegraded then\trecovered")
	for _, a := range f.Arms {
		row := []string{
			a.Name,
			a.each(percent, func(r Run) *float64 { return &r.Good }),
			a.each(percent, func(r Run) *float64 { return &r.Degraded }),
			a.lastKnown(), a.oldest(),
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

// routes writes the outcomes of each route, if the load has several.
func (f Fault) routes(w io.Writer) {
	if len(f.Arms[0].Runs[0].Routes) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "route\tarm\tgood\tdegraded\tfailed")
	for _, route := range f.Arms[0].Runs[0].Routes {
		for _, a := range f.Arms {
			share := func(of func(Route) float64) string {
				return a.each(percent, func(r Run) *float64 {
					for _, mine := range r.Routes {
						if mine.Name == route.Name {
							return pointer(of(mine))
						}
					}
					return nil
				})
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", route.Name, a.Name, share(func(r Route) float64 { return r.Good }),
				share(func(r Route) float64 { return r.Degraded }), share(func(r Route) float64 { return r.Failed }))
		}
	}
	t.Flush()
	fmt.Fprintln(w)
}

// lastKnown and oldest describe the degraded answers, if there are any.
func (a Arm) lastKnown() string {
	return a.each(percent, func(r Run) *float64 { return unless(r.Degraded == 0, r.LastKnown.Share) })
}

func (a Arm) oldest() string {
	return a.each(age, func(r Run) *float64 { return unless(r.LastKnown.Share == 0, r.LastKnown.Max) })
}

func unless(absent bool, v float64) *float64 {
	if absent {
		return nil
	}
	return &v
}

func after(r Run, figure func(*Aftermath) float64) *float64 {
	if r.After == nil {
		return nil
	}
	return pointer(figure(r.After))
}

func (f Fault) attempts(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "attempts per request")
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

// counts formats a hop by the caller's count, by its proxy's when there is one,
// and by the upstream's.
func (a Arm) counts(hop func(Run) *Hop) string {
	side := func(pick func(attempts, proxyAttempts, received float64) float64) string {
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
		shown = append(shown, side(func(_, proxyAttempts, _ float64) float64 { return proxyAttempts }))
	}
	shown = append(shown, side(func(_, _, received float64) float64 { return received }))
	return strings.Join(shown, " / ")
}

func (a Arm) proxied() bool {
	return slices.ContainsFunc(a.Runs, Run.proxied)
}

func (r Run) proxied() bool { return r.Cost.Proxies.Processes > 0 }

// proxiesUse formats what an arm's proxies use.
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

// proxies writes what each arm's proxies use.
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

// agreement writes what callers, their proxies and upstreams counted from begin
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
					text = fmt.Sprintf("%.0f / %.0f / %.0f", h.Attempts, h.ProxyAttempts, h.Received)
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

// agree is the result of the run whose counts differ most.
func (a Arm) agree() string {
	worst := a.Runs[0].Counts
	for _, r := range a.Runs[1:] {
		if r.Counts.Most > worst.Most {
			worst = r.Counts
		}
	}
	return worst.String()
}

// origins formats the origins of an arm's failed answers.
func (a Arm) origins() string {
	var all []string
	for _, origin := range Origins {
		if slices.ContainsFunc(a.Runs, func(r Run) bool { return r.Origins[origin] > 0 }) {
			all = append(all, origin+" "+a.each(whole, func(r Run) *float64 { return pointer(float64(r.Origins[origin])) }))
		}
	}
	return strings.Join(all, ", ")
}

// origins writes the origins of each arm's failed answers.
func (f Fault) origins(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	any := false
	fmt.Fprintln(t, "failed answers\torigin")
	for _, a := range f.Arms {
		if at := a.origins(); at != "" {
			any = true
			fmt.Fprintf(t, "%s\t%s\n", a.Name, at)
		}
	}
	if any {
		t.Flush()
		fmt.Fprintln(w)
	}
}

// curves writes, second by second, the attempts that the upstream received for
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

// longestTimeline is the most events of one run in the text form.
const longestTimeline = 16

// timelines writes the changes of faults, breakers and ejections, of each arm its
// first seed.
func (f Fault) timelines(w io.Writer) {
	for _, a := range f.Arms {
		var lines []string
		breakers := false
		for _, e := range a.Runs[0].Timeline {
			if inText(e) {
				breakers = breakers || e.Who != record.Launcher
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
