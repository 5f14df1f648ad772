package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"fleetman.example/lab/record"
)

// sheet is one table as both text and Markdown show it.
type sheet struct {
	before string // a line
	Heads  []string
	Rows   [][]string
}

func (s sheet) text(w io.Writer) {
	if s.before != "" {
		fmt.Fprintf(w, "%s\n", s.before)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range slices.Concat([][]string{s.Heads}, s.Rows) {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	fmt.Fprintln(w)
}

func (s sheet) markdown(w io.Writer) {
	if s.before != "" {
		fmt.Fprintf(w, "%s\n\n", s.before)
	}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(s.Heads, " | "), strings.Repeat(" --- |", len(s.Heads)))
	for _, row := range s.Rows {
		for i := range row {
			row[i] = strings.NewReplacer("|", `\|`, "\n", " ").Replace(row[i])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}

// Text writes all tables for a terminal.
func Text(w io.Writer, r Report) { r.write(w, sheet.text, true) }

// Markdown writes all tables for a file.
func Markdown(w io.Writer, r Report) { r.write(w, sheet.markdown, false) }

// write writes the notes, the findings, and the tables of every fault.
func (r Report) write(w io.Writer, write func(sheet, io.Writer), plain bool) {
	quote, fence, note, item := "`", "```\n", "> ", "- "
	if plain {
		quote, fence, note, item = "", "", "", ""
	}
	for _, g := range r.Groups {
		fmt.Fprintf(w, "%s\n\n", g.heading(quote))
		for _, f := range g.Faults {
			for _, text := range f.Notes {
				fmt.Fprintf(w, "%s%s: %s\n\n", note, f.Name, text)
			}
		}
		for _, f := range g.Faults {
			for _, s := range f.sheets() {
				write(s, w)
			}
			f.curves(w, fence)
			if plain {
				f.timelines(w)
			}
		}
		for _, s := range g.Sweeps {
			write(s.sheet(), w)
		}
	}
	for _, v := range r.Findings {
		fmt.Fprintf(w, "%s%s\n", item, v.Sentence)
	}
	for _, v := range r.Goals {
		fmt.Fprintf(w, "%s%s\n", item, v.Line())
	}
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

// sheets are the fault's tables.
func (f Fault) sheets() []sheet {
	seeds := f.seeds()
	what, shown := fmt.Sprintf("%s in %s", f.Rules, f.where()), outcomes
	if f.Healthy() {
		what, shown = "no fault", costs
	}
	all := []sheet{f.figures(shown)}
	all[0].before = fmt.Sprintf("%s: %s for %s; %s; seeds %s", f.Name, what, seconds3.text(f.Seconds), f.Pace(), numbers(seeds))
	if n := len(f.Arms[0].Runs); n > len(seeds) {
		all[0].before += fmt.Sprintf("; %d runs of each arm", n)
	}
	if f.Hop != "" && !f.Healthy() {
		all[0].before += "; attempts of " + f.Hop
	}
	for _, s := range []sheet{f.routes(), f.hops("attempts per request", func(r *Run) []Hop { return r.Hops }, Hop.perRequest), f.hops("calls of the whole run", func(r *Run) []Hop { return r.Whole }, Hop.String)} {
		if len(s.Rows) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// where names the pods that had the fault in some run.
func (f Fault) where() string {
	if f.partial() {
		return strings.Join(f.Pods, " or ")
	}
	return strings.Join(f.Pods, ", ")
}

// figures is the table of the columns; those that no arm has are left out.
func (f Fault) figures(shown table) (s sheet) {
	s.Heads = []string{"arm"}
	s.Rows = make([][]string, len(f.Arms))
	for i, a := range f.Arms {
		s.Rows[i] = []string{a.Name}
	}
	add := func(head string, field func(Arm) string) {
		var fields []string
		for _, a := range f.Arms {
			fields = append(fields, field(a))
		}
		if !slices.ContainsFunc(fields, func(text string) bool { return text != "-" }) {
			return
		}
		s.Heads = append(s.Heads, head)
		for i := range s.Rows {
			s.Rows[i] = append(s.Rows[i], fields[i])
		}
	}
	for _, c := range Columns {
		if !slices.Contains(c.in, shown) {
			continue
		}
		if !c.hidden {
			add(c.Head, func(a Arm) string { return a.Figures[c.Name].Text(c.Unit) })
		}
		if c.added && shown == costs {
			add(c.Head+" over "+f.Baseline, func(a Arm) string { return a.Over[c.Name].Text(c.Unit) })
		}
	}
	add("origin of failures", Arm.origins)
	add("counts", Arm.agree)
	return s
}

// routes has the outcomes of each route, if the load has several.
func (f Fault) routes() (s sheet) {
	s.Heads = []string{"route", "arm", "good", "degraded", "failed"}
	var names []string
	for _, request := range f.Arms[0].Runs[0].during {
		names = append(names, request.Route)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 2 {
		return s
	}
	for _, route := range names {
		some := func(r *Run) []record.Request {
			return slices.DeleteFunc(slices.Clone(r.during), func(request record.Request) bool { return request.Route != route })
		}
		for _, a := range f.Arms {
			row := []string{route, a.Name}
			for _, is := range []func(record.Request) bool{record.Request.Good, isDegraded, record.Request.Failed} {
				row = append(row, Column{Unit: percent, share: ofRequests(some, is)}.figure(a.Runs, .95).Text(percent))
			}
			s.Rows = append(s.Rows, row)
		}
	}
	return s
}

// hops has what callers, their proxies and upstreams counted, of all runs.
func (f Fault) hops(title string, of func(*Run) []Hop, field func(Hop) string) (s sheet) {
	s.Heads = []string{title}
	for _, h := range of(&f.Arms[0].Runs[0]) {
		s.Heads = append(s.Heads, h.Name)
	}
	if len(s.Heads) == 1 {
		return s
	}
	for _, a := range f.Arms {
		row := []string{a.Name}
		for _, name := range s.Heads[1:] {
			row = append(row, field(sumHops(a.Runs, name, of)))
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// agree is the result of the run whose counts differ most.
func (a Arm) agree() string {
	worst := slices.MaxFunc(a.Runs, func(a, b Run) int { return cmp.Compare(a.Counts.Most, b.Counts.Most) })
	return worst.Counts.String()
}

// origins formats the origins of an arm's failed answers.
func (a Arm) origins() string {
	var all []string
	for _, origin := range Origins {
		sum := 0
		for _, r := range a.Runs {
			sum += r.Origins[origin]
		}
		if sum > 0 {
			all = append(all, fmt.Sprintf("%s %d", origin, sum))
		}
	}
	return cmp.Or(strings.Join(all, ", "), "-")
}

// curves draws each arm's first seed, one character a second.
func (f Fault) curves(w io.Writer, fence string) {
	if !f.Arms[0].Runs[0].seen.Curve {
		return
	}
	highest := 0.0
	var most []string
	for _, a := range f.Arms {
		worst := 0.0
		for _, step := range a.Runs[0].Curve {
			highest = max(highest, step.Attempts)
			if step.At > 0 && step.At <= f.Seconds {
				worst = max(worst, step.Attempts)
			}
		}
		most = append(most, a.Name+" "+ratio.number(worst))
	}
	fmt.Fprintf(w, "%s, second by second: attempts that the upstream of %s received for one request (%c none, %c %s) and good answers (%c none, %c all). A bar is the begin of the fault and its end.\n\n%s",
		f.Name, f.Hop, bars[0], bars[len(bars)-1], ratio.number(highest), bars[0], bars[len(bars)-1], fence)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range f.Arms {
		curve := a.Runs[0].Curve
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Name, f.draw(curve, func(s Step) float64 { return s.Attempts / highest }),
			f.draw(curve, func(s Step) float64 { return float64(s.Good) / float64(max(s.Requests, 1)) }))
	}
	t.Flush()
	fmt.Fprintf(w, "%s\nIn the worst second of the fault: %s attempts per request.\n\n", fence, strings.Join(most, ", "))
}

// bars draw shares from none to all.
var bars = []rune("▁▂▃▄▅▆▇█")

// draw draws a share of each step. Only 0 is drawn as nothing, and only 1 as all.
func (f Fault) draw(curve []Step, share func(Step) float64) string {
	var drawn strings.Builder
	last := -1.0
	for _, step := range curve {
		if last <= 0 && step.At > 0 || last <= f.Seconds && step.At > f.Seconds {
			drawn.WriteRune('|')
		}
		last = step.At
		between := len(bars) - 2 // of neither nothing nor all
		switch v := share(step); {
		case !(v > 0): // NaN too
			drawn.WriteRune(bars[0])
		case v >= 1:
			drawn.WriteRune(bars[len(bars)-1])
		default:
			drawn.WriteRune(bars[1+int(v*float64(between))])
		}
	}
	return drawn.String()
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
			launcher := e.Who == record.Launcher
			if launcher || strings.HasPrefix(e.What, record.EventBreaker) || e.What == record.EventEjected || e.What == record.EventReturned {
				breakers = breakers || !launcher
				line := fmt.Sprintf("%8.3f s  %s: %s, %s", e.At, e.Who, e.What, e.Detail)
				lines = append(lines, strings.TrimSuffix(line, ", "))
			}
		}
		if !breakers {
			continue
		}
		fmt.Fprintf(w, "%s, seed %d, from the fault:\n", a.Name, a.Runs[0].Seed)
		if more := len(lines) - longestTimeline; more > 0 {
			lines = append(lines[:longestTimeline], fmt.Sprintf("%d more in the JSON form", more))
		}
		fmt.Fprintf(w, "%s\n\n", strings.Join(lines, "\n"))
	}
}
