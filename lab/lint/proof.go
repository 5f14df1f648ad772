package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/record"
)

// proof returns the trial that shows a finding. Its error is the reason for which
// no experiment shows this one.
type proof func(p *proving) (*trial, error)

// ofCluster returns the proof of a finding in a DestinationRule, whose load goes to its cluster.
func ofCluster(prove func(*proving, *cluster, *trial) error) proof {
	return func(p *proving) (*trial, error) {
		c, t, err := p.loadCluster()
		if err != nil {
			return nil, err
		}
		return t, prove(p, c, t)
	}
}

// ofRoute returns the proof of a finding in a VirtualService, whose load takes its route to a Service.
func ofRoute(prove func(*proving, *route, *service, *trial) error) proof {
	return func(p *proving) (*trial, error) {
		r, s, t, err := p.routed()
		if err != nil {
			return nil, err
		}
		return t, prove(p, r, s, t)
	}
}

// trial is the smallest experiment that shows a finding: a fault, a load, what is
// measured, and what the measures must be.
type trial struct {
	to      *service // of the load
	from    *workload
	streams []experiment.Stream
	rate    float64
	inject  []experiment.Injection
	// healthy, fault and after are the phases. The load lasts for all of them.
	healthy, fault, after time.Duration
	needs                 []*workload // that run, besides those of the load and the fault
	measures              []measure
	goal                  goal
	note                  string // what both arms have instead of what is written
}

// goal is what the first measure shows that depends on the repair.
type goal struct {
	text string
	met  func(written, repaired []float64) bool
}

// fewer is the goal that a measure is at most half as high when repaired.
func fewer(i int, what string) goal {
	return goal{what + " at most half as high when repaired", func(written, repaired []float64) bool {
		return written[i] > 0 && repaired[i] <= written[i]/2
	}}
}

// more is the goal that a measure is higher when repaired.
func more(i int, what string) goal {
	return goal{what + " higher when repaired", func(written, repaired []float64) bool { return repaired[i] > written[i] }}
}

// less is the goal that a measure is lower when repaired, by a twentieth at least.
func less(i int, what string) goal {
	return goal{what + " lower when repaired", func(written, repaired []float64) bool { return repaired[i] < .95*written[i] }}
}

// proving is one finding that is to be proven.
type proving struct {
	*pass
	sighting
	edits []*edit
}

// edit is an object that the experiment changes.
type edit struct {
	object            *object
	written, repaired map[string]any
	both              bool // the object as it is written is changed too
}

func (p *proving) edit(o *object) *edit {
	for _, e := range p.edits {
		if e.object == o {
			return e
		}
	}
	e := &edit{object: o, written: runtime.DeepCopyJSON(o.fields), repaired: runtime.DeepCopyJSON(o.fields)}
	p.edits = append(p.edits, e)
	return e
}

// repair changes an object in the repaired arm.
func (p *proving) repair(o *object, change func(fields map[string]any)) { change(p.edit(o).repaired) }

// both changes an object in both arms.
func (p *proving) both(o *object, change func(fields map[string]any)) {
	e := p.edit(o)
	e.both = true
	change(e.written)
	change(e.repaired)
}

// Experiment is the smallest experiment that shows a finding: the arms as-written
// and repaired, of which each has changed objects in a file of its own.
type Experiment struct {
	Finding Finding
	// Written and Repaired are the YAML documents of the objects that the arms
	// have instead of those of the manifests; Written may be empty.
	Written, Repaired []byte
	// Note is what Written changes, in one line; "" for nothing.
	Note string
	*experiment.Experiment

	trial *trial
}

// Names of an experiment's arms, and of the files of their objects.
const (
	AsWritten = "as-written"
	Repaired  = "repaired"
)

// Prove returns the experiment for the first finding of a rule that one can show.
// Its errors are of rules that no experiment can show, and of manifests without a
// finding. The arms have their objects in files of dir.
func (m *Manifests) Prove(name string, o Options, manifests []string, dir string) (*Experiment, error) {
	p, err := m.findings(name, o)
	if err != nil {
		return nil, err
	}
	if p.rule.proof == nil {
		return nil, fmt.Errorf("rule %d %s is not proven by an experiment: %s", p.rule.Number, p.rule.Name, p.rule.NoProof)
	}
	for _, s := range p.found {
		one := &proving{pass: p, sighting: s}
		t, wrong := p.rule.proof(one)
		if wrong == nil {
			return one.experiment(t, manifests, dir), nil
		}
		if err == nil {
			f := s.finding
			err = fmt.Errorf("%s:%d: rule %s %s: not shown by an experiment: %w", f.File, f.Line, f.Rule, f.Name, wrong)
		}
	}
	return nil, err
}

// findings returns the findings of one rule, of which there must be one.
func (m *Manifests) findings(name string, o Options) (*pass, error) {
	rule := RuleOf(name)
	if rule == nil {
		return nil, fmt.Errorf("%s: must be the number or the name of a rule", name)
	}
	p := &pass{model: newModel(m.Objects, o.Calls), Options: o.withDefaults(), rule: rule, sources: m.sources}
	if rule.check(p); len(p.found) == 0 && rule.provable() {
		return nil, fmt.Errorf("rule %d %s: no finding: must have one", rule.Number, rule.Name)
	}
	return p, nil
}

// provable reports whether some finding of the rule can be proven.
func (r *Rule) provable() bool { return r.proof != nil || r.dump }

// experiment builds the experiment of a trial.
func (p *proving) experiment(t *trial, manifests []string, dir string) *Experiment {
	written, repaired := p.documents()
	e := experiment.New()
	e.Question = fmt.Sprintf("Does rule %s, %s, happen in %s, and does the repair end it?", p.finding.Rule, p.finding.Name, p.finding.Object)
	mesh := p.mesh
	e.Fleet = experiment.Arm{Manifests: manifests, Mesh: &mesh, Patches: append(p.injected(), p.probed()...), Replicas: p.idle(t)}
	e.Arms = []experiment.Arm{{Name: AsWritten}, {Name: Repaired, Manifests: append(slices.Clone(manifests), ObjectsFile(dir, Repaired))}}
	if len(written) > 0 {
		e.Arms[0].Manifests = append(slices.Clone(manifests), ObjectsFile(dir, AsWritten))
	}
	if len(t.inject) > 0 {
		e.Faults = []experiment.Fault{{Name: "fault", Inject: t.inject}}
	}
	e.Load = experiment.Load{
		Target: t.to.name, From: t.from.name, Rate: t.rate, Timeout: experiment.Duration(loadTimeout), MaxInFlight: 1000,
		Streams: t.streams, Vehicles: []string{"City Truck"},
	}
	e.Phases = experiment.Phases{Healthy: experiment.Duration(t.healthy), Fault: experiment.Duration(t.fault), After: experiment.Duration(t.after)}
	e.Seeds = []uint64{1}
	return &Experiment{Finding: p.finding, Written: written, Repaired: repaired, Note: t.note, Experiment: e, trial: t}
}

// loadTimeout is how long the load waits for an answer.
const loadTimeout = 10 * time.Second

// ObjectsFile is the file of an arm's objects in a directory.
func ObjectsFile(dir, arm string) string { return strings.TrimSuffix(dir, "/") + "/" + arm + ".yaml" }

// documents returns the changed objects of both arms, as YAML.
func (p *proving) documents() (written, repaired []byte) {
	for _, e := range p.edits {
		repaired = append(repaired, asYAML(e.repaired)...)
		if e.both {
			written = append(written, asYAML(e.written)...)
		}
	}
	return written, repaired
}

// asYAML returns a YAML document after the line that separates it from others.
func asYAML(fields map[string]any) string {
	text, _ := yaml.Marshal(fields) // which are those of JSON
	return "---\n" + string(text)
}

// idle returns no pods for the workloads that a trial does not need.
func (p *proving) idle(t *trial) map[string]experiment.Count {
	none := map[string]experiment.Count{}
	for _, w := range p.workloads {
		fault := slices.ContainsFunc(t.inject, func(in experiment.Injection) bool {
			s := p.named(in.Service)
			return in.Service == w.name || s != nil && s.runs(w)
		})
		if w != t.from && !t.to.runs(w) && !fault && !slices.Contains(t.needs, w) {
			none[w.name] = "0"
		}
	}
	return none
}

// injected returns patches that give the pods proxies, where the manifests leave
// that to the namespace.
func (p *proving) injected() (patches []experiment.Object) {
	if slices.ContainsFunc(p.objects, func(o *object) bool { return o.Kind == "Namespace" && injects(o) }) {
		return nil
	}
	for _, w := range p.workloads {
		if !w.meshed {
			continue
		}
		patches = append(patches, w.patch("metadata", map[string]any{"labels": map[string]any{manifest.InjectPod: "true"}}))
	}
	return patches
}

// probed returns patches that give the fleet's programs a readiness probe where
// the manifests have none: the load waits for it.
func (p *proving) probed() (patches []experiment.Object) {
	for _, w := range p.workloads {
		container := w.container()
		if w.program == "" || container.at("readinessProbe").has() {
			continue
		}
		patches = append(patches, w.patch("spec", map[string]any{"containers": []any{map[string]any{"name": container.at("name").text(), "readinessProbe": w.readiness()}}}))
	}
	return patches
}

// readiness returns a readiness probe of a workload's program: that it listens.
func (w *workload) readiness() map[string]any {
	port := 8080
	if w.program == "webapp" {
		port = 80
	}
	if ports := w.container().at("ports").items(); len(ports) > 0 {
		port = ports[0].at("containerPort").count(port)
	}
	return map[string]any{"tcpSocket": map[string]any{"port": port}, "periodSeconds": 1}
}

// patch returns a patch of one part of a workload's pods.
func (w *workload) patch(part string, to any) experiment.Object {
	return experiment.Object{
		"apiVersion": w.object.APIVersion, "kind": w.object.Kind, "metadata": map[string]any{"name": w.name, "namespace": w.ns},
		"spec": map[string]any{"template": map[string]any{part: to}},
	}
}

// Describe returns the experiment in one line: fault, load and goal.
func (e *Experiment) Describe() string {
	var faults []string
	for _, f := range e.Faults {
		for _, in := range f.Inject {
			pods := fmt.Sprintf("%d of the pods", in.Replicas.N(1000))
			if in.Replicas.All {
				pods = "all pods"
			}
			faults = append(faults, fmt.Sprintf("%s of %s: %s", pods, in.Service, in.Rules))
		}
	}
	if len(faults) == 0 {
		faults = []string{"none"}
	}
	var requests []string
	for _, s := range e.Load.Streams {
		requests = append(requests, method(s)+" "+s.Path)
	}
	return fmt.Sprintf("fault: %s; load: %.3g requests per second from %s to %s (%s); goal: %s",
		strings.Join(faults, ", and "), e.Load.Rate, e.Load.From, e.Load.Target, strings.Join(requests, ", "), e.trial.goal.text)
}

func method(s experiment.Stream) string { return cmp.Or(s.Method, "GET") }

// Result returns what both arms showed, in one line, and whether that is the goal.
func (e *Experiment) Result(runs []*record.Run) (line string, met bool, err error) {
	values := map[string][]float64{}
	var parts []string
	for _, arm := range []string{AsWritten, Repaired} {
		i := slices.IndexFunc(runs, func(r *record.Run) bool { return r.Arm == arm })
		if i < 0 {
			return "", false, fmt.Errorf("records: no run of the arm %s: must have one", arm)
		}
		var texts []string
		for _, m := range e.trial.measures {
			value, text := m(runs[i])
			values[arm], texts = append(values[arm], value), append(texts, text)
		}
		parts = append(parts, strings.ReplaceAll(arm, "-", " ")+": "+strings.Join(texts, ", "))
	}
	return strings.Join(parts, "; "), e.trial.goal.met(values[AsWritten], values[Repaired]), nil
}
