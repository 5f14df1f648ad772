package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// palette gives each arm of the experiments one colour, in their order. The points of a
// sweep have the colour of their arm, with a dash of their own, unless there is no other
// arm: then they have colours.
type palette []string

// Numbers of the classes of lines in the page: c0, c1, ... are colours, v1, v2, ...
// dashes.
const (
	lineColours = 8
	lineDashes  = 4
)

func (r Report) palette() (arms palette) {
	for _, g := range r.Groups {
		if g.experiment != nil {
			for _, a := range g.experiment.Arms {
				arms = addOnce(arms, a.Name)
			}
		}
	}
	for _, a := range armsOf(r.faults()) {
		arms = addOnce(arms, a.base())
	}
	return arms
}

// base is the arm of the experiment that the arm is a point of, or the arm itself.
func (a Arm) base() string { return cmp.Or(a.Runs[0].seen.ArmOf, a.Name) }

// classes are those of n lines in one picture; arm is the arm of each.
func (p palette) classes(n int, arm func(int) string) (all []string) {
	seen := map[string]int{}
	for i := range n {
		colour, dash := slices.Index(p, arm(i)), seen[arm(i)]%lineDashes
		seen[arm(i)]++
		if len(p) == 1 {
			colour, dash = i, i/lineColours%lineDashes
		}
		class := fmt.Sprintf("c%d", colour%lineColours)
		if dash > 0 {
			class += fmt.Sprintf(" v%d", dash)
		}
		all = append(all, class)
	}
	return all
}

// roundStep returns the smallest of ..., 1, 2, 5, 10, 20, 50, ... of which a length has
// at most a number.
func roundStep(length float64, most int) float64 {
	least := length / float64(most) * (1 - 1e-9)
	ten := math.Pow(10, math.Floor(math.Log10(least)))
	for _, step := range []float64{1, 2, 5} {
		if step*ten >= least {
			return step * ten
		}
	}
	return 10 * ten
}

// roundLevels returns round values from 0 to the first that is not below most.
func roundLevels(most float64) (levels []float64) {
	step := roundStep(most, 5)
	for i := range int(math.Ceil(most/step-1e-9)) + 1 {
		levels = append(levels, float64(i)*step)
	}
	return levels
}

// round is a round value with its unit.
func (u Unit) round(v float64) string {
	number := strconv.FormatFloat(math.Round(v*u.factor*1e6)/1e6, 'f', -1, 64)
	return strings.TrimSpace(number + " " + u.Name)
}
