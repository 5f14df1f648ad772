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
	// Scenarios is the directory of the scenarios that controls name.
	Scenarios string
	// NoControl leaves the controls out.
	NoControl bool
	// Only picks promises by "SCENARIO: SENTENCE"; nil is all of them.
	Only *regexp.Regexp
	// Jobs is how many fleets may run at once; one when it is 0.
	Jobs int
	// Seed is what every service's own seeds come from.
	Seed uint64
	// Progress gets one line at a time; nil discards them.
	Progress func(line string)
	// Done gets each result when it is there, one at a time; nil discards them.
	Done func(Result)
}

// Result is what became of one promise.
type Result struct {
	Scenario string `json:"scenario"`
	Promise  string `json:"promise"`
	Holds    bool   `json:"holds"`
	// Seconds are those of both fleets.
	Seconds float64 `json:"seconds"`
	// Error is why it could not be found out.
	Error  string        `json:"error,omitempty"`
	Checks []CheckResult `json:"checks"`
	// Control is the same on the fleet where it cannot hold; nil when it was
	// left out.
	Control *ControlResult `json:"control,omitempty"`
	// Seed is the run's; with it the services draw the same again.
	Seed uint64 `json:"seed"`
	// Seeds are those of the pods' faults.
	Seeds map[string]uint64 `json:"seeds,omitempty"`
}

// CheckResult is one check.
type CheckResult struct {
	Requests string  `json:"requests"`
	Guard    bool    `json:"guard,omitempty"`
	Seconds  float64 `json:"seconds"`
	// Sent is how many of the requests were sent until it was certain that it
	// does not hold; 0 when all of them were.
	Sent     int       `json:"sent,omitempty"`
	Findings []Finding `json:"findings"`
}

func (c CheckResult) holds() bool {
	return !slices.ContainsFunc(c.Findings, func(f Finding) bool { return !f.Holds })
}

// ControlResult is a control.
type ControlResult struct {
	Change string `json:"change"`
	// Broken is whether no check held but guards, and these did.
	Broken bool              `json:"broken"`
	Error  string            `json:"error,omitempty"`
	Checks []CheckResult     `json:"checks"`
	Seeds  map[string]uint64 `json:"seeds,omitempty"`
}

// OK is whether the promise holds, and is one that can be broken.
func (r Result) OK() bool {
	return r.Holds && r.Error == "" && (r.Control == nil || (r.Control.Broken && r.Control.Error == ""))
}

// task is one promise and what has become of it so far.
type task struct {
	scenario Scenario
	promise  *scenario.Promise
	result   Result
	left     int  // fleets that it waits for
	done     bool // and none was cut off
}

// unit is one fleet of a task: the promise's, or its control's.
type unit struct {
	*task
	control bool
}

// Run checks the scenarios. Its error is that of the context; all else is in
// the results, which have the scenarios' order.
func (r Runner) Run(ctx context.Context, scenarios []Scenario) ([]Result, error) {
	var tasks []*task
	var units []unit
	for _, s := range scenarios {
		for i := range s.File.Promises {
			p := &s.File.Promises[i]
			if r.Only != nil && !r.Only.MatchString(s.Name+": "+p.Promise) {
				continue
			}
			t := &task{scenario: s, promise: p, result: Result{Scenario: s.Name, Promise: p.Promise, Seed: r.Seed}, left: 1}
			tasks, units = append(tasks, t), append(units, unit{t, false})
			if !r.NoControl {
				t.left++
				units = append(units, unit{t, true})
			}
		}
	}
	if len(units) > 0 {
		r.progress("seed %d", r.Seed)
	}
	var mu sync.Mutex // of all tasks, and of what is told
	tell := r.Progress
	r.Progress = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if tell != nil {
			tell(line)
		}
	}
	r.runAll(ctx, units, func(slot int, u unit) {
		began := time.Now()
		o := r.outcome(ctx, slot, u)
		mu.Lock()
		defer mu.Unlock()
		u.enter(o)
		u.result.Seconds += time.Since(began).Seconds()
		u.left--
		if u.done = u.left == 0 && ctx.Err() == nil; u.done && r.Done != nil {
			r.Done(u.result)
		}
	})
	var results []Result
	for _, t := range tasks {
		if t.done {
			results = append(results, t.result)
		}
	}
	if ctx.Err() != nil {
		return results, context.Cause(ctx)
	}
	return results, nil
}

// runAll runs units, as many at once as there may be: the longest first, so
// that none is left over at the end, and after them those that need the machine
// for themselves. One by one they keep their order.
func (r Runner) runAll(ctx context.Context, units []unit, run func(slot int, u unit)) {
	jobs, alone := max(1, r.Jobs), []unit(nil)
	if jobs > 1 {
		together := func(u unit) bool { return !u.promise.Alone }
		alone = slices.DeleteFunc(slices.Clone(units), together)
		units = slices.DeleteFunc(units, func(u unit) bool { return !together(u) })
		slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(expected(b.promise), expected(a.promise)) })
	}
	next := make(chan unit)
	var working sync.WaitGroup
	for slot := range jobs {
		working.Go(func() {
			for u := range next {
				run(slot, u)
			}
		})
	}
	for _, u := range units {
		select {
		case next <- u:
		case <-ctx.Done():
		}
	}
	close(next)
	working.Wait()
	for _, u := range alone {
		if ctx.Err() == nil {
			run(0, u)
		}
	}
}

// expected is about how long a promise's requests take; without a rate an
// answer is there after some milliseconds.
func expected(p *scenario.Promise) time.Duration {
	var sum time.Duration
	for _, c := range p.Checks {
		rate := c.Requests.Rate
		if rate == 0 {
			rate = 200
		}
		sum += time.Duration(float64(c.Requests.Count) / rate * float64(time.Second))
	}
	return sum
}

func (r Runner) progress(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, args...))
	}
}

// outcome is what a fleet showed.
type outcome struct {
	checks []CheckResult
	seeds  map[string]uint64
	err    error
}

func (r Runner) outcome(ctx context.Context, slot int, u unit) (o outcome) {
	text := fmt.Sprintf("%s: %s", u.scenario.Name, u.promise.Promise)
	var objects *manifest.Objects
	if u.control {
		text += fmt.Sprintf(": the same %s, where it must not hold", describeControl(&u.promise.Control))
		objects, o.err = r.controlObjects(u.scenario, u.promise)
	} else {
		objects, o.err = withSettings(u.scenario.Objects, u.promise.Given.Set, false)
	}
	r.progress("%s", text)
	if o.err == nil {
		o.checks, o.seeds, o.err = r.checks(ctx, slot, objects, u.promise, u.control)
	}
	return o
}

// enter puts an outcome into the result.
func (u unit) enter(o outcome) {
	why := ""
	if o.err != nil {
		why = o.err.Error()
	}
	if !u.control {
		u.result.Checks, u.result.Seeds, u.result.Error = o.checks, o.seeds, why
		u.result.Holds = o.err == nil && !slices.ContainsFunc(o.checks, func(c CheckResult) bool { return !c.holds() })
		return
	}
	u.result.Control = &ControlResult{
		Change: describeControl(&u.promise.Control), Checks: o.checks, Seeds: o.seeds, Error: why,
		Broken: o.err == nil && !slices.ContainsFunc(o.checks, func(c CheckResult) bool { return c.holds() != c.Guard }),
	}
}

// controlObjects are the fleet on which a promise must not hold.
func (r Runner) controlObjects(s Scenario, p *scenario.Promise) (*manifest.Objects, error) {
	c := &p.Control
	if c.Scenario != "" {
		other, err := manifest.Load(filepath.Join(r.Scenarios, filepath.FromSlash(c.Scenario)))
		if err != nil {
			return nil, err
		}
		return withSettings(other, p.Given.Set, true)
	}
	objects, err := withSettings(s.Objects, append(slices.Clone(p.Given.Set), c.Set...), false)
	if err == nil && len(c.Without) > 0 {
		objects, err = without(objects, c.Without)
	}
	if err != nil {
		return nil, err
	}
	return with(objects, c.With), nil
}

func describeControl(c *scenario.Control) string {
	if c.Scenario != "" {
		return "in the scenario " + c.Scenario
	}
	var parts, other []string
	if len(c.Without) > 0 {
		parts = append(parts, "without "+strings.Join(c.Without, " and "))
	}
	for _, object := range c.With {
		other = append(other, "another "+object.Ref())
	}
	for _, s := range c.Set {
		other = append(other, fmt.Sprintf("%s:%s=%s", s.Target, s.Name, s.Value))
	}
	if len(other) > 0 {
		parts = append(parts, "with "+strings.Join(other, " and "))
	}
	return strings.Join(parts, ", ")
}

// checks runs a promise's checks on one fleet.
func (r Runner) checks(ctx context.Context, slot int, objects *manifest.Objects, p *scenario.Promise, control bool) (results []CheckResult, seeds map[string]uint64, err error) {
	if objects, err = withSeeds(objects, r.Seed); err != nil {
		return nil, nil, err
	}
	target, err := r.Start(ctx, slot, objects)
	if err != nil {
		return nil, nil, fmt.Errorf("starting the fleet: %w", err)
	}
	defer target.Stop()
	seeds = target.Seeds(ctx)
	for i := range p.Checks {
		result, err := r.check(ctx, target, &p.Checks[i], control)
		if err != nil {
			return results, seeds, fmt.Errorf("check %d, %s: %w", i+1, describeRequests(&p.Checks[i].Requests), err)
		}
		results = append(results, result)
	}
	if err := target.Err(); err != nil {
		return results, seeds, fmt.Errorf("what was seen is worth nothing: %w", err)
	}
	return results, seeds, nil
}

func (r Runner) check(ctx context.Context, target Target, c *scenario.Check, control bool) (CheckResult, error) {
	began := time.Now()
	result := CheckResult{Requests: describeRequests(&c.Requests), Guard: c.Guard}
	route, err := target.Route(c.Requests.From, c.Requests.To)
	if err != nil {
		return result, err
	}
	name := rand.Text()
	seen := observation{asked: c.Requests.Count}
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
	var enough func(int, Record) bool
	if control && !c.Guard {
		enough = decided(c)
	}
	if seen.records, err = send(ctx, route, &c.Requests, name, act, enough); err != nil {
		return result, err
	}
	if len(seen.records) < c.Requests.Count {
		result.Sent = len(seen.records)
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
