package experiment

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Expand returns the arms with everything that they have from the fleet and from
// each other, and the faults, one for each point of the sweep. An arm that
// depends on the sweep is called library:attempts=3.
func (e *Experiment) Expand() (arms []Arm, faults []Fault) {
	for _, arm := range e.Arms {
		for _, at := range e.points(e.whole(arm)) {
			arms = append(arms, e.armAt(arm, at))
		}
	}
	for _, fault := range e.Faults {
		for _, at := range e.points(fault) {
			filled := fault
			filled.Of, filled.Point, filled.Name = fault.Name, at, e.nameAt(fault.Name, at)
			filled.Inject = slices.Clone(fault.Inject)
			for i := range filled.Inject {
				in := &filled.Inject[i]
				in.Service, in.Rules, in.Action = at.fill(in.Service), at.fill(in.Rules), Action(at.fill(string(in.Action)))
				in.Replicas, _ = in.Replicas.at(at) // Check has the error
			}
			faults = append(faults, filled)
		}
	}
	return arms, faults
}

// Meet reports whether an arm and a fault are of one point: an axis that both
// depend on has the same value in both.
func Meet(a Arm, f Fault) bool {
	for axis, value := range a.Point {
		if other, both := f.Point[axis]; both && other != value {
			return false
		}
	}
	return true
}

// At returns the sweep's values of an arm with a fault.
func At(a Arm, f Fault) Point { return a.Point.with(f.Point) }

// whole returns an arm on top of the arm before it that it is from, or of the fleet. It
// shares no maps and lists with them.
func (e *Experiment) whole(a Arm) Arm {
	below := e.Fleet
	if i := e.index(a.From); a.From != "" && i >= 0 && i < e.index(a.Name) { // else a cycle, which Check refuses
		below = e.whole(e.Arms[i])
	}
	if len(a.Manifests) == 0 {
		a.Manifests = below.Manifests
	}
	a.Manifests = slices.Clone(a.Manifests)
	a.Mesh, a.Target = cmp.Or(a.Mesh, below.Mesh), cmp.Or(a.Target, below.Target)
	a.Patches = append(slices.Clone(below.Patches), a.Patches...)
	replicas := map[string]Count{}
	maps.Copy(replicas, below.Replicas)
	maps.Copy(replicas, a.Replicas)
	env := map[string]map[string]string{}
	for _, layer := range []map[string]map[string]string{below.Env, a.Env} {
		for service, variables := range layer {
			if env[service] == nil {
				env[service] = map[string]string{}
			}
			maps.Copy(env[service], variables)
		}
	}
	a.Replicas, a.Env = replicas, env
	return a
}

// index returns the place of the first arm with a name, or -1.
func (e *Experiment) index(arm string) int {
	return slices.IndexFunc(e.Arms, func(other Arm) bool { return other.Name == arm })
}

// armAt returns a whole arm with the values of the sweep.
func (e *Experiment) armAt(a Arm, at Point) Arm {
	a = e.whole(a)
	a.Of, a.Point, a.Name, a.Target = a.Name, at, e.nameAt(a.Name, at), at.fill(a.Target)
	for _, variables := range a.Env {
		for name, value := range variables {
			variables[name] = at.fill(value)
		}
	}
	for name, count := range a.Replicas {
		a.Replicas[name] = Count(at.fill(string(count)))
	}
	for i, path := range a.Manifests {
		a.Manifests[i] = at.fill(path)
	}
	for i, patch := range a.Patches {
		a.Patches[i] = at.fillAny(map[string]any(patch)).(map[string]any)
	}
	return a
}

// nameAt is a name with the values of a point, in the order of the axes.
func (e *Experiment) nameAt(name string, at Point) string {
	var values []string
	for _, axis := range e.Sweep {
		if value, depends := at[axis.Name]; depends {
			values = append(values, axis.Name+"="+value)
		}
	}
	if len(values) == 0 {
		return name
	}
	return name + ":" + strings.Join(values, ",")
}

// points are all combinations of the axes that a part of the experiment depends
// on; one empty point if there is none.
func (e *Experiment) points(part any) []Point { return e.pointsOf(placeholders(part)) }

func (e *Experiment) pointsOf(used []string) []Point {
	points := []Point{{}}
	for _, axis := range e.Sweep {
		if !slices.Contains(used, axis.Name) {
			continue
		}
		var more []Point
		for _, point := range points {
			for _, value := range axis.Values {
				more = append(more, point.with(Point{axis.Name: string(value)}))
			}
		}
		points = more
	}
	return points
}

// placeholders are the names in the placeholders of a part of the experiment.
func placeholders(part any) (names []string) {
	text, err := json.Marshal(part)
	if err != nil {
		return nil // what JSON cannot have, a file cannot either
	}
	for _, match := range placeholder.FindAllSubmatch(text, -1) {
		names = append(names, string(match[1]))
	}
	return names
}

// Select keeps only the named arms and faults, in their order, and the goals on
// them; no names are all. What an arm has from another one becomes its own.
func (e *Experiment) Select(arms, faults []string) error {
	whole := make([]Arm, len(e.Arms))
	for i, arm := range e.Arms {
		whole[i] = e.whole(arm)
		whole[i].From = ""
	}
	pickedArms, wrongArms := pick("--arms", whole, arms, func(a Arm) string { return a.Name })
	pickedFaults, wrongFaults := pick("--faults", e.Faults, faults, func(f Fault) string { return f.Name })
	if err := errors.Join(wrongArms, wrongFaults); err != nil {
		return err
	}
	e.Arms, e.Faults = pickedArms, pickedFaults
	has := func(arm, fault string) bool {
		return (arm == "" || slices.ContainsFunc(e.Arms, func(a Arm) bool { return a.Name == arm })) &&
			(fault == "" || slices.ContainsFunc(e.Faults, func(f Fault) bool { return f.Name == fault }))
	}
	e.Goals = slices.DeleteFunc(e.Goals, func(g Goal) bool { return !has(g.Arm, g.Fault) || !has(g.Over, "") })
	e.Theory = slices.DeleteFunc(e.Theory, func(t Theory) bool { return !has(t.Arm, t.Fault) })
	e.Changed()
	return nil
}

func pick[T any](flag string, known []T, names []string, name func(T) string) (picked []T, err error) {
	if len(names) == 0 {
		return known, nil
	}
	all := collect(known, name)
	for i, wanted := range names {
		switch at := slices.Index(all, wanted); {
		case at < 0:
			err = errors.Join(err, fmt.Errorf("%s %q: must be one or more of %s, separated by commas", flag, wanted, strings.Join(all, ",")))
		case slices.Contains(names[:i], wanted):
			err = errors.Join(err, fmt.Errorf("%s %q: must be there once", flag, wanted))
		default:
			picked = append(picked, known[at])
		}
	}
	return picked, err
}
