package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"fleetman.example/lab/stats"
)

// Pair is two comparisons side by side: before and after a change.
type Pair struct {
	A Report `json:"a"`
	B Report `json:"b"`
	// Findings are a sentence for each arm and fault that differs.
	Findings []Finding `json:"findings"`
	Changes  []Change  `json:"changes"`
	// Conditions name what the two did not have in common.
	Conditions []string `json:"conditions,omitempty"`
	// Repeats are there when nothing differs: B repeats the seeds of A.
	Repeats *Repeats `json:"repeats,omitempty"`
	// Dirs are the directories of A and B, for the warnings; empty: not named.
	Dirs [2]string `json:"-"`
}

// Change is what B's figure has over A's.
type Change struct {
	Fault      string     `json:"fault"`
	Arm        string     `json:"arm"`
	Column     string     `json:"column"`
	A          Figure     `json:"a"`
	B          Figure     `json:"b"`
	Difference Difference `json:"difference"`

	column Column
}

// Overlap reports whether two reports have an arm with a fault in common, so
// that they can be compared side by side.
func Overlap(a, b Report) bool {
	for f, arm := range armsOf(a.faults()) {
		if _, ok := b.find(f.Name, arm.Name); ok {
			return true
		}
	}
	return false
}

func (r Report) faults() (all []Fault) {
	for _, g := range r.Groups {
		all = append(all, g.Faults...)
	}
	return all
}

// Compare puts two reports side by side: every figure that both have.
func Compare(a, b Report) Pair {
	p := Pair{A: a, B: b, Changes: []Change{}}
	if len(a.Groups) > 0 && len(b.Groups) > 0 {
		if d := a.Groups[0].Conditions.Difference(b.Groups[0].Conditions); d != "" {
			p.Conditions = append(p.Conditions, d)
		}
	}
	for _, f := range a.faults() {
		i := slices.IndexFunc(b.faults(), func(other Fault) bool { return other.Name == f.Name })
		if i < 0 {
			continue
		}
		other := b.faults()[i]
		if f.Rules != other.Rules || f.Rate != other.Rate || f.Seconds != other.Seconds {
			p.Conditions = append(p.Conditions, fmt.Sprintf("%s: %q, %v per second, %v s and %q, %v per second, %v s", f.Name, f.Rules, f.Rate, f.Seconds, other.Rules, other.Rate, other.Seconds))
		}
		for _, before := range f.Arms {
			after, ok := other.arm(before.Name)
			if !ok {
				continue
			}
			for _, c := range Columns {
				mine, theirs := after.Figures[c.Name], before.Figures[c.Name]
				if mine.Value == nil && theirs.Value == nil {
					continue
				}
				p.Changes = append(p.Changes, Change{f.Name, before.Name, c.Name, theirs, mine, c.over(mine, theirs, stats.Confidence), c})
			}
		}
	}
	p.Repeats = p.repeats()
	p.Findings = p.findings()
	return p
}

// Warnings are those of both, each with the comparison that it is of. A width of 0 is
// without limit.
func (p Pair) Warnings(width int) (all []string) {
	for i, r := range []Report{p.A, p.B} {
		of := string("AB"[i])
		if p.Dirs[i] != "" {
			of += " (" + p.Dirs[i] + ")"
		}
		for _, kind := range r.warnings() {
			all = append(all, of+": "+kind.text(width))
		}
	}
	return all
}

// PairText writes the warnings, the figures whose difference is shown, and all of them with
// all.
func PairText(w io.Writer, p Pair, all bool) {
	for _, condition := range p.Conditions {
		fmt.Fprintf(w, "different conditions: %s\n\n", condition)
	}
	width := Columns100
	if all {
		width = 0
	}
	if warnings := p.Warnings(width); len(warnings) > 0 {
		fmt.Fprintf(w, "! %s\n\n", strings.Join(warnings, "\n! "))
	}
	s := sheet{Heads: []string{"fault", "arm", "figure", "A", "B", "B less A"}}
	same := 0
	for _, c := range p.Changes {
		if !c.Difference.Shown && !all {
			same++
			continue
		}
		s.Rows = append(s.Rows, []string{c.Fault, c.Arm, c.Head(), c.TextA(), c.TextB(), c.Text()})
	}
	if len(s.Rows) > 0 {
		s.text(w)
	}
	if same > 0 {
		fmt.Fprintf(w, "%d figures: no difference shown (--all shows them)\n", same)
	}
	if p.Repeats != nil {
		fmt.Fprintln(w, p.Repeats.finding().Sentence)
	}
	for _, v := range p.B.Goals {
		fmt.Fprintf(w, "B, %s\n", v.Line())
	}
}
