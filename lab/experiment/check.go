package experiment

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
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
// those that goals may have; nil allows any.
func (e *Experiment) Check(figures []Figure) error {
	if problems := e.check(figures); len(problems) > 0 {
		return problems
	}
	return nil
}

// checker collects mistakes.
type checker struct {
	*Experiment
	problems Problems
}

// must notes a mistake unless ok. Its line is that of the field, or of the
// nearest one around it that the file has; a part that a flag made is named by the
// flag.
func (c *checker) must(ok bool, path, format string, args ...any) {
	if ok {
		return
	}
	p := Problem{Field: path, Text: fmt.Sprintf(format, args...)}
	if c.lines != nil {
		p.Source = c.Source
	}
	for around := path; ; around = around[:max(0, strings.LastIndexAny(around, ".["))] {
		if flag, made := c.flags[around]; made {
			p.Source, p.Field = "", strings.TrimSuffix(flag+": "+strings.TrimPrefix(path[len(around):], "."), ": ")
			break
		}
		if p.Line = c.lines[around]; p.Line > 0 || around == "" {
			break
		}
	}
	c.problems = append(c.problems, p)
}

// notEmpty notes a list that the file has without elements, although absence has a default.
func (c *checker) notEmpty(path string, n int) {
	c.must(n > 0 || !c.Has(path), path, "empty: must be absent, or one at least")
}

func (e *Experiment) check(figures []Figure) Problems {
	c := &checker{Experiment: e}
	if !c.complete() {
		return c.problems // what follows looks at every point of the sweep
	}
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
	c.notEmpty("seeds", len(e.Seeds))
	for i, seed := range e.Seeds {
		c.must(seed >= 1 && seed <= maxSeed && !slices.Contains(e.Seeds[:i], seed), fmt.Sprintf("seeds[%d]", i), "%d: must be between 1 and %d, and there once", seed, uint64(maxSeed))
	}
	c.must(e.Repeats >= 1 && e.Repeats <= 100 || e.Repeats == 0 && !c.Has("repeats"), "repeats", "%d: must be between 1 and 100", e.Repeats)
	c.goals(figures)
	c.theory(figures)
	return c.problems
}

// complete fills in the defaults, unless there are too many runs.
func (c *checker) complete() bool {
	if c.runs() > maxRuns {
		c.must(false, "", "%d arms, %d faults, %d seeds, %d repeats, and the sweep's values: must be at most %d runs", len(c.Arms), max(1, len(c.Faults)), max(1, len(c.Seeds)), max(1, c.Repeats), maxRuns)
		return false
	}
	c.notEmpty("faults", len(c.Faults))
	if len(c.Faults) == 0 {
		c.Faults = []Fault{{Name: Healthy, Meaning: "no fault: what each arm costs"}}
	}
	for _, fault := range c.Faults {
		for j := range fault.Inject {
			if r := &fault.Inject[j].Replicas; !r.All && len(r.Names) == 0 && r.Some == 0 && r.Swept == "" {
				r.Some = 1
			}
		}
	}
	for i := range c.Goals {
		if c.Goals[i].Confidence == 0 && !c.Has(fmt.Sprintf("goals[%d].confidence", i)) {
			c.Goals[i].Confidence = defaultConfidence
		}
	}
	c.fillLoad(&c.Load)
	return true
}

func (e *Experiment) armNames() []string {
	return collect(e.Arms, func(a Arm) string { return a.Name })
}

func (e *Experiment) faultNames() []string {
	return collect(e.Faults, func(f Fault) string { return f.Name })
}

// runs returns how many runs there are, or a number above maxRuns. The points of the
// sweep are counted, not made: there may be too many to have in memory.
func (c *checker) runs() (all int) {
	if len(c.Arms) > maxRuns || len(c.Faults) > maxRuns {
		return maxRuns + 1
	}
	var faults [][]string // the names of the axes that each uses
	for _, fault := range c.Faults {
		faults = append(faults, placeholders(fault))
	}
	if len(faults) == 0 {
		faults = [][]string{nil}
	}
	for _, arm := range c.Arms {
		ofArm := placeholders(c.whole(arm))
		for _, ofFault := range faults {
			each := min(max(1, len(c.Seeds)), maxRuns+1) * min(max(1, c.Repeats), maxRuns+1)
			for _, axis := range c.Sweep {
				if slices.Contains(ofArm, axis.Name) || slices.Contains(ofFault, axis.Name) {
					each = min(each*max(1, len(axis.Values)), maxRuns+1)
				}
			}
			if all += each; all > maxRuns {
				return all
			}
		}
	}
	return all
}

// nameForm is that of arms, faults and streams: the words of a table's head.
var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,39}$`)

const nameMust = "must be 1 to 40 letters, digits, '.', '_' and '-'"

// names notes a name that is no name, or is there twice.
func (c *checker) names(path string, names []string) {
	for i, name := range names {
		field := fmt.Sprintf("%s[%d].name", path, i)
		c.must(nameForm.MatchString(name), field, "%.60q: %s", name, nameMust)
		c.must(!slices.Contains(names[:i], name), field, "%.60q: must be there once", name)
	}
}

func (c *checker) arms() {
	arms := c.Arms
	c.must(len(arms) > 0, "arms", "empty: must be one at least")
	c.names("arms", c.armNames())
	c.must(c.Fleet.Name == "" && c.Fleet.From == "" && c.Fleet.Target == "", "fleet", "name, from, target: must be those of an arm")
	c.parts("fleet", c.Fleet)
	for i, arm := range arms {
		path := fmt.Sprintf("arms[%d]", i)
		before := slices.ContainsFunc(arms[:i], func(other Arm) bool { return other.Name == arm.From })
		c.must(arm.From == "" || before, path+".from", "%.60q: must be an arm before this one", arm.From)
		c.must(arm.From != "" && !before || len(c.whole(arm).Manifests) > 0, path+".manifests", "empty: must be a directory or a file, here, in the arm that it is from or in the fleet")
		c.parts(path, arm)
	}
}

// parts checks what an arm and the fleet have alike.
func (c *checker) parts(path string, a Arm) {
	for i, manifests := range a.Manifests {
		c.must(strings.TrimSpace(manifests) != "", fmt.Sprintf("%s.manifests[%d]", path, i), "empty: must be a directory or a file")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Replicas)) {
		count := a.Replicas[name]
		for _, at := range c.points(count) {
			_, err := Count(at.fill(string(count))).number()
			c.must(err == nil || len(at) == 0, path+".replicas."+name, "%v", err) // without a sweep the decoder has said so
		}
	}
	for _, service := range slices.Sorted(maps.Keys(a.Env)) {
		for _, name := range slices.Sorted(maps.Keys(a.Env[service])) {
			value := a.Env[service][name]
			c.must(variableForm.MatchString(name), path+".env."+service, "%.60q: must be the name of a variable", name)
			c.must(!strings.Contains(value, "\x00"), path+".env."+service+"."+name, "%.60q: must be without NUL", value)
		}
	}
	for i, patch := range a.Patches {
		kind, _, name := patch.Ref()
		c.must(kind != "" && name != "", fmt.Sprintf("%s.patches[%d]", path, i), "kind %.40q, metadata.name %.40q: must both be those of an object in the manifests", kind, name)
	}
}

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *checker) faults() {
	c.names("faults", c.faultNames())
	for i, fault := range c.Faults {
		c.notEmpty(fmt.Sprintf("faults[%d].inject", i), len(fault.Inject))
		for j, in := range fault.Inject {
			path := fmt.Sprintf("faults[%d].inject[%d]", i, j)
			c.must(in.Service != "", path+".service", "missing: must be the name of a service")
			c.must((in.Rules == "") != (in.Action == ""), path, "rules %.60q, action %.60q: must be one of them", in.Rules, string(in.Action))
			if in.Action != "" && !placeholder.MatchString(string(in.Action)) {
				_, _, err := in.Action.Parse()
				c.must(err == nil, path+".action", "%v", err)
			}
			for _, at := range c.points(in.Replicas) {
				_, err := in.Replicas.at(at)
				c.must(err == nil || len(at) == 0, path+".replicas", "%v", err) // without a value, the mistake is the sweep's
			}
		}
	}
}

var axisForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

func (c *checker) sweep() {
	var names []string
	used := append(placeholders(c.Arms), append(placeholders(c.Faults), placeholders(c.Fleet)...)...)
	for i, axis := range c.Sweep {
		path := fmt.Sprintf("sweep[%d]", i)
		c.must(axisForm.MatchString(axis.Name) && !slices.Contains(names, axis.Name), path+".name", "%.60q: must be letters and digits, and there once", axis.Name)
		c.must(slices.Contains(used, axis.Name), path+".name", "%.60q: must be in an arm or in a fault, as ${%s}; the load is the same for all", axis.Name, axis.Name)
		c.must(len(axis.Values) > 0, path+".values", "empty: must be one at least")
		for j, value := range axis.Values {
			c.must(!slices.Contains(axis.Values[:j], value), fmt.Sprintf("%s.values[%d]", path, j), "%q: must be there once", string(value))
		}
		names = append(names, axis.Name)
	}
	for _, name := range used {
		c.must(slices.Contains(names, name), "sweep", "no %s: must be there for ${%s}", name, name)
	}
	for _, part := range []struct {
		path  string
		value any
	}{{"fleet", c.Fleet}, {"arms", c.Arms}, {"faults", c.Faults}} {
		for _, text := range badPlaceholders(part.value) {
			c.must(false, part.path, "%.60q: must be ${NAME}, of letters and digits, with a value of the sweep", text)
		}
	}
}

// Problem is a mistake in a field that a file, or its manifests, showed later.
func (e *Experiment) Problem(path, format string, args ...any) Problem {
	c := &checker{Experiment: e}
	c.must(false, path, format, args...)
	return c.problems[0]
}
