package lint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/experiment"
)

// proof describes how an experiment shows a finding.
type proof struct {
	// fault is what a pod of the service does, in the grammar of kit/fault, and in
	// how many of them.
	fault    string
	replicas string
	// repair changes an object that has the mistake, at the finding's path.
	repair func(p *proving)
	// figures are the names of the report's figures that show it.
	figures []string
}

// proving is one finding that is to be proven.
type proving struct {
	*model
	finding Finding
	at      value
	spec    map[string]any // a copy of the object's, to change
}

// set sets a field of the object's copy: below the finding's path, cut at a key.
func (p *proving) set(cut string, to map[string]any) {
	node := any(p.spec)
	for _, s := range p.at.path[1:] { // below spec
		if s.index >= 0 {
			node = node.([]any)[s.index]
		} else {
			node = node.(map[string]any)[s.key]
		}
		if s.key == cut {
			break
		}
	}
	for key, value := range to {
		node.(map[string]any)[key] = value
	}
}

// service returns the Service that the object with the mistake is for.
func (p *proving) service() *service {
	host := p.at.object.at("spec", "host").text()
	if hosts := p.at.object.at("spec", "hosts").texts(); host == "" && len(hosts) > 0 {
		host = hosts[0]
	}
	return p.serviceOf(fullName(host, p.at.object.Namespace))
}

// paths are the requests that the fleet's services answer.
var paths = map[string]string{
	"api-gateway":       "/vehicles/",
	"position-tracker":  "/vehicles/",
	"staff-service":     "/driver/City%20Truck",
	"vehicle-telemetry": "/vehicles/City%20Truck",
}

// Experiment is the smallest experiment that shows a finding: as written, and
// repaired.
type Experiment struct {
	Finding Finding
	Figures []string
	*experiment.Experiment
}

// Prove returns the experiment for the first finding of a rule. Its errors are of
// rules that no experiment can show, and of manifests without a finding.
func (m *Manifests) Prove(name string, o Options, manifests []string) (*Experiment, error) {
	rule := ruleOf(name)
	switch {
	case rule == nil:
		return nil, fmt.Errorf("%s: must be the number or the name of a rule", name)
	case rule.proof == nil:
		return nil, fmt.Errorf("rule %d %s is not proven by an experiment: %s", rule.Number, rule.Name, rule.NoProof)
	}
	p := &pass{model: newModel(m.Objects, o.Calls), Options: o.withDefaults(), rule: rule, sources: m.sources}
	rule.check(p)
	for i, f := range p.found {
		at := p.places[i]
		if at.object.Kind != "DestinationRule" && at.object.Kind != "VirtualService" {
			continue
		}
		return newExperiment(&proving{model: p.model, finding: f, at: at}, rule.proof, manifests)
	}
	return nil, fmt.Errorf("rule %d %s: no finding in a rule of the mesh: must have one", rule.Number, rule.Name)
}

func newExperiment(p *proving, proof *proof, manifests []string) (*Experiment, error) {
	s := p.service()
	if s == nil || len(s.workloads) == 0 || s.workloads[0].program == "" {
		return nil, fmt.Errorf("%s: must be for a Service of the fleet's programs, in the manifests", p.finding.Object)
	}
	if err := p.copySpec(); err != nil {
		return nil, err
	}
	proof.repair(p)
	e := experiment.New()
	e.Question = fmt.Sprintf("Does rule %s, %s, happen in %s, and does the repair end it?", p.finding.Rule, p.finding.Name, p.finding.Object)
	mesh := true
	e.Fleet = experiment.Arm{Manifests: manifests, Mesh: &mesh, Patches: p.injected()}
	e.Arms = []experiment.Arm{{Name: "as-written"}, {Name: "repaired", Patches: []experiment.Object{{
		"apiVersion": p.at.object.APIVersion, "kind": p.at.object.Kind, "metadata": map[string]any{"name": p.at.object.Name, "namespace": p.at.object.Namespace}, "spec": p.spec,
	}}}}
	inject := experiment.Injection{Service: s.name, Rules: proof.fault}
	if err := inject.Replicas.UnmarshalJSON([]byte(proof.replicas)); err != nil {
		return nil, fmt.Errorf("replicas: %s: %w", proof.replicas, err)
	}
	e.Faults = []experiment.Fault{{Name: "fault", Inject: []experiment.Injection{inject}}}
	e.Load = experiment.Load{
		Target: s.name, From: p.caller(s), Rate: 20, Timeout: experiment.Duration(10 * time.Second), MaxInFlight: 1000,
		Streams: []experiment.Stream{{Name: "read", Path: paths[s.workloads[0].program]}}, Vehicles: []string{"City Truck"},
	}
	e.Phases = experiment.Phases{Healthy: experiment.Duration(2 * time.Second), Fault: experiment.Duration(8 * time.Second), After: experiment.Duration(time.Second)}
	e.Seeds = []uint64{1}
	return &Experiment{Finding: p.finding, Figures: proof.figures, Experiment: e}, nil
}

// copySpec copies the object's spec, so that a repair leaves the object alone.
func (p *proving) copySpec() error {
	text, err := json.Marshal(p.at.object.fields["spec"])
	if err == nil {
		err = json.Unmarshal(text, &p.spec)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.finding.Object, err)
	}
	return nil
}

// caller returns whose proxy sends the load: that of a workload that calls the
// service, otherwise the service's own.
func (p *proving) caller(s *service) string {
	for _, e := range s.calledBy {
		if e.from.meshed && e.from.hosts > 0 {
			return e.from.name
		}
	}
	return s.workloads[0].name
}

// injected returns patches that give the pods proxies, where the manifests leave
// that to the namespace.
func (p *proving) injected() (patches []experiment.Object) {
	if slices.ContainsFunc(p.objects, func(o *object) bool { return o.Kind == "Namespace" && isInjected(o) }) {
		return nil
	}
	for _, w := range p.workloads {
		patches = append(patches, experiment.Object{
			"apiVersion": w.object.APIVersion, "kind": w.object.Kind, "metadata": map[string]any{"name": w.name, "namespace": w.ns},
			"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"sidecar.istio.io/inject": "true"}}}},
		})
	}
	return patches
}

// The proofs: a fault of one replica shows whether it is ejected.
var (
	provesEjection = &proof{fault: "status=503", replicas: `"one"`, figures: []string{"failed"}, repair: func(p *proving) {
		p.set("outlierDetection", map[string]any{"maxEjectionPercent": max(share(p.service().hosts(nil)), 50)})
	}}
	provesReplaced = &proof{fault: "status=503", replicas: `"one"`, figures: []string{"failed"}, repair: repairReplaced}
)

// repairReplaced repeats what a port's settings, or a subset's block, replace.
func repairReplaced(p *proving) {
	traffic := p.at.object.at("spec", "trafficPolicy")
	missing := map[string]any{}
	fields, whole := blocks, traffic
	if last := p.at.path[len(p.at.path)-1].key; slices.Contains(blocks, last) {
		whole = traffic.at(last)
		fields = whole.keys()
	}
	for _, field := range fields {
		if whole.at(field).has() && !p.at.at(field).has() {
			missing[field] = whole.at(field).any
		}
	}
	p.set("", missing)
}

// Line is what one arm of a proof showed: "as written: 0 ejections, 50 % failed".
func Line(arm string, ejections int, figures []string) string {
	return strings.ReplaceAll(arm, "-", " ") + ": " + strings.Join(append([]string{counted(ejections, "ejection")}, figures...), ", ")
}
