package check

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/process"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/usage"
)

// Scenario is a directory with an expect.yaml, and its manifests.
type Scenario struct {
	Name    string // path of the directory below k8s/scenarios; outside of it, the directory's name
	Dir     string
	Objects *manifest.Objects
	File    *scenario.File
}

// Find loads the scenarios in and below the directories. root is the directory k8s/scenarios.
func Find(root string, dirs ...string) ([]Scenario, error) {
	var found []Scenario
	for _, dir := range dirs {
		before := len(found)
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() != "expect.yaml" {
				return err
			}
			s, err := read(root, filepath.Dir(path))
			if err == nil && !slices.ContainsFunc(found, func(other Scenario) bool { return other.Dir == s.Dir }) {
				found = append(found, s)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("find scenarios: %w", err)
		}
		if len(found) == before {
			return nil, usage.Errorf("find scenarios: no expect.yaml in %s or below it", dir)
		}
	}
	return found, nil
}

func read(root, dir string) (Scenario, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Scenario{}, err
	}
	name := filepath.Base(dir)
	if relative, err := filepath.Rel(root, dir); err == nil && !strings.HasPrefix(relative, "..") {
		name = filepath.ToSlash(relative)
	}
	file, err := scenario.Load(filepath.Join(dir, "expect.yaml"))
	if err != nil {
		return Scenario{}, err
	}
	objects, err := manifest.Load(dir)
	if err != nil {
		return Scenario{}, err
	}
	if err := file.CheckAgainst(objects); err != nil {
		return Scenario{}, err
	}
	return Scenario{Name: name, Dir: dir, Objects: objects, File: file}, nil
}

// Runner checks scenarios. Each promise and each control has a fleet of its own, so that none affects
// another.
type Runner struct {
	Start Start
	// Jobs is the number of fleets that run at once. Defaults to 1.
	Jobs int
	// Again is how often a promise that failed is checked again, after all others and alone: what else the
	// machine does can delay responses, a defect fails each time.
	Again int
	// Seed makes the fleets reproducible: which requests meet a fault, which addresses are chosen, when
	// vehicles report.
	Seed uint64
	// Scenarios is the directory of the scenarios that controls refer to.
	Scenarios string
	// NoControl skips the controls.
	NoControl bool
	// Only selects promises by "SCENARIO: PROMISE". Nil selects all.
	Only *regexp.Regexp
	// Progress is called with one line at a time. Nil discards them.
	Progress func(line string)
	// Done is called with each result, one at a time. Nil discards them.
	Done func(Result)
}

// Result is the result of one promise.
type Result struct {
	Scenario string  `json:"scenario"`
	Promise  string  `json:"promise"`
	Holds    bool    `json:"holds"`
	Seconds  float64 `json:"seconds"`
	// Error is why the promise could not be checked.
	Error  string        `json:"error,omitempty"`
	Checks []CheckResult `json:"checks"`
	// Control is the result of the control. Nil means that it was skipped.
	Control *ControlResult `json:"control,omitempty"`
	Seed    uint64         `json:"seed"`
	// Again is how often the promise was checked again, because it had failed.
	Again int `json:"again,omitempty"`
}

// CheckResult is the result of one check.
type CheckResult struct {
	Requests string    `json:"requests"`
	Seconds  float64   `json:"seconds"`
	Findings []Finding `json:"findings"`
	Guard    bool      `json:"guard,omitempty"`
}

func (c CheckResult) holds() bool {
	return !slices.ContainsFunc(c.Findings, func(f Finding) bool { return !f.Holds })
}

// provesNothing reports whether a check that must fail with the control holds.
func (c CheckResult) provesNothing() bool { return c.holds() && !c.Guard }

// ControlResult is the result of a control.
type ControlResult struct {
	Change string `json:"change"`
	// Broken reports whether the control broke the promise: no check held except guards.
	Broken bool          `json:"broken"`
	Error  string        `json:"error,omitempty"`
	Checks []CheckResult `json:"checks"`
}

// OK reports whether the promise holds and its control broke it.
func (r Result) OK() bool {
	return r.Holds && r.Error == "" && (r.Control == nil || (r.Control.Broken && r.Control.Error == ""))
}

// task is one promise to check.
type task struct {
	of      Scenario
	promise *scenario.Promise
	result  int // index of its result
}

// Run checks the scenarios and returns the results in the order of the promises. The error is the context's
// cause; all other errors are in the results.
func (r Runner) Run(ctx context.Context, scenarios []Scenario) ([]Result, error) {
	tasks := r.tasks(scenarios)
	if len(tasks) > 0 {
		r.progress("seed %d", r.Seed)
	}
	if r.Jobs > 1 { // longest first, so that no long one runs alone at the end
		slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(b.promise.Pace(), a.promise.Pace()) })
	}
	results := make([]Result, len(tasks))
	r.all(ctx, tasks, results)
	r.again(ctx, tasks, results)
	if ctx.Err() != nil {
		return slices.DeleteFunc(results, func(r Result) bool { return r.Scenario == "" }), context.Cause(ctx)
	}
	return results, nil
}

// tasks returns the promises that Only selects.
func (r Runner) tasks(scenarios []Scenario) (tasks []task) {
	for _, s := range scenarios {
		for i := range s.File.Promises {
			promise := &s.File.Promises[i]
			if r.Only == nil || r.Only.MatchString(s.Name+": "+promise.Promise) {
				tasks = append(tasks, task{s, promise, len(tasks)})
			}
		}
	}
	return tasks
}

// Fleets returns the objects of the fleets that Run starts: those of the scenarios, and of the controls. The error of a
// control that cannot be made is one of its promise.
func (r Runner) Fleets(scenarios []Scenario) (all []*manifest.Objects) {
	for _, t := range r.tasks(scenarios) {
		if !slices.Contains(all, t.of.Objects) {
			all = append(all, t.of.Objects)
		}
		if r.NoControl {
			continue
		}
		if objects, err := r.control(t.of, t.of.Objects, t.promise); err == nil {
			all = append(all, objects)
		}
	}
	return all
}

// all does the tasks, Jobs at a time, and writes their results.
func (r Runner) all(ctx context.Context, tasks []task, results []Result) {
	var reporting sync.Mutex
	next := make(chan task)
	var workers sync.WaitGroup
	for place := range max(r.Jobs, 1) {
		at := r
		at.Progress = func(line string) {
			reporting.Lock()
			defer reporting.Unlock()
			if r.Progress != nil {
				r.Progress(line)
			}
		}
		workers.Go(func() {
			for t := range next {
				if ctx.Err() != nil {
					continue
				}
				result := at.promise(ctx, place, t.of, t.promise)
				if ctx.Err() != nil {
					continue
				}
				reporting.Lock()
				r.keep(result, &results[t.result])
				reporting.Unlock()
			}
		})
	}
	for _, t := range tasks {
		next <- t
	}
	close(next)
	workers.Wait()
}

// again does what failed up to Again times more, alone.
func (r Runner) again(ctx context.Context, tasks []task, results []Result) {
	for _, t := range tasks {
		for n := 1; n <= r.Again && ctx.Err() == nil && !results[t.result].OK(); n++ {
			r.progress("%s: %s: failed: again, alone", t.of.Name, t.promise.Promise)
			result := r.promise(ctx, 0, t.of, t.promise)
			if ctx.Err() != nil {
				return // the earlier result stays
			}
			result.Again = n
			r.keep(result, &results[t.result])
		}
	}
}

// keep writes a result, and shows it.
func (r Runner) keep(result Result, at *Result) {
	*at = result
	if r.Done != nil {
		r.Done(result)
	}
}

func (r Runner) progress(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, args...))
	}
}

func (r Runner) promise(ctx context.Context, place int, s Scenario, p *scenario.Promise) (result Result) {
	began := time.Now()
	result = Result{Scenario: s.Name, Promise: p.Promise, Seed: r.Seed}
	defer func() { result.Seconds = time.Since(began).Seconds() }()
	objects, err := withSettings(s.Objects, p.Given.Set, false)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	r.progress("%s: %s", s.Name, p.Promise)
	result.Checks, err = r.checks(ctx, place, objects, p, false)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.Holds = !slices.ContainsFunc(result.Checks, func(c CheckResult) bool { return !c.holds() })
	if r.NoControl || !result.Holds {
		return result
	}
	result.Control = &ControlResult{Change: describeControl(&p.Control)}
	r.progress("%s: control: %s", s.Name, result.Control.Change)
	if objects, err = r.control(s, objects, p); err == nil {
		result.Control.Checks, err = r.checks(ctx, place, objects, p, true)
	}
	if err != nil {
		result.Control.Error = err.Error()
		return result
	}
	result.Control.Broken = !slices.ContainsFunc(result.Control.Checks, CheckResult.provesNothing)
	return result
}

// control returns the objects of the control's fleet.
func (r Runner) control(s Scenario, objects *manifest.Objects, p *scenario.Promise) (*manifest.Objects, error) {
	switch c := &p.Control; {
	case len(c.Without) > 0:
		return without(objects, c.Without), nil
	case c.With != "":
		return with(objects, filepath.Join(s.Dir, c.With))
	case len(c.Set) > 0:
		return withSettings(objects, c.Set, false)
	default:
		other, err := manifest.Load(filepath.Join(r.Scenarios, filepath.FromSlash(c.Scenario)))
		if err != nil {
			return nil, err
		}
		return withSettings(other, p.Given.Set, true)
	}
}

func describeControl(c *scenario.Control) string {
	switch {
	case len(c.Without) > 0:
		return "without " + strings.Join(c.Without, " and ")
	case c.With != "":
		return "with " + c.With
	case len(c.Set) > 0:
		var all []string
		for _, s := range c.Set {
			all = append(all, fmt.Sprintf("%s:%s=%s", s.Target, s.Name, s.Value))
		}
		return "with " + strings.Join(all, " ")
	}
	return "in the scenario " + c.Scenario
}

// checks runs a promise's checks on one fleet, that of the promise or of its control.
func (r Runner) checks(ctx context.Context, place int, objects *manifest.Objects, p *scenario.Promise, control bool) (results []CheckResult, err error) {
	target, err := r.Start(ctx, place, withSeed(objects, r.Seed))
	if err != nil {
		return nil, fmt.Errorf("start the fleet: %w", err)
	}
	defer target.Stop()
	return r.on(ctx, target, p, control)
}

// On runs a promise's checks on a running fleet, without the control.
func (r Runner) On(ctx context.Context, target Target, p *scenario.Promise) (results []CheckResult, err error) {
	return r.on(ctx, target, p, false)
}

func (r Runner) on(ctx context.Context, target Target, p *scenario.Promise, control bool) (results []CheckResult, err error) {
	for i := range p.Checks {
		result, err := r.check(ctx, target, &p.Checks[i], control)
		if err != nil {
			return results, fmt.Errorf("check %d, %s: %w", i+1, describeRequests(&p.Checks[i].Requests), err)
		}
		results = append(results, result)
	}
	if err := target.Err(ctx); err != nil {
		return results, fmt.Errorf("the observations are invalid: %w", err)
	}
	return results, nil
}

// check sends the requests of a check and judges the responses. With a control it stops sending when nothing that
// is left could make the check hold, and judges only what decides that.
func (r Runner) check(ctx context.Context, target Target, c *scenario.Check, control bool) (CheckResult, error) {
	began := time.Now()
	result := CheckResult{Requests: describeRequests(&c.Requests), Guard: c.Guard}
	route, err := target.Route(ctx, &c.Requests)
	if err != nil {
		return result, err
	}
	name := rand.Text()
	seen := observation{planned: c.Requests.Count}
	during := func(ctx context.Context, began time.Time) error {
		inOrder := slices.SortedStableFunc(slices.Values(c.Actions), func(a, b scenario.Action) int { return cmp.Compare(a.After.Duration, b.After.Duration) })
		for _, action := range inOrder {
			if process.Sleep(ctx, time.Until(began.Add(action.After.Duration))) != nil {
				return nil
			}
			if err := act(ctx, target, action); err != nil && ctx.Err() == nil {
				return err
			}
			seen.lastAction = time.Since(began)
		}
		return nil
	}
	if seen.records, err = send(ctx, route, &c.Requests, name, during, decides(c, control)); err != nil {
		return result, err
	}
	expect := c.Expect
	if seen.left() > 0 {
		expect = slices.DeleteFunc(slices.Clone(expect), func(e scenario.Expect) bool { return !seen.cannotHold(e) })
	}
	for _, record := range seen.records {
		seen.ended = max(seen.ended, record.Start+record.Took)
	}
	if slices.ContainsFunc(expect, func(e scenario.Expect) bool { return e.Received != nil }) {
		if seen.calls, err = settled(ctx, target, name); err != nil {
			return result, err
		}
	}
	if slices.ContainsFunc(expect, func(e scenario.Expect) bool { return e.Proxies != nil }) {
		if seen.proxies, err = target.Proxies(ctx); err != nil {
			return result, fmt.Errorf("read the proxies' control planes: %w", err)
		}
	}
	for i := range expect {
		result.Findings = append(result.Findings, seen.judge(&expect[i]))
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

// decides returns a function that reports whether the first records decide that a control's check cannot hold. It
// is nil for a check that must send all its requests.
func decides(c *scenario.Check, control bool) func(first []Record) bool {
	if !control || c.Guard {
		return nil
	}
	return func(first []Record) bool {
		seen := observation{planned: c.Requests.Count, records: first}
		return slices.ContainsFunc(c.Expect, seen.cannotHold)
	}
}

func act(ctx context.Context, target Target, action scenario.Action) error {
	if action.Kill {
		if err := target.Kill(ctx, action.Workload); err != nil {
			return fmt.Errorf("kill the pods of %s: %w", action.Workload, err)
		}
		return nil
	}
	if err := target.SetFaults(ctx, action.Workload, action.Faults); err != nil {
		return fmt.Errorf("set the faults of %s to %q: %w", action.Workload, action.Faults, err)
	}
	return nil
}

// Logs are written a fraction of a second late, and mirrored requests may still be in flight: the calls are
// counted when their number has not changed for quietTime, after at most quietLimit.
const (
	quietTime  = time.Second
	quietPoll  = 200 * time.Millisecond
	quietLimit = 20 * time.Second
)

// settled returns the received calls of a check when their number no longer changes.
func settled(ctx context.Context, target Target, check string) ([]Call, error) {
	began := time.Now()
	var calls []Call
	for since := began; time.Since(began) < quietLimit; {
		now, err := target.Received(ctx, check)
		if err != nil {
			return nil, fmt.Errorf("count received calls: %w", err)
		}
		if len(now) != len(calls) {
			since = time.Now()
		}
		calls = now
		if time.Since(since) >= quietTime {
			return calls, nil
		}
		if err := process.Sleep(ctx, quietPoll); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("count received calls: their number still changes after %v", quietLimit)
}
