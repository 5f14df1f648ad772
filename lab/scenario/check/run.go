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
	"fleetman.example/lab/scenario"
)

// Scenario is a directory whose expect.yaml is to be checked.
type Scenario struct {
	Name    string // of the directory, below k8s/scenarios when it is there
	Dir     string
	Objects *manifest.Objects
	File    *scenario.File
}

// Find reads the scenarios in the directories and below them. root is where
// other scenarios are found that controls name: the directory k8s/scenarios.
func Find(root string, dirs ...string) ([]Scenario, error) {
	var found []Scenario
	for _, dir := range dirs {
		before := len(found)
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() != "expect.yaml" {
				return err
			}
			s, err := load(root, filepath.Dir(path))
			if err == nil && !slices.ContainsFunc(found, func(other Scenario) bool { return other.Dir == s.Dir }) {
				found = append(found, s)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("finding scenarios: %w", err)
		}
		if len(found) == before {
			return nil, fmt.Errorf("finding scenarios: no expect.yaml in %s or below it", dir)
		}
	}
	return found, nil
}

func load(root, dir string) (Scenario, error) {
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

// Runner checks scenarios, each promise and each control on a fleet of its own,
// so that nothing is left over from the one before.
type Runner struct {
	Start Start
	// Jobs is how many fleets run at once; 0 is one.
	Jobs int
	// Seed makes the fleets' chances the same again: which requests meet a
	// fault, which addresses are chosen, when vehicles report.
	Seed uint64
	// Scenarios is the directory of the scenarios that controls name.
	Scenarios string
	// NoControl leaves the controls out.
	NoControl bool
	// Only picks promises by "SCENARIO: SENTENCE"; nil is all of them.
	Only *regexp.Regexp
	// Progress gets one line at a time; nil discards them.
	Progress func(line string)
	// Done gets each result when it is there; nil discards them.
	Done func(Result)
}

// Result is what became of one promise.
type Result struct {
	Scenario string  `json:"scenario"`
	Promise  string  `json:"promise"`
	Holds    bool    `json:"holds"`
	Seconds  float64 `json:"seconds"`
	// Error is why it could not be found out.
	Error  string        `json:"error,omitempty"`
	Checks []CheckResult `json:"checks"`
	// Control is the same on the fleet where it cannot hold; nil when it was
	// left out.
	Control *ControlResult `json:"control,omitempty"`
	Seed    uint64         `json:"seed"`
}

// CheckResult is one check.
type CheckResult struct {
	Requests string    `json:"requests"`
	Seconds  float64   `json:"seconds"`
	Findings []Finding `json:"findings"`
	Guard    bool      `json:"guard,omitempty"`
}

func (c CheckResult) holds() bool {
	return !slices.ContainsFunc(c.Findings, func(f Finding) bool { return !f.Holds })
}

// provesNothing is of a control's check.
func (c CheckResult) provesNothing() bool { return c.holds() && !c.Guard }

// ControlResult is a control.
type ControlResult struct {
	Change string `json:"change"`
	// Broken is whether no check held but the guards, as it must be.
	Broken bool          `json:"broken"`
	Error  string        `json:"error,omitempty"`
	Checks []CheckResult `json:"checks"`
}

// OK is whether the promise holds, and is one that can be broken.
func (r Result) OK() bool {
	return r.Holds && r.Error == "" && (r.Control == nil || (r.Control.Broken && r.Control.Error == ""))
}

// task is one promise to check.
type task struct {
	of      Scenario
	promise *scenario.Promise
	result  int // where its result goes
}

// Run checks the scenarios. Its error is that of the context; all else is in
// the results, which have the order of the files.
func (r Runner) Run(ctx context.Context, scenarios []Scenario) ([]Result, error) {
	var tasks []task
	for _, s := range scenarios {
		for i := range s.File.Promises {
			promise := &s.File.Promises[i]
			if r.Only == nil || r.Only.MatchString(s.Name+": "+promise.Promise) {
				tasks = append(tasks, task{s, promise, len(tasks)})
			}
		}
	}
	if len(tasks) > 0 {
		r.progress("seed %d", r.Seed)
	}
	results := make([]Result, len(tasks))
	if r.Jobs > 1 { // the longest first, so that none is left alone at the end
		slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(b.promise.Pace(), a.promise.Pace()) })
	}
	var telling sync.Mutex
	next := make(chan task)
	var workers sync.WaitGroup
	for place := range max(r.Jobs, 1) {
		at := r
		at.Progress = func(line string) {
			telling.Lock()
			defer telling.Unlock()
			if r.Progress != nil {
				r.Progress(line)
			}
		}
		workers.Go(func() {
			for t := range next {
				result := at.promise(ctx, place, t.of, t.promise)
				if ctx.Err() != nil {
					continue
				}
				telling.Lock()
				results[t.result] = result
				if r.Done != nil {
					r.Done(result)
				}
				telling.Unlock()
			}
		})
	}
	for _, t := range tasks {
		next <- t
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return slices.DeleteFunc(results, func(r Result) bool { return r.Scenario == "" }), context.Cause(ctx)
	}
	return results, nil
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
	result.Checks, err = r.checks(ctx, place, objects, p)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.Holds = !slices.ContainsFunc(result.Checks, func(c CheckResult) bool { return !c.holds() })
	if r.NoControl || !result.Holds {
		return result
	}
	result.Control = &ControlResult{Change: describeControl(&p.Control)}
	r.progress("%s: the same %s, where it must not hold", s.Name, result.Control.Change)
	if objects, err = r.control(s, objects, p); err == nil {
		result.Control.Checks, err = r.checks(ctx, place, objects, p)
	}
	if err != nil {
		result.Control.Error = err.Error()
		return result
	}
	result.Control.Broken = !slices.ContainsFunc(result.Control.Checks, CheckResult.provesNothing)
	return result
}

// control is the fleet on which a promise must not hold.
func (r Runner) control(s Scenario, objects *manifest.Objects, p *scenario.Promise) (*manifest.Objects, error) {
	switch c := &p.Control; {
	case len(c.Without) > 0:
		return without(objects, c.Without)
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

// checks runs a promise's checks on one fleet.
func (r Runner) checks(ctx context.Context, place int, objects *manifest.Objects, p *scenario.Promise) (results []CheckResult, err error) {
	if objects, err = withSeed(objects, r.Seed); err != nil {
		return nil, err
	}
	target, err := r.Start(ctx, place, objects)
	if err != nil {
		return nil, fmt.Errorf("starting the fleet: %w", err)
	}
	defer target.Stop()
	for i := range p.Checks {
		result, err := r.check(ctx, target, &p.Checks[i])
		if err != nil {
			return results, fmt.Errorf("check %d, %s: %w", i+1, describeRequests(&p.Checks[i].Requests), err)
		}
		results = append(results, result)
	}
	if err := target.Err(); err != nil {
		return results, fmt.Errorf("what was seen is worth nothing: %w", err)
	}
	return results, nil
}

func (r Runner) check(ctx context.Context, target Target, c *scenario.Check) (CheckResult, error) {
	began := time.Now()
	result := CheckResult{Requests: describeRequests(&c.Requests), Guard: c.Guard}
	route, err := target.Route(c.Requests.From, c.Requests.To)
	if err != nil {
		return result, err
	}
	name := rand.Text()
	seen := observation{}
	act := func(ctx context.Context, began time.Time) error {
		for _, action := range inOrder(c.Actions) {
			select {
			case <-time.After(time.Until(began.Add(action.After.Duration))):
			case <-ctx.Done():
				return nil
			}
			if err := target.SetFaults(ctx, action.Workload, action.Faults); err != nil {
				return fmt.Errorf("giving %s the faults %q: %w", action.Workload, action.Faults, err)
			}
			seen.lastAction = time.Since(began)
		}
		return nil
	}
	if seen.records, err = send(ctx, route, &c.Requests, name, act); err != nil {
		return result, err
	}
	for _, record := range seen.records {
		seen.ended = max(seen.ended, record.Start+record.Took)
	}
	if slices.ContainsFunc(c.Expect, func(e scenario.Expect) bool { return e.Received != nil }) {
		if seen.calls, err = settled(ctx, target, name); err != nil {
			return result, err
		}
	}
	for i := range c.Expect {
		result.Findings = append(result.Findings, seen.judge(&c.Expect[i]))
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

func inOrder(actions []scenario.Action) []scenario.Action {
	actions = slices.Clone(actions)
	slices.SortStableFunc(actions, func(a, b scenario.Action) int { return int(a.After.Duration - b.After.Duration) })
	return actions
}

// Logs are written a fraction of a second late, and copies of requests may
// still be under way: the calls are counted when none has come for a while.
const (
	quietTime  = time.Second
	quietPoll  = 200 * time.Millisecond
	quietLimit = 20 * time.Second
)

func settled(ctx context.Context, target Target, check string) ([]Call, error) {
	limit := time.After(quietLimit)
	var calls []Call
	for since := time.Now(); ; {
		now, err := target.Received(ctx, check)
		if err != nil {
			return nil, fmt.Errorf("counting the calls that were received: %w", err)
		}
		if len(now) != len(calls) {
			since = time.Now()
		}
		calls = now
		if time.Since(since) >= quietTime {
			return calls, nil
		}
		select {
		case <-time.After(quietPoll):
		case <-limit:
			return nil, fmt.Errorf("counting the calls that were received: after %v there are still more coming", quietLimit)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
