package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"math"
	"regexp"
	"slices"
	"strings"

	"fleetman.example/lab/record"
)

// pageSeed is the runs of a fault with one seed.
type pageSeed struct {
	Seed   uint64
	Repeat int
	Open   bool
	Runs   []pageRun
}

// pageRun is one arm's run. At is its place in the JSON: group, fault, arm, run.
type pageRun struct {
	Arm  *pageArm
	ID   string
	At   string
	Plot template.HTML
	Said string
}

// pageSeeds draws every run of the fault: those of the same seed on one axis.
func (f Fault) pageSeeds(arms []*pageArm, at string) (all []pageSeed) {
	if len(arms[0].Runs) == 0 {
		return nil
	}
	var every []Run
	for _, a := range arms {
		every = append(every, a.Runs...)
	}
	scale := scaleOf(every, f.Seconds)
	for i, first := range arms[0].Runs {
		seed := pageSeed{Seed: first.Seed, Repeat: first.Repeat, Open: i == 0 && len(unswept([]Fault{f})) > 0}
		for n, a := range arms {
			r := a.Runs[i]
			if len(r.Curve) == 0 {
				continue
			}
			id := a.ID
			if i > 0 {
				id += fmt.Sprintf(".%d", i)
			}
			seed.Runs = append(seed.Runs, pageRun{a, id, fmt.Sprintf("%s/%d/%d", at, n, i), scale.plot(r), r.said()})
		}
		all = append(all, seed)
	}
	return all
}

// said is a run in words.
func (r Run) said() string {
	good, degraded, events := 0, 0, len(r.Timeline)
	all := 0
	for _, step := range r.Curve {
		good, degraded, all = good+step.Good, degraded+step.Degraded, all+step.Requests
	}
	return fmt.Sprintf("of %d requests of the whole run %d good, %d degraded, %d failed; %d events", all, good, degraded, all-good-degraded, events)
}

// axis is the time that pictures have in common, in seconds from the fault.
type axis struct{ from, until float64 }

func axisOf(runs []Run) axis {
	x := axis{math.Inf(1), math.Inf(-1)}
	for _, r := range runs {
		if n := len(r.Curve); n > 0 {
			x.from, x.until = min(x.from, r.Curve[0].At-1), max(x.until, r.Curve[n-1].At)
		}
	}
	return x
}

// at is a time's place, in percent.
func (x axis) at(seconds float64) float64 {
	return 100 * (min(max(seconds, x.from), x.until) - x.from) / (x.until - x.from)
}

// ticks are the marks of the axis, with their text at y.
func (x axis) ticks(y, top, bottom float64) string {
	var s strings.Builder
	every := max(roundStep(x.until-x.from, 9), 1)
	for t := math.Ceil(x.from/every)*every + 0; t <= x.until; t += every {
		s.WriteString(tick(x.at(t), top, bottom, y, decimal(t)+" s"))
	}
	return s.String()
}

// scale is what the runs of a fault have in common.
type scale struct {
	axis
	fault    float64 // its length
	requests int     // the most of a second
	attempts float64 // for one request; 0: none were counted
}

func scaleOf(runs []Run, fault float64) scale {
	s := scale{axis: axisOf(runs), fault: fault, requests: 1}
	for _, r := range runs {
		for _, step := range r.Curve {
			s.requests, s.attempts = max(s.requests, step.Requests), max(s.attempts, step.Attempts)
		}
	}
	return s
}

// Heights in a run's picture.
const (
	plotCaption  = 14.0
	plotOutcomes = 56.0
	plotAttempts = 36.0
	plotLane     = 7.0
	plotMarks    = 12.0
	plotTicks    = 18.0
)

// Kinds of the parts of a run's picture, which its reader can leave out.
const (
	kindOutcomes  = "outcomes"
	kindAttempts  = "attempts"
	kindBreakers  = "breakers"
	kindEjections = "ejections"
	kindDown      = "pods down"
	kindEvents    = "events"
)

var kinds = []string{kindOutcomes, kindAttempts, kindBreakers, kindEjections, kindDown, kindEvents}

// drawing is a run's picture: parts, one below the other.
type drawing struct {
	strings.Builder
	y float64
}

// part adds one. What is in it has places from its own top.
func (d *drawing) part(kind string, height float64, content string) {
	fmt.Fprintf(d, `<g class="part" data-kind="%s" data-height="%s" transform="translate(0 %s)">%s</g>`, kind, decimal(height), decimal(d.y), content)
	d.y += height
}

// plot is one run's picture in the page.
func (s scale) plot(r Run) template.HTML {
	content, height := s.draw(r)
	return svg("run", height, content)
}

// draw draws one run: its outcomes, its attempts, what was open, ejected or down,
// and its events. Horizontal places are in percent.
func (s scale) draw(r Run) (content string, height float64) {
	var d drawing
	caption := func(text string) string { return label("small", 0, plotCaption-3, text) }
	d.part(kindOutcomes, plotCaption+plotOutcomes, caption(fmt.Sprintf("requests per second, to %d", s.requests))+
		stretched(plotCaption, plotOutcomes, s.until-s.from, float64(s.requests), s.outcomes(r)))
	if s.attempts > 0 {
		d.part(kindAttempts, plotCaption+plotAttempts+2, caption("attempts per request, to "+ratio.number(max(s.attempts, 1)))+s.tries(r, plotCaption))
	}
	for _, l := range lanes(r.Timeline, s.until) {
		d.part(l.kind, plotCaption+plotLane+1, caption(l.name)+s.bars(l))
	}
	if marks := s.marks(r.Timeline, 3); marks != "" {
		d.part(kindEvents, plotMarks, marks)
	}
	fmt.Fprintf(&d, `<rect class="window" x="%s%%" y="%s" width="%s%%" height="%s"/>`, decimal(s.at(0)), decimal(plotCaption), decimal(s.at(s.fault)-s.at(0)), decimal(d.y+2-plotCaption))
	fmt.Fprintf(&d, `<g class="ticks" transform="translate(0 %s)">%s</g>`, decimal(d.y), s.ticks(15, 1, 5))
	return d.String(), d.y + plotTicks
}

// bars are the times of one lane.
func (s scale) bars(l lane) string {
	var drawn strings.Builder
	fmt.Fprintf(&drawn, `<rect class="lane" y="%s" width="100%%" height="%s"/>`, decimal(plotCaption), decimal(plotLane))
	for _, b := range l.bars {
		fmt.Fprintf(&drawn, `<rect class="%s" x="%s%%" y="%s" width="%s%%" height="%s"><title>%s</title></rect>`,
			b.state, decimal(s.at(b.from)), decimal(plotCaption), decimal(max(s.at(b.until)-s.at(b.from), .3)), decimal(plotLane), html.EscapeString(b.why))
	}
	return drawn.String()
}

// outcomes are areas: failed below degraded below good, a step a second.
func (s scale) outcomes(r Run) string {
	var areas strings.Builder
	top := float64(s.requests)
	area := func(class string, until func(Step) int) {
		x := r.Curve[0].At - 1 - s.from
		fmt.Fprintf(&areas, `<path class="%s" d="M%s %sV`, class, decimal(x), decimal(top))
		last, width := math.NaN(), 0.0
		for i, step := range r.Curve {
			at := top - float64(until(step))
			if i > 0 && at != last {
				fmt.Fprintf(&areas, "h%sV", decimal(width))
				width = 0
			}
			if at != last {
				areas.WriteString(decimal(at))
			}
			last = at
			width++
		}
		fmt.Fprintf(&areas, `h%sV%sz"/>`, decimal(width), decimal(top))
	}
	area("good", func(c Step) int { return c.Requests })
	if slices.ContainsFunc(r.Curve, func(c Step) bool { return c.Good < c.Requests }) {
		area("degraded", func(c Step) int { return c.Requests - c.Good })
	}
	if slices.ContainsFunc(r.Curve, func(c Step) bool { return c.Good+c.Degraded < c.Requests }) {
		area("failed", func(c Step) int { return c.Requests - c.Good - c.Degraded })
	}
	return areas.String()
}

// tries is the line of attempts, with one at 1.
func (s scale) tries(r Run, y float64) string {
	most := max(s.attempts, 1)
	one := y + plotAttempts*(1-1/most)
	var points strings.Builder
	for i, step := range r.Curve {
		if i > 0 {
			points.WriteByte(' ')
		}
		fmt.Fprintf(&points, "%s,%s", decimal(step.At-.5-s.from), decimal(plotAttempts*(1-step.Attempts/most)))
	}
	return fmt.Sprintf(`<line class="one" x1="0" x2="100%%" y1="%s" y2="%[1]s"/>`, decimal(one)) +
		label("small end", 100, max(one-2, y+8), "1") +
		stretched(y, plotAttempts, s.until-s.from, plotAttempts, `<polyline class="tries" points="`+points.String()+`"/>`)
}

// marks are the events; those within half a percent of the picture share one.
func (s scale) marks(events []Event, y float64) string {
	var drawn strings.Builder
	var texts []string
	at, kind := math.Inf(-1), ""
	flush := func() {
		if len(texts) > 0 {
			const most = 12
			if more := len(texts) - most; more > 0 {
				texts = append(texts[:most], fmt.Sprintf("and %d more", more))
			}
			fmt.Fprintf(&drawn, `<rect class="mark %s" x="%s%%" y="%s" width="3" height="8"><title>%s</title></rect>`, kind, decimal(at), decimal(y), html.EscapeString(strings.Join(texts, "\n")))
		}
	}
	for _, e := range events {
		if e.At < s.from || e.At > s.until {
			continue
		}
		if x := s.at(e.At); x-at > .5 {
			flush()
			at, kind, texts = x, "", nil
		}
		if e.Who == record.Launcher {
			kind = "set"
		}
		texts = append(texts, e.text())
	}
	flush()
	return drawn.String()
}

// text is an event in words.
func (e Event) text() string {
	text := fmt.Sprintf("%s s: %s: %s", seconds3.number(e.At), e.Who, e.What)
	if e.Detail != "" {
		text += ", " + e.Detail
	}
	return text
}

// lane is one breaker, one host in a proxy's outlier detection, or one pod, over
// time.
type lane struct {
	kind, name string
	bars       []laneBar
}

// laneBar is a time in one state, and why it began.
type laneBar struct {
	from, until float64
	state, why  string
}

// ejection is the text of an ejection's or a return's detail; see lab/mesh.
var ejection = regexp.MustCompile(`^its proxy (?:ejected|returned|ejects|returns) (\S+(?: \(\S+\))?) (?:from|to) `)

// lanes are the times in which something was not as it should be: breakers,
// ejections, then pods.
func lanes(events []Event, end float64) (all []lane) {
	state := func(kind, name, state string, e Event) {
		l := find(&all, func(l *lane) bool { return l.kind == kind && l.name == name })
		l.kind, l.name = kind, name
		if n := len(l.bars); n > 0 && l.bars[n-1].until == end {
			if l.bars[n-1].state == state {
				return
			}
			l.bars[n-1].until = e.At
		}
		if state != "" {
			l.bars = append(l.bars, laneBar{e.At, end, state, e.text()})
		}
	}
	for _, e := range events {
		breaker, is := strings.CutPrefix(e.What, record.EventBreaker)
		switch of, _, _ := strings.Cut(e.Detail, ": "); {
		case is && breaker == "closed":
			state(kindBreakers, "breaker: "+e.Who+" > "+of, "", e)
		case is:
			state(kindBreakers, "breaker: "+e.Who+" > "+of, strings.ReplaceAll(breaker, "-", ""), e)
		case e.What == record.EventEjected:
			state(kindEjections, "ejected: "+e.Who+" > "+host(e.Detail), "ejected", e)
		case e.What == record.EventReturned:
			state(kindEjections, "ejected: "+e.Who+" > "+host(e.Detail), "", e)
		case e.What == record.EventExited || e.What == "notready":
			state(kindDown, "down: "+e.Who, "down", e)
		case e.What == "ready":
			state(kindDown, "down: "+e.Who, "", e)
		}
	}
	all = slices.DeleteFunc(all, func(l lane) bool { return len(l.bars) == 0 })
	slices.SortFunc(all, func(a, b lane) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.name, b.name))
	})
	return all
}

// host is the one that an ejection is about.
func host(detail string) string {
	if found := ejection.FindStringSubmatch(detail); found != nil {
		return found[1]
	}
	return detail
}
