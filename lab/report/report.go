package report

import (
	"fmt"
	"iter"
	"math"
	"net/http"
	"slices"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/stats"
)

// Report is everything that text, Markdown, JSON, CSV and HTML show.
type Report struct {
	Findings []Finding `json:"findings"`
	Goals    []Verdict `json:"goals,omitempty"`
	Columns  []Column  `json:"columns"`
	// LatencyBands are the bounds of Step.Latencies, in seconds.
	LatencyBands []float64 `json:"latencyBands"`
	Groups       []Group   `json:"groups"`
}

// Group is the faults of all comparisons that had the same conditions.
type Group struct {
	Date       string            `json:"date"` // of the first comparison
	Commands   []string          `json:"commands"`
	Experiment string            `json:"experiment,omitempty"` // the text of its file
	Conditions record.Conditions `json:"conditions"`
	Faults     []Fault           `json:"faults"`
	Sweeps     []Sweep           `json:"sweeps,omitempty"`
	Repeats    *Repeats          `json:"repeats,omitempty"`

	experiment *experiment.Experiment // nil without
}

// Fault is every arm's runs with one fault.
type Fault struct {
	Name     string   `json:"fault"`
	Rules    string   `json:"rules"`    // empty: nothing fails
	Rate     float64  `json:"rate"`     // requests per second
	Seconds  float64  `json:"seconds"`  // from fault to repair
	Pods     []string `json:"pods"`     // that had the fault in some run
	Replicas int      `json:"replicas"` // of their service
	// Hop is the watched one: CALLER>UPSTREAM.
	Hop string `json:"hop,omitempty"`
	// Baseline is the arm that the others are compared with.
	Baseline string   `json:"baseline"`
	Notes    []string `json:"notes,omitempty"`
	Arms     []Arm    `json:"arms"`

	warnings []warning
	load     experiment.Load // of the group
}

// Arm is one arm's runs, one for each seed.
type Arm struct {
	Name    string            `json:"arm"`
	Figures map[string]Figure `json:"figures"` // by the column's name; none: the arm has no such figure
	// Over are the differences to the baseline, whose own are null.
	Over map[string]Difference `json:"over,omitempty"`
	Runs []Run                 `json:"runs"`
	// Percentiles are those of all runs' latencies.
	Percentiles []Percentile `json:"percentiles"`

	settings []string
}

// Compute makes the report. Groups, faults and arms have the order of the
// experiment, else that of the records. Runs of one fault must have the same conditions.
func Compute(comparisons ...*record.Comparison) (r Report, err error) {
	r.Columns, r.LatencyBands = Columns, LatencyBands
	for _, c := range comparisons {
		if err := r.add(c); err != nil {
			return Report{}, err
		}
	}
	if err := r.check(); err != nil {
		return Report{}, err
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		g.order()
		for i := range g.Faults {
			g.Faults[i].load = g.load()
			if err := g.Faults[i].compute(); err != nil {
				return Report{}, err
			}
		}
		g.noteFrom()
		g.Sweeps, g.Repeats = g.sweeps(), g.repeats()
		if g.experiment != nil {
			if err := r.judgeOwn(g.experiment); err != nil {
				return Report{}, err
			}
		}
	}
	r.Findings = r.findings()
	return r, nil
}

// add puts a comparison into the group of its conditions.
func (r *Report) add(c *record.Comparison) error {
	g := find(&r.Groups, func(g *Group) bool { return g.Conditions.Difference(c.Conditions) == "" })
	if g.Date == "" {
		g.Date, g.Conditions, g.Experiment = c.Began.Format(time.DateOnly), c.Conditions, c.Experiment
		if c.Experiment != "" {
			var err error
			if g.experiment, err = experiment.Recorded([]byte(c.Experiment), Figures()); err != nil {
				return fmt.Errorf("the records' experiment: %w", err)
			}
		}
	}
	g.Commands = addOnce(g.Commands, c.Command)
	for _, run := range c.Runs {
		if err := g.add(run); err != nil {
			return err
		}
	}
	return nil
}

// find returns the element that matches, or a new one at the end.
func find[T any](list *[]T, matches func(*T) bool) *T {
	for i := range *list {
		if matches(&(*list)[i]) {
			return &(*list)[i]
		}
	}
	*list = append(*list, *new(T))
	return &(*list)[len(*list)-1]
}

// addOnce appends what is not in a list yet.
func addOnce[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// add computes one run and puts it where it belongs.
func (g *Group) add(run *record.Run) error {
	f := find(&g.Faults, func(f *Fault) bool { return f.Name == run.Fault })
	length := seconds(run.RepairAt - run.FaultAt)
	if f.Name == "" {
		*f = Fault{Name: run.Fault, Rules: run.Rules, Rate: run.Rate, Seconds: length, Replicas: run.Replicas}
	}
	swept := run.Point != nil // over the replicas, maybe
	if f.Rules != run.Rules || f.Rate != run.Rate || f.Seconds != length || f.Replicas != run.Replicas && !swept {
		return fmt.Errorf("%s: rules, rate, length, replicas: %q, %v, %v s, %d and %q, %v, %v s, %d: must be the same to be compared; report each directory alone",
			run.Name(), f.Rules, f.Rate, f.Seconds, f.Replicas, run.Rules, run.Rate, length, run.Replicas)
	}
	a := find(&f.Arms, func(a *Arm) bool { return a.Name == run.Arm })
	if a.Name == "" {
		a.Name, a.settings = run.Arm, run.Settings
	}
	if !slices.Equal(a.settings, run.Settings) {
		return fmt.Errorf("%s: settings: %q and %q: must be the same to be compared; report each directory alone", run.Name(), a.settings, run.Settings)
	}
	computed := compute(run, g.Conditions.SLO, g.load())
	if slices.ContainsFunc(a.Runs, computed.same) {
		return fmt.Errorf("%s: must be there once", run.Name())
	}
	a.Runs = append(a.Runs, computed)
	return nil
}

// load is that of the experiment, if there is one.
func (g *Group) load() experiment.Load {
	if g.experiment == nil {
		return getOnly
	}
	return g.experiment.Load
}

// getOnly is a load that only reads, as an experiment has by default.
var getOnly = experiment.Load{Streams: []experiment.Stream{{Method: http.MethodGet}}}

// isSteady reports whether a load has one rate.
func isSteady(l experiment.Load) bool { return l.Ramp == nil && len(l.Steps) == 0 }

// pace is the rate of a load in words. Mean is that from fault to repair.
func pace(l experiment.Load, mean float64) string {
	var rates []string
	way := "in steps"
	for _, step := range l.Steps {
		rates = append(rates, perSecond.text(step.Rate))
	}
	if l.Ramp != nil {
		rates, way = []string{perSecond.text(l.Ramp.From) + " to " + perSecond.text(l.Ramp.To)}, "in a ramp"
	}
	if isSteady(l) {
		return perSecond.text(mean) + " requests per second"
	}
	return fmt.Sprintf("%s requests per second %s, %s from fault to repair", list(rates), way, perSecond.text(mean))
}

// Pace is the rate of the load with the fault.
func (f Fault) Pace() string { return pace(f.load, f.Rate) }

// Pace is the rate of the load.
func (g Group) Pace() string { return pace(g.load(), g.Conditions.Rate) }

// check refuses a fault that is in two groups: their conditions differ.
func (r Report) check() error {
	first := map[string]record.Conditions{}
	for _, g := range r.Groups {
		for _, f := range g.Faults {
			if other, twice := first[f.Name]; twice {
				return fmt.Errorf("%s: %s: must be the same to be compared; report each directory alone", f.Name, other.Difference(g.Conditions))
			}
			first[f.Name] = g.Conditions
		}
	}
	return nil
}

// Baseline is the name of the arm that the others are compared with; without it,
// it is the first arm.
const Baseline = "none"

// compute fills in the figures of the fault's arms.
func (f *Fault) compute() error {
	if f.dropUneven(); len(f.Arms[0].Runs) == 0 {
		return fmt.Errorf("%s: seeds: none that every arm has: must be at least one", f.Name)
	}
	for i := range f.Arms {
		a := &f.Arms[i]
		a.Figures = map[string]Figure{}
		for _, c := range Columns {
			if figure := c.figure(a.Runs, stats.Confidence); figure.Value != nil || figure.Note != "" {
				a.Figures[c.Name] = figure
			}
		}
		a.Percentiles = percentiles(a.Figures["p50"].sample)
		for _, r := range a.Runs {
			f.Pods = append(f.Pods, r.seen.Pods...)
			if r.hasHop {
				f.Hop = r.watchedHop.Name()
			}
		}
	}
	slices.Sort(f.Pods)
	f.Pods = slices.Compact(f.Pods)
	base := max(0, slices.IndexFunc(f.Arms, func(a Arm) bool { return a.Name == Baseline }))
	f.Baseline = f.Arms[base].Name
	for i := range f.Arms {
		if i == base {
			continue
		}
		f.Arms[i].Over = map[string]Difference{}
		for _, c := range Columns {
			if d := c.over(f.Arms[i].Figures[c.Name], f.Arms[base].Figures[c.Name], stats.Confidence); d.Value != nil {
				f.Arms[i].Over[c.Name] = d
			}
		}
	}
	f.note()
	return nil
}

// Healthy reports whether nothing fails: the runs show what each arm costs.
func (f Fault) Healthy() bool { return f.Rules == "" }

// armsOf are the arms of some faults, each with its fault.
func armsOf(faults []Fault) iter.Seq2[Fault, Arm] {
	return func(yield func(Fault, Arm) bool) {
		for _, f := range faults {
			for _, a := range f.Arms {
				if !yield(f, a) {
					return
				}
			}
		}
	}
}

// arm returns the arm with a name.
func (f Fault) arm(name string) (Arm, bool) {
	i := slices.IndexFunc(f.Arms, func(a Arm) bool { return a.Name == name })
	if i < 0 {
		return Arm{}, false
	}
	return f.Arms[i], true
}

// Value is a figure's value; NaN without one.
func (a Arm) Value(name string) float64 {
	if v := a.Figures[name].Value; v != nil {
		return *v
	}
	return math.NaN()
}
