package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// pairPage is what the template of two comparisons shows.
type pairPage struct {
	shell
	Pair
	Rows   []pairRow
	Prices []pagePrice
	Within bool
}

// pairRow is one arm with one fault, in both.
type pairRow struct {
	ID, Fault, Arm string
	A, B           *pageArm
	Good           string // the difference
}

// pairFigures are those whose differences are drawn.
var pairFigures = []string{"good", "degraded", "failed", "p50", "p99", "received", "contained", "recovered", "cpu", "memory"}

// PairHTML writes two comparisons side by side as one page, as HTML does one.
func PairHTML(w io.Writer, p Pair) error {
	page := pairPage{Pair: p}
	page.Title = "Before and after: what differs between two comparisons"
	for _, r := range []Report{p.A, p.B} {
		for _, g := range r.Groups {
			page.Dates = append(page.Dates, g.Date)
		}
	}
	page.Dates = slices.Compact(page.Dates)
	for f, a := range armsOf(p.A.faults()) {
		if b, ok := p.B.find(f.Name, a.Name); ok {
			page.Rows = append(page.Rows, pairRow{anchor("fault", f.Name+"-"+a.Name), f.Name, a.Name, a.page(), b.page(), ""})
		}
	}
	for i, row := range page.Rows {
		for _, c := range p.Changes {
			if c.Fault == row.Fault && c.Arm == row.Arm && c.Column == "good" {
				page.Rows[i].Good = c.Text()
			}
			page.Within = page.Within || c.Difference.Within
		}
	}
	page.Prices = p.prices()
	return page.shell.write(w, "pair.html", &page, p.drawn())
}

// drawn is what the page shows, without the runs of both.
func (p Pair) drawn() any {
	return struct {
		Conditions []string  `json:"conditions,omitempty"`
		Findings   []Finding `json:"findings"`
		Goals      []Verdict `json:"goals,omitempty"`
		Changes    []Change  `json:"changes"`
		Repeats    *Repeats  `json:"repeats,omitempty"`
	}{p.Conditions, p.Findings, p.B.Goals, p.Changes, p.Repeats}
}

// find returns an arm with a fault.
func (r Report) find(fault, arm string) (Arm, bool) {
	for _, f := range r.faults() {
		if f.Name == fault {
			return f.arm(arm)
		}
	}
	return Arm{}, false
}

// prices are the differences of each figure that has one, with their intervals.
func (p Pair) prices() (all []pagePrice) {
	for _, name := range pairFigures {
		c, _ := column(name)
		price := pagePrice{Title: c.Head}
		for _, change := range p.Changes {
			if change.Column == name {
				price.add(change.Fault+", "+change.Arm, change.Difference, c.Unit)
			}
		}
		if slices.ContainsFunc(price.Rows, func(d pageDifference) bool { return *d.Value != 0 }) {
			all = append(all, price)
		}
	}
	return all
}

// Head is the name of the change's figure.
func (c Change) Head() string { return c.column.Head }

// TextA is the figure of the first comparison.
func (c Change) TextA() string { return c.A.Text(c.column.Unit) }

// TextB is the figure of the second comparison.
func (c Change) TextB() string { return c.B.Text(c.column.Unit) }

// Text is the difference.
func (c Change) Text() string { return c.Difference.Text(c.column.Unit) }

// findings are a sentence for each arm with a fault of which a difference is
// shown, and the number of the others.
func (p Pair) findings() (all []Finding) {
	same := 0
	for _, c := range p.Changes {
		if !c.Difference.Shown {
			same++
			continue
		}
		if !slices.Contains(pairFigures, c.Column) {
			continue
		}
		of := FigureOf{c.Fault, c.Arm, c.Column, "A"}
		text := fmt.Sprintf("%s from %s to %s, a difference of %s", c.Head(), c.TextA(), c.TextB(), c.Text())
		if n := len(all); n > 0 && all[n-1].Figures[0].Fault == c.Fault && all[n-1].Figures[0].Arm == c.Arm {
			all[n-1].Sentence += "; " + text
			all[n-1].Figures = append(all[n-1].Figures, of)
			continue
		}
		all = append(all, Finding{fmt.Sprintf("%s, %s: %s", c.Fault, c.Arm, text), anchor("fault", c.Fault+"-"+c.Arm), []FigureOf{of}})
	}
	for i := range all {
		all[i].Sentence += "."
	}
	if same > 0 {
		all = append(all, Finding{Anchor: "differences", Sentence: fmt.Sprintf("Of %d of %d figures no difference is shown.", same, len(p.Changes))})
	}
	if p.Repeats != nil {
		all = append(all, p.Repeats.finding())
		all[len(all)-1].Anchor = "differences"
	}
	return all
}

// Where is what a finding's link leads to.
func (f Finding) Where() string {
	if len(f.Figures) > 0 {
		return f.Figures[0].Fault
	}
	if strings.HasPrefix(f.Anchor, "sweep-") {
		return "the curve"
	}
	return "the " + f.Anchor
}
