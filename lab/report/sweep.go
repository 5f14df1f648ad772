package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Sweep is one figure over one axis of the experiment's sweep: a curve.
type Sweep struct {
	Axis   string   `json:"axis"`
	Figure string   `json:"figure"`
	Series []Series `json:"series"`
}

// Series is one curve: one arm with one fault, and one value of each other
// axis.
type Series struct {
	Arm    string            `json:"arm"`
	Fault  string            `json:"fault"`
	Others map[string]string `json:"others,omitempty"`
	Points []Point           `json:"points"`
}

// Point is one value of the axis. Low and High are the band.
type Point struct {
	At     string `json:"at"`
	Figure Figure `json:"figure"`
	// Theory is what the figure should be; null without a formula.
	Theory *float64 `json:"theory,omitempty"`
}

// sweeps are the curves of the figures that theories and goals name, or of good
// and attempts, over each axis.
func (g *Group) sweeps() (all []Sweep) {
	for _, axis := range g.axes() {
		for _, name := range g.sweptFigures() {
			s := Sweep{Axis: axis, Figure: name}
			for _, a := range armsOf(g.Faults) {
				s.add(g, a)
			}
			s.order()
			all = append(all, s)
		}
	}
	return all
}

// axes are the names of the swept values, in the experiment's order.
func (g *Group) axes() (names []string) {
	found := map[string]string{}
	for _, a := range armsOf(g.Faults) {
		maps.Copy(found, a.Runs[0].seen.Point)
	}
	if g.experiment != nil {
		for _, axis := range g.experiment.Sweep {
			if _, ok := found[axis.Name]; ok {
				names = append(names, axis.Name)
			}
		}
		return names
	}
	return slices.Sorted(maps.Keys(found))
}

func (g *Group) sweptFigures() (names []string) {
	if g.experiment != nil {
		for _, t := range g.experiment.Theory {
			names = addOnce(names, t.Figure)
		}
		for _, goal := range g.experiment.Goals {
			names = addOnce(names, goal.Figure)
		}
	}
	if len(names) == 0 {
		return []string{"good", "attempts"}
	}
	return names
}

// add adds an arm's figure to its series.
func (s *Sweep) add(g *Group, a Arm) {
	seen := a.Runs[0].seen
	at, swept := seen.Point[s.Axis]
	if !swept {
		return
	}
	others := maps.Clone(seen.Point)
	delete(others, s.Axis)
	arm, fault := cmp.Or(seen.ArmOf, seen.Arm), cmp.Or(seen.FaultOf, seen.Fault)
	of := find(&s.Series, func(o *Series) bool { return o.Arm == arm && o.Fault == fault && maps.Equal(o.Others, others) })
	of.Arm, of.Fault, of.Others = arm, fault, others
	of.Points = append(of.Points, Point{at, a.Figures[s.Figure], g.theory(s.Figure, seen)})
}

// theory is what a figure of a run should be.
func (g *Group) theory(figure string, seen *record.Run) *float64 {
	if g.experiment == nil {
		return nil
	}
	for _, t := range g.experiment.Theory {
		if t.Figure == figure && (t.Arm == "" || named(t.Arm, seen.Arm, seen.ArmOf)) && (t.Fault == "" || named(t.Fault, seen.Fault, seen.FaultOf)) {
			if value, err := t.Formula.Value(seen.Point); err == nil {
				return &value
			}
		}
	}
	return nil
}

// swept reports whether the arm with its fault is a point of a sweep.
func (a Arm) swept() bool { return len(a.Runs[0].seen.Point) > 0 }

// unswept are the faults with those of their arms that are no points of a sweep, which
// the curves do not show.
func unswept(faults []Fault) (rest []Fault) {
	for _, f := range faults {
		f.Arms = slices.DeleteFunc(slices.Clone(f.Arms), Arm.swept)
		if len(f.Arms) > 0 {
			rest = append(rest, f)
		}
	}
	return rest
}

// order sorts the points of each series by their value.
func (s *Sweep) order() {
	compare := s.compare()
	for _, series := range s.Series {
		slices.SortStableFunc(series.Points, func(a, b Point) int { return compare(a.At, b.At) })
	}
}

// compare compares values of the axis as numbers if they are, else as text.
func (s Sweep) compare() func(a, b string) int {
	numbers := s.numbers()
	return func(a, b string) int { return cmp.Or(cmp.Compare(numbers[a], numbers[b]), cmp.Compare(a, b)) }
}

// numbers are the values of the axis, if all are of one kind: numbers, durations in
// seconds, or percentages; else nil.
func (s Sweep) numbers() map[string]float64 {
	number := func(text string) (float64, error) { return strconv.ParseFloat(text, 64) }
	seconds := func(text string) (float64, error) {
		d, err := time.ParseDuration(text)
		return d.Seconds(), err
	}
	percentage := func(text string) (float64, error) {
		digits, ok := strings.CutSuffix(text, "%")
		if !ok {
			return 0, strconv.ErrSyntax
		}
		return number(strings.TrimSpace(digits))
	}
	for _, parse := range []func(string) (float64, error){number, seconds, percentage} {
		numbers, all := map[string]float64{}, true
		for _, text := range s.texts() {
			v, err := parse(text)
			numbers[text] = v
			all = all && err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
		}
		if all {
			return numbers
		}
	}
	return nil
}

// where is the fault, with the values of the other axes.
func (s Series) where() string { return strings.TrimSuffix(s.Fault+", "+s.others(), ", ") }

// others are the values of the other axes: share=0.5.
func (s Series) others() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.Others)) {
		all = append(all, name+"="+s.Others[name])
	}
	return strings.Join(all, ", ")
}

// finding is how many points agree with the theory, and which do not; there is
// none without a theory.
func (s Sweep) finding() []Finding {
	c, _ := column(s.Figure)
	points, agree := 0, 0
	var apart []string
	for _, series := range s.Series {
		for _, p := range series.Points {
			switch {
			case p.Theory == nil || p.Figure.Low == nil:
			case *p.Figure.Low <= *p.Theory && *p.Theory <= *p.Figure.High:
				points, agree = points+1, agree+1
			default:
				points++
				where := strings.Trim(strings.Join([]string{s.Axis + "=" + p.At, series.others()}, ", "), ", ")
				apart = append(apart, fmt.Sprintf("%s with %s: %s, not %s", series.Arm, where, p.Figure.Text(c.Unit), c.Unit.text(*p.Theory)))
			}
		}
	}
	if points == 0 {
		return nil
	}
	text := fmt.Sprintf("%s over %s: %d of %d points agree with the theory.", c.Head, s.Axis, agree, points)
	if len(apart) > 0 {
		text += " " + strings.Join(apart, "; ") + "."
	}
	return []Finding{{Sentence: text, Anchor: s.anchor()}}
}

// sheet is the sweep as a table, a row for each point.
func (s Sweep) sheet() (t sheet) {
	c, _ := column(s.Figure)
	t.before = c.Head + " over " + s.Axis
	t.Heads = []string{"arm", "fault", s.Axis, c.Head, "theory"}
	for _, series := range s.Series {
		for _, p := range series.Points {
			theory := "-"
			if p.Theory != nil {
				theory = c.Unit.text(*p.Theory)
			}
			t.Rows = append(t.Rows, []string{series.Arm, series.where(), p.At, p.Figure.Text(c.Unit), theory})
		}
	}
	return t
}

// overview is the sweep as a table without intervals, a row for each series.
func (s Sweep) overview() (t sheet) {
	c, _ := column(s.Figure)
	values := s.values()
	t.Heads = append([]string{c.Head + " over " + s.Axis}, values...)
	for _, series := range s.Series {
		row := []string{series.Arm + ", " + series.where()}
		for _, value := range values {
			field := "-"
			for _, p := range series.Points {
				if p.At == value && p.Figure.Value != nil {
					field = c.Unit.text(*p.Figure.Value)
				}
			}
			row = append(row, field)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// values are those of the axis, in order.
func (s Sweep) values() []string {
	all := s.texts()
	slices.SortStableFunc(all, s.compare())
	return all
}

// texts are the values of the axis, each once.
func (s Sweep) texts() (all []string) {
	for _, series := range s.Series {
		for _, p := range series.Points {
			all = addOnce(all, p.At)
		}
	}
	return all
}

func (s Sweep) anchor() string { return anchor("sweep", s.Axis+"-"+s.Figure) }
