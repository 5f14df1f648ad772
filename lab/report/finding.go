package report

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Finding is one sentence of the report, computed from its figures.
type Finding struct {
	Sentence string `json:"sentence"`
	// Anchor names the part of the report that shows it: fault-NAME, cost-NAME,
	// goals, runs or sweep-AXIS-FIGURE.
	Anchor string `json:"anchor"`
	// Figures are those that the sentence has.
	Figures []FigureOf `json:"figures,omitempty"`
}

// FigureOf names a figure, or, with Over, the difference to the baseline.
type FigureOf struct {
	Fault  string `json:"fault"`
	Arm    string `json:"arm"`
	Column string `json:"column"`
	Over   string `json:"over,omitempty"`
}

func (r Report) findings() []Finding {
	all := []Finding{}
	for _, g := range r.Groups {
		for _, f := range unswept(g.Faults) {
			if f.Healthy() {
				all = append(all, f.price()...)
			} else {
				all = append(all, f.finding())
			}
		}
		for _, s := range g.Sweeps {
			all = append(all, s.finding()...)
		}
		if g.Repeats != nil {
			all = append(all, g.Repeats.finding())
		}
	}
	if len(r.Goals) > 0 {
		n := map[string]int{}
		for _, v := range r.Goals {
			n[v.Result]++
		}
		all = append(all, Finding{Anchor: "goals", Sentence: fmt.Sprintf("Goals: %d of %d met, %d missed, %d not decided.", n[GoalMet], len(r.Goals), n[GoalMissed], n[GoalUndecided])})
	}
	return all
}

// anchor is a name as a part of a link.
func anchor(kind, name string) string {
	return kind + "-" + notInAnchor.ReplaceAllString(name, "-")
}

var notInAnchor = regexp.MustCompile(`[^a-zA-Z0-9-]`)

// wording collects the parts of a sentence with their figures.
type wording struct {
	f       Fault
	figures []FigureOf
}

func (s *wording) figure(a Arm, name string) string {
	s.figures = append(s.figures, FigureOf{Fault: s.f.Name, Arm: a.Name, Column: name})
	c, _ := column(name)
	return a.Figures[name].Text(c.Unit)
}

// neverRecovered reports whether no run recovered.
func (a Arm) neverRecovered() bool {
	recovered := a.Figures["recovered"]
	return recovered.Value == nil && recovered.Note != ""
}

// longAfter is how long a run must last after the repair to show that a fleet never
// recovers. In less time it may be within an open period, of 10 s by default.
const longAfter = record.Offset(10 * time.Second)

// finding is the sentence about a fault: the arms that lost requests, those that
// degraded answers, and those that did not recover.
func (f Fault) finding() Finding {
	s := wording{f: f}
	text := fmt.Sprintf("%s (%s): %s.", f.Name, f.share(), s.lost())
	var unlike, degraded []string
	for _, a := range f.Arms {
		if d := a.Over["failed"]; a.Name != f.Baseline && d.Value != nil && *d.Value != 0 && !d.Shown {
			unlike = append(unlike, a.Name)
		}
		if v := a.Figures["degraded"].Value; v != nil && *v > 0 {
			degraded = append(degraded, a.Name+" "+s.figure(a, "degraded"))
		}
	}
	if len(unlike) > 0 {
		text += fmt.Sprintf(" For %s no difference to %s is shown.", list(unlike), f.Baseline)
	}
	if len(degraded) > 0 {
		text += fmt.Sprintf(" Degraded: %s.", strings.Join(degraded, ", "))
	}
	if never := s.neverRecovered(); never != "" {
		seen := f.Arms[0].Runs[0].seen
		form := " Never recovered in the %s after the repair: %s."
		if seen.End-seen.RepairAt < longAfter {
			form = " Recovery not seen within %s after the repair: %s."
		}
		text += fmt.Sprintf(form, seconds3.text(seconds(seen.End-seen.RepairAt)), never)
	}
	if received := s.received(); received != "" {
		text += fmt.Sprintf(" Attempts per request that reached it: %s.", received)
	}
	return Finding{text, anchor("fault", f.Name), s.figures}
}

// received is how many attempts the service with the fault received for each request, for a fault whose load is the
// question.
func (s *wording) received() string {
	var parts []string
	for _, a := range s.f.Arms {
		if a.Runs[0].seen.Curve && a.Figures["received"].Value != nil {
			s.figure(a, "received")
			parts = append(parts, a.Name+" "+ratio.text(*a.Figures["received"].Value))
		}
	}
	return strings.Join(parts, ", ")
}

// lost is what share of the requests each arm lost.
func (s *wording) lost() string {
	var lossless []string
	var parts []string
	n, most := 0, 0.0
	for _, a := range s.f.Arms {
		lost := a.Figures["failed"]
		switch {
		case lost.Value == nil:
			continue
		case *lost.Value == 0:
			lossless = append(lossless, a.Name)
			n, most = lost.N, max(most, *lost.High)
			s.figure(a, "failed")
		default:
			parts = append(parts, a.Name+" lost "+s.figure(a, "failed"))
		}
	}
	text := strings.Join(parts, ", ")
	if len(lossless) > 0 {
		text += fmt.Sprintf("; %s lost 0 of %d requests (at most %s)", list(lossless), n, percent.text(most))
	}
	return strings.TrimPrefix(text, "; ")
}

// neverRecovered is the arms that had not recovered when their runs ended, those
// with the same goodput together.
func (s *wording) neverRecovered() string {
	var texts []string
	arms := map[string][]string{}
	for _, a := range s.f.Arms {
		if !a.neverRecovered() {
			continue
		}
		offered := perSecond.text(s.f.Rate) + "/s"
		if !isSteady(s.f.load) { // the rate is that before the repair
			offered = "the " + perSecond.text(a.Figures["goodputAfter"].scale) + "/s that were offered then"
		}
		text := fmt.Sprintf("goodput %s of %s", s.figure(a, "goodputAfter"), offered)
		if a.Figures["wastedAfter"].N > 0 {
			text += ", " + s.figure(a, "wastedAfter") + " of the attempts wasted"
		}
		if arms[text] == nil {
			texts = append(texts, text)
		}
		arms[text] = append(arms[text], a.Name)
	}
	for i, text := range texts {
		texts[i] = fmt.Sprintf("%s (%s)", list(arms[text]), text)
	}
	return strings.Join(texts, "; ")
}

// share is how many replicas of which service have the fault: 1 of 2 replicas of
// staff-service.
func (f Fault) share() string {
	var of []string
	for _, pod := range f.Pods {
		of = addOnce(of, record.ServiceOf(pod))
	}
	if f.partial() {
		return fmt.Sprintf("%d of %d replicas of %s", len(f.Arms[0].Runs[0].seen.Pods), f.Replicas, list(of))
	}
	return "all of " + list(of)
}

// price is what each arm adds to the baseline.
func (f Fault) price() []Finding {
	s := wording{f: f}
	var parts []string
	within := false
	for _, a := range f.Arms {
		var adds []string
		for _, name := range []string{"p50", "cpu", "memory"} {
			c, _ := column(name)
			d := a.Over[name]
			if d.Value == nil {
				continue
			}
			text := d.text(c.Unit)
			if d.Low != nil && !d.Shown {
				text = "none shown"
			}
			adds = append(adds, text)
			within = within || d.Within
			s.figures = append(s.figures, FigureOf{f.Name, a.Name, name, f.Baseline})
		}
		if a.Name != f.Baseline {
			parts = append(parts, a.Name+" "+strings.Join(adds, ", "))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s, added to %s (p50, CPU for 1 000 requests per second, memory): %s.", f.Name, f.Baseline, strings.Join(parts, "; "))
	if within {
		text += " With fewer than three seeds, what differs from run to run is not in these intervals."
	}
	return []Finding{{text, anchor("cost", f.Name), s.figures}}
}

func (r Repeats) finding() Finding {
	text := fmt.Sprintf("Of the requests that a fault touched in one of two runs, it touched %s in both with one seed, and %s with two seeds", r.SameSeed.Text(percent), r.OtherSeeds.Text(percent))
	if !r.Difference.Shown {
		text += ": no difference shown"
	}
	return Finding{Anchor: "runs", Sentence: text + "."}
}

// list is a, b and c.
func list(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
