package experiment

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// oneOf notes a name that is not known. An empty list has a mistake of its own.
func (c *checker) oneOf(path, name string, known []string) {
	known = unique(known)
	c.must(len(known) == 0 || slices.Contains(known, name), path, "%.60q: must be one of %s", name, strings.Join(known, ", "))
}

// figure returns the figure with a name, and notes a name that is of no figure.
func (c *checker) figure(path, name string, figures []Figure) Figure {
	if name == "" {
		c.must(false, path, "missing: must be the name of a figure")
		return Figure{}
	}
	c.oneOf(path, name, collect(figures, func(f Figure) string { return f.Name }))
	i := slices.IndexFunc(figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}
	}
	return figures[i]
}

func (c *checker) goals(figures []Figure) {
	for i, g := range c.Goals {
		path := fmt.Sprintf("goals[%d]", i)
		figure := c.figure(path+".figure", g.Figure, figures)
		c.oneOf(path+".arm", g.Arm, c.armNames())
		c.oneOf(path+".fault", g.Fault, c.faultNames())
		if g.Over != "" {
			c.oneOf(path+".over", g.Over, c.armNames())
			for _, axis := range c.unpaired(g) {
				c.must(false, path+".over", "%.60q: swept by %s, which neither the arm %q nor the fault %q is: must have one value for each of theirs", g.Over, axis, g.Arm, g.Fault)
			}
		}
		c.must(!figure.Max, path+".figure", "%q: the highest value of all runs has no interval: must be another figure, such as lastKnown", g.Figure)
		for _, wrong := range g.mistakes(figure.Unit) {
			c.must(false, strings.TrimSuffix(path+"."+wrong.field, "."), "%s", wrong.text)
		}
		c.bound(path+".atLeast", g.AtLeast)
		c.bound(path+".atMost", g.AtMost)
		c.must(!slices.Contains(c.Goals[:i], g), path, "%s: must be there once", g)
	}
}

// unpaired returns the values of the sweep that the other arm of a goal depends on, and
// neither its arm nor its fault: no point of the other arm is the one to compare with.
func (e *Experiment) unpaired(g Goal) (axes []string) {
	arm := func(name string) []string {
		if i := e.index(name); i >= 0 {
			return placeholders(e.whole(e.Arms[i]))
		}
		return nil // a mistake of its own
	}
	mine := arm(g.Arm)
	for _, f := range e.Faults {
		if f.Name == g.Fault {
			mine = append(mine, placeholders(f)...)
		}
	}
	for _, name := range unique(arm(g.Over)) {
		isAxis := slices.ContainsFunc(e.Sweep, func(a Axis) bool { return a.Name == name })
		if isAxis && !slices.Contains(mine, name) && e.index(g.Arm) >= 0 {
			axes = append(axes, name)
		}
	}
	return axes
}

func (c *checker) theory(figures []Figure) {
	for i, t := range c.Theory {
		path := fmt.Sprintf("theory[%d]", i)
		c.figure(path+".figure", t.Figure, figures)
		if t.Arm != "" {
			c.oneOf(path+".arm", t.Arm, c.armNames())
		}
		if t.Fault != "" {
			c.oneOf(path+".fault", t.Fault, c.faultNames())
		}
		c.must(t.Formula != "", path+".formula", "missing: must be a formula of the sweep's values")
		c.bound(path+".formula", t.Formula)
	}
}

func collect[T any](all []T, of func(T) string) (texts []string) {
	for _, one := range all {
		texts = append(texts, of(one))
	}
	return texts
}

// unique returns the names, each once.
func unique(names []string) (once []string) {
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// bound notes a bound that has no value at some point of the sweep. The mistake is that
// of the sweep's value when the formula needs a number there.
func (c *checker) bound(path string, b Bound) {
	if b == "" {
		return
	}
	known, numbers := true, true
	for _, name := range b.names() {
		i := slices.IndexFunc(c.Sweep, func(a Axis) bool { return a.Name == name })
		known = known && i >= 0
		numbers = (i < 0 || c.numbers(path, i)) && numbers
	}
	if c.must(known, path, "%.60q: must be a number, or a formula with the names of the sweep's values alone", string(b)); !known || !numbers {
		return
	}
	for _, at := range c.pointsOf(b.names()) {
		v, err := b.Value(at)
		if c.must(err == nil, path, "%v", err); err != nil {
			return
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			c.must(false, path, "%s: %v: must be a finite number", b, v)
			return
		}
	}
}

// numbers reports whether the values of an axis are numbers, as the formula at path needs, and
// notes those that are not, once for all formulas.
func (c *checker) numbers(path string, axis int) bool {
	values := c.Sweep[axis].Values
	all := len(values) > 0 // else that is a mistake of its own
	for i, value := range values {
		if _, ok := (Point{"": string(value)}).Number(""); !ok {
			all = false
			field := fmt.Sprintf("sweep[%d].values[%d]", axis, i)
			if !slices.ContainsFunc(c.problems, func(p Problem) bool { return p.Field == field }) {
				c.must(false, field, "%q: must be a number or a duration, as in the formula of %s", string(value), path)
			}
		}
	}
	return all
}
