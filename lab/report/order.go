package report

import (
	"cmp"
	"slices"
)

// order sorts faults and arms as the experiment has them: the order of its runs
// is drawn. What the experiment does not have comes last.
func (g *Group) order() {
	if g.experiment == nil {
		return
	}
	arms, faults := g.experiment.Expand()
	place := map[string]int{}
	for i, arm := range arms {
		place["arm "+arm.Name] = i + 1
	}
	for i, fault := range faults {
		place["fault "+fault.Name] = i + 1
	}
	at := func(kind, name string) int { return cmp.Or(place[kind+name], len(place)+1) }
	slices.SortStableFunc(g.Faults, func(a, b Fault) int { return cmp.Compare(at("fault ", a.Name), at("fault ", b.Name)) })
	for _, f := range g.Faults {
		slices.SortStableFunc(f.Arms, func(a, b Arm) int { return cmp.Compare(at("arm ", a.Name), at("arm ", b.Name)) })
	}
}
