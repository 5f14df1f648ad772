package experiment

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Healthy is the name of the fault of an experiment that has none.
const Healthy = "healthy"

// The bounds of an experiment, so that a typo does not run for a day.
const (
	minRate  = 0.1
	maxRate  = 1000
	maxPhase = Duration(time.Hour)
	maxJobs  = 100
	maxRuns  = 1000
	maxSeed  = 1<<62 - 100
)

// New returns an experiment with the defaults of everything that a file may leave
// out; what depends on other fields is filled in by Check. After the repair there
// is time for an open period of 10 s, and for the report's window of 3 s.
func New() *Experiment {
	return &Experiment{
		SLO:    Duration(1500 * time.Millisecond),
		Phases: Phases{Duration(3 * time.Second), Duration(15 * time.Second), Duration(13200 * time.Millisecond)},
		Load:   Load{Target: TargetGateway, Timeout: Duration(10 * time.Second), MaxInFlight: 1000},
	}
}

// Check fills in the defaults and returns every mistake as Problems. Figures are
// the names that goals may have; nil allows any.
func (e *Experiment) Check(figures []string) error {
	if problems := e.check(figures); len(problems) > 0 {
		return problems
	}
	return nil
}

// checker collects mistakes.
type checker struct {
	e        *Experiment
	problems Problems
}

// must notes a mistake unless ok. Its line is that of the field, or of the
// nearest one around it that the file has.
func (c *checker) must(ok bool, path, format string, args ...any) {
	if ok {
		return
	}
	p := Problem{Field: path, Text: fmt.Sprintf(format, args...)}
	if c.e.lines != nil {
		p.Source = c.e.Source
	}
	for around := path; p.Line == 0 && len(c.e.lines) > 0; around = around[:max(0, strings.LastIndexAny(around, ".["))] {
		if p.Line = c.e.lines[around]; around == "" {
			break
		}
	}
	c.problems = append(c.problems, p)
}

func (e *Experiment) check(figures []string) Problems {
	e.fillDefaults()
	c := &checker{e: e}
	c.must(strings.TrimSpace(e.Question) != "" && !strings.ContainsAny(e.Question, "\r\n"), "question", "%.60q: must be the question that the experiment answers, in one line, here or as a comment in the file's first line", e.Question)
	c.arms()
	c.faults()
	c.load()
	c.sweep()
	for _, phase := range []struct {
		name string
		d    Duration
		min  time.Duration
	}{{"healthy", e.Phases.Healthy, 0}, {"fault", e.Phases.Fault, 100 * time.Millisecond}, {"after", e.Phases.After, 0}} {
		c.must(phase.d >= Duration(phase.min) && phase.d <= maxPhase, "phases."+phase.name, "%v: must be between %v and 1h", phase.d, phase.min)
	}
	c.must(e.SLO > 0 && e.SLO <= maxPhase, "slo", "%v: must be more than 0s, and at most 1h", e.SLO)
	for i, seed := range e.Seeds {
		c.must(seed >= 1 && seed <= maxSeed && !slices.Contains(e.Seeds[:i], seed), fmt.Sprintf("seeds[%d]", i), "%d: must be between 1 and %d, and there once", seed, uint64(maxSeed))
	}
	c.must(e.Repeats >= 0 && e.Repeats <= 100, "repeats", "%d: must be between 1 and 100", e.Repeats)
	c.goals(figures)
	if len(c.problems) == 0 {
		arms, faults := e.Expand()
		runs := len(arms) * len(faults) * max(1, len(e.Seeds)) * max(1, e.Repeats)
		c.must(runs <= maxRuns, "", "%d arms, %d faults, %d seeds, %d repeats: must be at most %d runs", len(arms), len(faults), max(1, len(e.Seeds)), max(1, e.Repeats), maxRuns)
	}
	return c.problems
}

func (e *Experiment) fillDefaults() {
	if len(e.Faults) == 0 {
		e.Faults = []Fault{{Name: Healthy, Meaning: "no fault: what each arm costs"}}
	}
	for i := range e.Faults {
		for j := range e.Faults[i].Inject {
			if r := &e.Faults[i].Inject[j].Replicas; !r.All && len(r.Names) == 0 && r.Some == 0 {
				r.Some = 1
			}
		}
	}
	for i := range e.Goals {
		if e.Goals[i].Confidence == 0 {
			e.Goals[i].Confidence = defaultConfidence
		}
	}
	e.Load.fillDefaults()
}

func (l *Load) fillDefaults() {
	if l.Rate == 0 && len(l.Steps) == 0 && l.Ramp == nil {
		l.Rate = 10
	}
	if len(l.Streams) == 0 {
		switch l.Target {
		case TargetGateway, TargetIngress:
			l.Streams = []Stream{{Name: "driver", Path: "/vehicles/driver/{vehicle}"}}
		case TargetPage:
			l.Streams = []Stream{{Name: "positions", Path: "/api/vehicles/"}, {Name: "driver", Path: "/api/vehicles/driver/{vehicle}"}}
		}
	}
	for i := range l.Streams {
		s := &l.Streams[i]
		if s.Method == "" {
			s.Method = "GET"
		}
		if s.Share == 0 {
			s.Share = 1
		}
		if s.Name == "" && len(l.Streams) == 1 {
			s.Name = "all"
		}
	}
}

// nameForm is that of arms, faults and streams: the words of a table's head.
var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,39}$`)

const nameMust = "must be 1 to 40 letters, digits, '.', '_' and '-'"

// names notes a name that is no name, or is there twice.
func (c *checker) names(path string, n int, name func(int) string) {
	var seen []string
	for i := range n {
		field := fmt.Sprintf("%s[%d].name", path, i)
		c.must(nameForm.MatchString(name(i)), field, "%.60q: %s", name(i), nameMust)
		c.must(!slices.Contains(seen, name(i)), field, "%.60q: must be there once", name(i))
		seen = append(seen, name(i))
	}
}

func (c *checker) arms() {
	arms := c.e.Arms
	c.must(len(arms) > 0, "arms", "empty: must be one at least")
	c.names("arms", len(arms), func(i int) string { return arms[i].Name })
	c.must(c.e.Fleet.Name == "" && c.e.Fleet.From == "" && c.e.Fleet.Target == "", "fleet", "name, from, target: must be those of an arm")
	c.parts("fleet", c.e.Fleet)
	for i, arm := range arms {
		path := fmt.Sprintf("arms[%d]", i)
		before := slices.ContainsFunc(arms[:i], func(other Arm) bool { return other.Name == arm.From })
		c.must(arm.From == "" || before, path+".from", "%.60q: must be an arm before this one", arm.From)
		c.must(arm.From != "" && !before || len(c.e.whole(arm).Manifests) > 0, path+".manifests", "empty: must be a directory or a file, here, in the arm that it is from or in the fleet")
		c.parts(path, arm)
	}
}

// parts checks what an arm and the fleet have alike.
func (c *checker) parts(path string, a Arm) {
	for i, manifests := range a.Manifests {
		c.must(strings.TrimSpace(manifests) != "", fmt.Sprintf("%s.manifests[%d]", path, i), "empty: must be a directory or a file")
	}
	for name, count := range a.Replicas {
		for _, at := range c.e.points(count) {
			_, err := Count(at.fill(string(count))).number()
			c.must(err == nil || len(at) == 0, path+".replicas."+name, "%v", err) // without a sweep the decoder has said so
		}
	}
	for service, variables := range a.Env {
		for name := range variables {
			c.must(variableForm.MatchString(name), path+".env."+service, "%.60q: must be the name of a variable", name)
		}
	}
	for i, patch := range a.Patches {
		kind, _, name := patch.Ref()
		c.must(kind != "" && name != "", fmt.Sprintf("%s.patches[%d]", path, i), "kind %.40q, metadata.name %.40q: must both be those of an object in the manifests", kind, name)
	}
}

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *checker) faults() {
	faults := c.e.Faults
	c.names("faults", len(faults), func(i int) string { return faults[i].Name })
	for i, fault := range faults {
		for j, in := range fault.Inject {
			path := fmt.Sprintf("faults[%d].inject[%d]", i, j)
			c.must(in.Service != "", path+".service", "missing: must be the name of a service")
			c.must((in.Rules == "") != (in.Action == ""), path, "rules %.60q, action %.60q: must be one of them", in.Rules, string(in.Action))
			if in.Action != "" && !placeholder.MatchString(string(in.Action)) {
				_, _, err := in.Action.Parse()
				c.must(err == nil, path+".action", "%v", err)
			}
		}
	}
}

func (c *checker) load() {
	l := c.e.Load
	ways := 0
	for _, set := range []bool{l.Rate != 0, len(l.Steps) > 0, l.Ramp != nil} {
		if set {
			ways++
		}
	}
	c.must(ways == 1, "load", "%d of rate, steps and ramp: must be one of them", ways)
	rate := func(path string, rate float64) {
		most := maxRate * max(1, l.Jobs)
		c.must(rate >= minRate && rate <= float64(most), path, "%v: must be between %v and %d requests per second", rate, minRate, most)
	}
	if l.Rate != 0 {
		rate("load.rate", l.Rate)
	}
	for i, step := range l.Steps {
		rate(fmt.Sprintf("load.steps[%d].rate", i), step.Rate)
		last := i == len(l.Steps)-1
		c.must(last || step.For > 0 && step.For <= maxPhase, fmt.Sprintf("load.steps[%d].for", i), "%v: must be more than 0s, and at most 1h, but in the last step", step.For)
	}
	if l.Ramp != nil {
		rate("load.ramp.from", l.Ramp.From)
		rate("load.ramp.to", l.Ramp.To)
	}
	c.must(l.Timeout > 0 && l.Timeout <= maxPhase, "load.timeout", "%v: must be more than 0s, and at most 1h", l.Timeout)
	c.must(l.MaxInFlight >= 1 && l.MaxInFlight <= 100_000, "load.maxInFlight", "%d: must be between 1 and 100000", l.MaxInFlight)
	c.must(l.Jobs >= 0 && l.Jobs <= maxJobs, "load.jobs", "%d: must be between 1 and %d", l.Jobs, maxJobs)
	c.must(l.Jobs < 2 || l.From == "", "load.jobs", "%d: must be 1 with load.from, a pod of which sends the load", l.Jobs)
	c.must(len(l.Streams) > 0, "load.streams", "empty: must be one at least for the target %.60q", l.Target)
	c.names("load.streams", len(l.Streams), func(i int) string { return l.Streams[i].Name })
	for i, s := range l.Streams {
		c.stream(fmt.Sprintf("load.streams[%d]", i), s)
	}
}

// Vehicle is the part of a stream's path that a vehicle's name replaces.
const Vehicle = "{vehicle}"

var methodForm = regexp.MustCompile(`^[A-Z]+$`)

func (c *checker) stream(path string, s Stream) {
	target, err := url.ParseRequestURI(strings.ReplaceAll(s.Path, Vehicle, "x"))
	c.must(err == nil && strings.HasPrefix(s.Path, "/") && !strings.ContainsAny(s.Path, " #") && target.Host == "", path+".path", "%.80q: must be an escaped path such as /vehicles/driver/{vehicle}", s.Path)
	c.must(methodForm.MatchString(s.Method), path+".method", "%.20q: must be a method such as GET", s.Method)
	c.must(s.Share >= 1 && s.Share <= 1000, path+".share", "%d: must be between 1 and 1000", s.Share)
	for name, value := range s.Headers {
		c.must(httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value), path+".headers."+name, "%.60q: must be a header", value)
	}
}

var axisForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

func (c *checker) sweep() {
	var names []string
	used := append(placeholders(c.e.Arms), append(placeholders(c.e.Faults), placeholders(c.e.Fleet)...)...)
	for i, axis := range c.e.Sweep {
		path := fmt.Sprintf("sweep[%d]", i)
		c.must(axisForm.MatchString(axis.Name) && !slices.Contains(names, axis.Name), path+".name", "%.60q: must be letters and digits, and there once", axis.Name)
		c.must(slices.Contains(used, axis.Name), path+".name", "%.60q: must be in an arm or in a fault, as ${%s}", axis.Name, axis.Name)
		c.must(len(axis.Values) > 0, path+".values", "empty: must be one at least")
		for j, value := range axis.Values {
			c.must(!slices.Contains(axis.Values[:j], value), fmt.Sprintf("%s.values[%d]", path, j), "%q: must be there once", string(value))
		}
		names = append(names, axis.Name)
	}
	for _, name := range used {
		c.must(slices.Contains(names, name), "sweep", "no %s: must be there for ${%s}", name, name)
	}
}

func (c *checker) goals(figures []string) {
	var arms, faults []string
	for _, arm := range c.e.Arms {
		arms = append(arms, arm.Name)
	}
	for _, fault := range c.e.Faults {
		faults = append(faults, fault.Name)
	}
	oneOf := func(path, name string, known []string) {
		known = unique(known)
		c.must(len(known) == 0 || slices.Contains(known, name), path, "%.60q: must be one of %s", name, strings.Join(known, ", "))
	}
	for i, g := range c.e.Goals {
		path := fmt.Sprintf("goals[%d]", i)
		if figures != nil {
			oneOf(path+".figure", g.Figure, figures)
		}
		c.must(g.Figure != "", path+".figure", "missing: must be the name of a figure")
		oneOf(path+".arm", g.Arm, arms)
		oneOf(path+".fault", g.Fault, faults)
		if g.Over != "" {
			oneOf(path+".over", g.Over, arms)
			c.must(g.Over != g.Arm, path+".over", "%.60q: must be another arm", g.Over)
		}
		c.must(g.AtLeast != "" || g.AtMost != "", path, "no bound: must have atLeast, atMost or both")
		c.bound(path+".atLeast", g.AtLeast)
		c.bound(path+".atMost", g.AtMost)
		c.inOrder(path, g)
		c.must(g.Confidence >= .5 && g.Confidence < 1, path+".confidence", "%v: must be at least 50%%, and less than 100%%", float64(g.Confidence))
	}
	for i, t := range c.e.Theory {
		path := fmt.Sprintf("theory[%d]", i)
		if figures != nil {
			oneOf(path+".figure", t.Figure, figures)
		}
		c.must(t.Formula != "", path+".formula", "missing: must be a formula of the sweep's values")
		c.bound(path+".formula", t.Formula)
	}
}

// inOrder notes a goal without sweep that no figure can meet.
func (c *checker) inOrder(path string, g Goal) {
	least, wrongLeast := g.AtLeast.Value(nil)
	most, wrongMost := g.AtMost.Value(nil)
	if g.AtLeast != "" && g.AtMost != "" && wrongLeast == nil && wrongMost == nil {
		c.must(least <= most, path, "atLeast %s, atMost %s: atLeast must not be more than atMost", g.AtLeast, g.AtMost)
	}
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

// bound notes a bound that has no value at some point of the sweep.
func (c *checker) bound(path string, b Bound) {
	if b == "" {
		return
	}
	at := Point{}
	for _, axis := range c.e.Sweep {
		for _, value := range axis.Values {
			at[axis.Name] = value
			v, err := b.Value(at)
			if err != nil {
				break
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				c.must(false, path, "%s: %v: must be a number", b, v)
				return
			}
		}
	}
	v, err := b.Value(at)
	c.must(err == nil, path, "%v", err)
	c.must(err != nil || !math.IsNaN(v) && !math.IsInf(v, 0), path, "%s: %v: must be a number", b, v)
}

// Problem is a mistake in a field that a file, or its manifests, showed later.
func (e *Experiment) Problem(path, format string, args ...any) Problem {
	c := &checker{e: e}
	c.must(false, path, format, args...)
	return c.problems[0]
}
