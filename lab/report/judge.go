package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/junit"
	"fleetman.example/lab/stats"
)

// Results of a goal.
const (
	GoalMet       = "met"
	GoalMissed    = "missed"
	GoalUndecided = "not decided"
)

// Verdict is one goal, with one arm and one fault.
type Verdict struct {
	Goal   string `json:"goal"` // as it is written
	Arm    string `json:"arm"`
	Fault  string `json:"fault"`
	Figure string `json:"figure"`
	Estimate
	// AtLeast and AtMost are the bounds, in the figure's unit.
	AtLeast *float64 `json:"atLeast,omitempty"`
	AtMost  *float64 `json:"atMost,omitempty"`
	Result  string   `json:"result"`
	// Needed is how many requests, or runs, decide a goal that is not decided, if
	// the figure stays as it is; 0: no number does, or none is known.
	Needed int    `json:"needed,omitempty"`
	Of     string `json:"of"` // requests or runs
	N      int    `json:"n"`
	// Reason is why runs that there are say nothing about the goal.
	Reason string `json:"reason,omitempty"`
	// Text is the verdict in words.
	Text string `json:"text"`
}

// Exit codes of goals.
const (
	ExitMet     = 0
	ExitMissed  = 1
	ExitUnknown = 3
)

// ExitCode is that of a report's goals: missed if one is, else not decided if
// one is.
func (r Report) ExitCode() int {
	code := ExitMet
	for _, v := range r.Goals {
		switch v.Result {
		case GoalMissed:
			return ExitMissed
		case GoalUndecided:
			code = ExitUnknown
		}
	}
	return code
}

// Judge adds the verdicts on goals: of each, for every arm and fault that it is
// about. With a sweep these are all of its points.
func (r *Report) Judge(goals ...experiment.Goal) error {
	for _, goal := range goals {
		found, err := r.judge(goal)
		c, _ := column(goal.Figure)
		switch {
		case err != nil:
			return err
		case c.worst:
			return fmt.Errorf("goal %s: figure %q: %s: must be another figure, such as lastKnown", goal, goal.Figure, unjudged)
		case len(found) == 0:
			return fmt.Errorf("goal %s: no run of %s with %s: must be in the records", goal, goal.Arm, goal.Fault)
		case strings.HasPrefix(found[0].Text, noRun):
			return fmt.Errorf("goal %s: over %q: must be an arm with that fault", goal, goal.Over)
		}
		r.Goals = append(r.Goals, found...)
	}
	r.Findings = r.findings()
	return nil
}

// judgeOwn adds the verdicts on an experiment's goals. An arm and a fault that have
// no run, because the comparison was interrupted, decide nothing.
func (r *Report) judgeOwn(e *experiment.Experiment) error {
	arms, faults := e.Expand()
	for _, goal := range e.Goals {
		found, err := r.judge(goal)
		if err != nil {
			return err
		}
		for _, a := range arms {
			for _, f := range faults {
				has := slices.ContainsFunc(found, func(v Verdict) bool { return v.Arm == a.Name && v.Fault == f.Name })
				if named(goal.Arm, a.Name, a.Of) && named(goal.Fault, f.Name, f.Of) && experiment.Meet(a, f) && !has {
					found = append(found, Verdict{Goal: goal.String(), Arm: a.Name, Fault: f.Name, Figure: goal.Figure, Of: "runs", Result: GoalUndecided, Text: noRun})
				}
			}
		}
		r.Goals = append(r.Goals, found...)
	}
	return nil
}

// noRun is the verdict without a run.
const noRun = GoalUndecided + ": no run"

// judge returns the verdicts on a goal.
func (r *Report) judge(goal experiment.Goal) (found []Verdict, err error) {
	c, ok := column(goal.Figure)
	if !ok {
		return nil, fmt.Errorf("goal %s: figure %q: must be one of %s", goal, goal.Figure, figureNames())
	}
	if err := goal.Check(c.Unit.Base); err != nil {
		return nil, fmt.Errorf("goal %s: %w", goal, err)
	}
	for f, a := range armsOf(r.faults()) {
		seen := a.Runs[0].seen
		if !named(goal.Fault, seen.Fault, seen.FaultOf) || !named(goal.Arm, seen.Arm, seen.ArmOf) {
			continue
		}
		v, err := c.judge(goal, f, a)
		if err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, nil
}

func named(wanted, name, of string) bool { return wanted == name || of != "" && wanted == of }

// judge judges a goal with one arm and one fault: met when all of the interval
// is within the bounds, missed when all of it is outside one.
func (c Column) judge(goal experiment.Goal, f Fault, a Arm) (v Verdict, err error) {
	v = Verdict{Goal: goal.String(), Arm: a.Name, Fault: f.Name, Figure: c.Name, Of: "runs"}
	if v.AtLeast, err = bound(goal, goal.AtLeast, a); err != nil {
		return v, err
	}
	if v.AtMost, err = bound(goal, goal.AtMost, a); err != nil {
		return v, err
	}
	mine := c.figure(a.Runs, float64(goal.Confidence))
	v.N, v.Estimate = mine.N, mine.Estimate
	if c.share != nil || c.quantile > 0 {
		v.Of = "requests"
	} else {
		v.N = len(a.Runs)
	}
	if c.worst {
		v.undecided(unjudged)
		return v, nil
	}
	if goal.Over != "" {
		v.judgeOver(c, goal, mine, f, a)
	} else {
		v.judge(c, mine, float64(goal.Confidence), f.void(c, a.Name))
	}
	return v, nil
}

// unjudged is why no goal can be on the highest value of all runs.
const unjudged = "the highest value of all runs has no interval"

// undecided sets the verdict on a goal that the runs say nothing about.
func (v *Verdict) undecided(reason string) {
	v.Result, v.Reason, v.Text = GoalUndecided, reason, GoalUndecided+": "+reason
}

// judge judges a figure. Void is why the runs do not have it.
func (v *Verdict) judge(c Column, f Figure, confidence float64, void string) {
	switch {
	case void != "":
		v.undecided(void)
		return
	case c.quantile > 0:
		v.decideQuantile(c, f, confidence)
	default:
		never, sometimes := f.never(c)
		v.decide(never, sometimes)
		switch {
		case c.share != nil:
			v.neededShare(f, confidence)
		case !sometimes:
			v.neededByWidth()
		}
	}
	value := f.Note
	if value == "" {
		value = Figure{Estimate: v.Estimate}.Text(c.Unit)
	}
	v.Text = v.text(value)
}

// judgeOver judges the difference to the goal's other arm. A time that never came is
// longer than any that did.
func (v *Verdict) judgeOver(c Column, goal experiment.Goal, mine Figure, f Fault, a Arm) {
	other, ok := f.other(goal.Over, a)
	if !ok {
		v.Result, v.Text = GoalUndecided, noRun+" of "+goal.Over
		return
	}
	others := c.figure(other.Runs, float64(goal.Confidence))
	v.Estimate = c.over(mine, others, float64(goal.Confidence)).Estimate
	if void := f.void(c, a.Name, other.Name); void != "" {
		v.undecided(void)
		return
	}
	never, sometimes := mine.never(c)
	otherNever, otherSometimes := others.never(c)
	value := Figure{Estimate: v.Estimate}.Text(c.Unit)
	if v.Value == nil {
		value = fmt.Sprintf("%s %s, %s %s", a.Name, mine.Text(c.Unit), other.Name, others.Text(c.Unit))
	}
	switch {
	case never && otherNever:
		v.Result, v.Reason = GoalUndecided, "neither "+c.Head
		value = v.Reason
	case never && !otherSometimes:
		v.decide(true, true)
	case otherNever && !sometimes:
		if v.Result = GoalMet; v.AtLeast != nil {
			v.Result = GoalMissed
		}
	case sometimes || otherSometimes:
		v.Result = GoalUndecided
	default:
		v.decide(false, false)
		v.neededByWidth()
	}
	v.Text = v.text(value)
}

// other returns the arm with a name at the point of the sweep that a has. An arm that is
// not swept is at every point.
func (f Fault) other(name string, a Arm) (Arm, bool) {
	if exact, ok := f.arm(name); ok {
		return exact, true
	}
	mine := a.Runs[0].seen.Point
	i := slices.IndexFunc(f.Arms, func(o Arm) bool {
		seen := o.Runs[0].seen
		for axis, value := range seen.Point {
			if mine[axis] != value {
				return false
			}
		}
		return seen.ArmOf == name
	})
	if i < 0 {
		return Arm{}, false
	}
	return f.Arms[i], true
}

// bound is a bound's value at the arm's point of the sweep; nil without a bound.
func bound(goal experiment.Goal, b experiment.Bound, a Arm) (*float64, error) {
	if b == "" {
		return nil, nil
	}
	value, err := b.Value(a.Runs[0].seen.Point)
	if err != nil {
		return nil, fmt.Errorf("goal %s: %w", goal, err)
	}
	return &value, nil
}

// never reports of how many runs the figure has no value because it never came:
// all, some or none.
func (f Figure) never(c Column) (all, some bool) {
	if c.never == "" {
		return false, false
	}
	return f.N == 0 && len(f.Runs) > 0, f.N < len(f.Runs)
}

// decide compares the interval with the bounds. A time that never came is longer
// than any.
func (v *Verdict) decide(never, sometimes bool) {
	v.Result = GoalUndecided
	switch {
	case never && v.AtMost != nil:
		v.Result = GoalMissed
	case never:
		v.Result = GoalMet
	case v.Low == nil || sometimes:
	case v.AtLeast != nil && *v.High < *v.AtLeast, v.AtMost != nil && *v.Low > *v.AtMost:
		v.Result = GoalMissed
	case (v.AtLeast == nil || *v.Low >= *v.AtLeast) && (v.AtMost == nil || *v.High <= *v.AtMost):
		v.Result = GoalMet
	}
}

// decideQuantile judges the share of the requests that do not exceed the bound, with the
// design effect of runs that differ: the quantile does not exceed the bound when that
// share is at least the quantile's.
func (v *Verdict) decideQuantile(c Column, f Figure, confidence float64) {
	if v.Result = GoalMet; f.N == 0 {
		v.Result = GoalUndecided
	}
	for _, b := range []struct {
		limit *float64
		most  bool
	}{{v.AtMost, true}, {v.AtLeast, false}} {
		if b.limit == nil || f.N == 0 {
			continue
		}
		pooled, effective := stats.Pool(f.sample.AtMost(*b.limit))
		i := stats.Share(effective, confidence)
		switch above, below := i.Low >= c.quantile, i.High < c.quantile; {
		case b.most && below, !b.most && above:
			v.Result = GoalMissed
			return
		case !above && !below:
			v.Result, v.Needed = GoalUndecided, neededOf(pooled.Share(), c.quantile, confidence, pooled.N/effective.N)
		}
	}
}

// nearest returns the bound that the value is nearest to.
func (v *Verdict) nearest() (b float64, ok bool) {
	least := math.Inf(1)
	for _, limit := range []*float64{v.AtLeast, v.AtMost} {
		if limit != nil && v.Value != nil && math.Abs(*limit-*v.Value) < least {
			b, least, ok = *limit, math.Abs(*limit-*v.Value), true
		}
	}
	return b, ok
}

// neededShare is of a share.
func (v *Verdict) neededShare(f Figure, confidence float64) {
	if b, ok := v.nearest(); ok && v.Result == GoalUndecided && f.scale > 0 {
		v.Needed = neededOf(*v.Value/f.scale, b/f.scale, confidence, f.effect)
	}
}

// neededOf is stats.Needed of requests of which so many are worth an independent one.
func neededOf(share, bound, confidence, effect float64) int {
	return int(math.Ceil(float64(stats.Needed(share, bound, confidence)) * effect))
}

// neededByWidth uses that an interval is half as wide with four times as many.
func (v *Verdict) neededByWidth() {
	b, ok := v.nearest()
	switch {
	case !ok || v.Result != GoalUndecided:
	case v.Low == nil && v.Of == "runs":
		v.Needed = max(3, v.N+1)
	case v.Low != nil && b != *v.Value:
		half := *v.Value - *v.Low
		if b > *v.Value {
			half = *v.High - *v.Value
		}
		ratio := half / math.Abs(b-*v.Value)
		v.Needed = max(v.N+1, int(math.Ceil(float64(v.N)*ratio*ratio)))
	}
}

// text is the verdict in words: not decided by 450 requests: 99.8 % (98.4..100);
// 1 917 would decide it.
func (v *Verdict) text(value string) string {
	if v.Result != GoalUndecided {
		return fmt.Sprintf("%s: %s of %s", v.Result, value, v.sample())
	}
	text := fmt.Sprintf("not decided by %s: %s", v.sample(), value)
	if v.Needed > 0 {
		text += fmt.Sprintf("; about %d would decide it", v.Needed)
	}
	return text
}

// sample is what the verdict is of: 150 requests.
func (v *Verdict) sample() string { return plural(v.N, strings.TrimSuffix(v.Of, "s")) }

// Unmet are the verdicts on goals that are missed, or not decided.
func (r Report) Unmet() []Verdict {
	return slices.DeleteFunc(slices.Clone(r.Goals), func(v Verdict) bool { return v.Result == GoalMet })
}

// Line is the goal with its point of a sweep, and the verdict.
func (v Verdict) Line() string {
	point := ""
	if !strings.HasPrefix(v.Goal, v.Arm+", "+v.Fault+":") {
		point = " (" + v.Arm + ", " + v.Fault + ")"
	}
	return v.Goal + point + ": " + v.Text
}

// JUnit writes the goals as a test suite: a missed goal is a failure, one that
// is not decided an error.
func JUnit(w io.Writer, r Report) error {
	suite := junit.Suite{Name: "fleetman goals"}
	for _, v := range r.Goals {
		c := junit.Case{Class: v.Fault + "." + v.Arm, Name: v.Goal, Output: v.Text}
		switch v.Result {
		case GoalMissed:
			c.Failure = &junit.Problem{Message: v.Text}
		case GoalUndecided:
			c.Error = &junit.Problem{Message: v.Text}
		}
		suite.Add(c)
	}
	return junit.Write(w, suite)
}
