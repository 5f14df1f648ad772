package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/usage"
)

// lessons are the scenarios below a directory, and the running fleet on which their promises are checked.
type lessons struct {
	root    string          // empty: no scenarios
	inForce func() []string // the paths of the fleet's manifests
	target  func(context.Context) (check.Target, error)
	faults  func(context.Context) (*faults.Client, error)
	pods    func() []local.Pod
}

// dir returns the directory of a scenario.
func (l lessons) dir(name string) (string, error) {
	dir := filepath.Join(l.root, filepath.FromSlash(name))
	if l.root == "" || name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || !scenario.IsOne(dir) {
		return "", fmt.Errorf("scenario: %.60q: must be one of fleetman scenarios", name)
	}
	return dir, nil
}

// Lessons implements Source.
func (l lessons) Lessons() (found Lessons, err error) {
	found.Scenarios = []Scenario{}
	if l.root == "" {
		return found, nil
	}
	all, err := scenario.List(l.root)
	if err != nil {
		return found, err
	}
	manifests := l.inForce()
	for _, s := range all {
		of := Scenario{s.Name, s.Title}
		found.Scenarios = append(found.Scenarios, of)
		if len(manifests) == 1 && filepath.Clean(manifests[0]) == filepath.Clean(s.Dir) {
			if found.Open, err = readLesson(of, s.Dir); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// markdown renders READMEs. HTML in them is left out, and so are links with a script.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

func readLesson(of Scenario, dir string) (*Lesson, error) {
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return nil, fmt.Errorf("lesson %s: %w", of.Name, err)
	}
	var html bytes.Buffer
	if err := markdown.Convert(text, &html); err != nil {
		return nil, fmt.Errorf("lesson %s: %w", of.Name, err)
	}
	lesson := &Lesson{Scenario: of, HTML: html.String(), Promises: []Promise{}}
	file, err := scenario.Load(filepath.Join(dir, "expect.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return lesson, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range file.Promises {
		p := &file.Promises[i]
		promise := Promise{of: p, Promise: p.Promise, Seconds: p.Pace(), Command: "fleetman check " + of.Name + " --run " + usage.ShellWord(regexp.QuoteMeta(p.Promise))}
		if len(p.Given.Set) > 0 {
			promise.Instead = "it needs a fleet with " + describe(p.Given.Set)
		}
		lesson.Promises = append(lesson.Promises, promise)
	}
	return lesson, nil
}

func describe(set []scenario.Setting) string {
	var all []string
	for _, s := range set {
		all = append(all, s.Target+":"+s.Name+"="+s.Value)
	}
	return strings.Join(all, " ")
}

// Check implements Source. The rules of the pods whose faults the promise changes are restored.
func (l lessons) Check(ctx context.Context, promise int) (result CheckResult, err error) {
	client, err := l.faults(ctx)
	if err != nil {
		return result, err
	}
	p, err := l.promise(promise)
	if err != nil {
		return result, err
	}
	target, err := l.target(ctx)
	if err != nil {
		return result, err
	}
	restore, err := l.keepFaults(ctx, client, p)
	if err != nil {
		return result, err
	}
	checks, err := check.Runner{}.On(ctx, target, p)
	if err = errors.Join(err, restore(context.WithoutCancel(ctx))); err != nil {
		return result, err
	}
	result.Holds = true
	for _, c := range checks {
		for _, f := range c.Findings {
			result.Holds = result.Holds && f.Holds
			result.Findings = append(result.Findings, Finding{c.Requests, f.Holds, f.Expected, f.Saw})
		}
	}
	return result, nil
}

// promise returns a promise of the scenario whose manifests are in force.
func (l lessons) promise(promise int) (*scenario.Promise, error) {
	open, err := l.Lessons()
	if err != nil {
		return nil, err
	}
	if open.Open == nil {
		return nil, errors.New("check: the manifests in force are no scenario")
	}
	if promise >= len(open.Open.Promises) {
		return nil, fmt.Errorf("promise: %d: must be less than %d", promise, len(open.Open.Promises))
	}
	if why := open.Open.Promises[promise].Instead; why != "" {
		return nil, fmt.Errorf("check: %s: %s", why, open.Open.Promises[promise].Command)
	}
	return open.Open.Promises[promise].of, nil
}

// keepFaults returns a function that restores the rules of the pods whose faults a promise changes.
func (l lessons) keepFaults(ctx context.Context, client *faults.Client, p *scenario.Promise) (restore func(context.Context) error, err error) {
	before := map[string]string{}
	for _, c := range p.Checks {
		for _, a := range c.Actions {
			pods, err := faults.Find(l.pods(), a.Workload)
			if err != nil {
				return nil, err
			}
			for _, pod := range pods {
				state, err := client.Get(ctx, pod)
				if err != nil {
					return nil, err
				}
				before[pod.Name] = state.Text()
			}
		}
	}
	return func(ctx context.Context) (err error) {
		for _, pod := range l.pods() {
			if rules, ok := before[pod.Name]; ok {
				_, failed := client.Set(ctx, pod, rules)
				err = errors.Join(err, failed)
			}
		}
		return err
	}, nil
}
