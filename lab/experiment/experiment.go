package experiment

// Experiment asks one question of a fleet: every arm meets every fault under the
// same load, once for each seed.
type Experiment struct {
	// Question is what the experiment answers, in one line. Defaults to the
	// file's first line, if that is a comment.
	Question string `json:"question"`
	// Fleet is what every arm has; an arm's own fields come on top of it.
	Fleet Arm `json:"fleet,omitzero"`
	// Arms are the ways to run the fleet that are compared.
	Arms []Arm `json:"arms"`
	// Faults defaults to one, "healthy", that injects nothing.
	Faults []Fault `json:"faults"`
	Load   Load    `json:"load"`
	Phases Phases  `json:"phases"`
	// Seeds make what is random in the services and in the load repeatable: each
	// arm meets each fault once for each seed. Defaults to one random seed.
	Seeds []uint64 `json:"seeds,omitempty"`
	// Repeats is how often each run is made, with the same seed: what then differs
	// is by chance. Defaults to 1.
	Repeats int `json:"repeats,omitempty"`
	// SLO is the latency above which an answer violates the objective, from the
	// intended start of its request. Defaults to 1.5s.
	SLO Duration `json:"slo"`
	// Sweep makes one arm, or one fault, of each of its values.
	Sweep  []Axis   `json:"sweep,omitempty"`
	Theory []Theory `json:"theory,omitempty"`
	Goals  []Goal   `json:"goals,omitempty"`

	// Source is the file, or "" for one that flags made.
	Source string `json:"-"`
	// Text is the file's content, or nil.
	Text []byte `json:"-"`
	// lines are those of the fields in the file, by path: "arms[0].name".
	lines map[string]int
	// flags are those that made parts, by path.
	flags map[string]string
}

// Arm is one way to run the fleet.
type Arm struct {
	Name    string `json:"name,omitempty"`
	Meaning string `json:"meaning,omitempty"` // one line for people
	// From is another arm: the fields of this one come on top of that one's.
	From string `json:"from,omitempty"`
	// Manifests are kustomize directories, directories of plain files, and files.
	// An object of a later one replaces that of an earlier one. A path is
	// relative to the experiment's file; repo:k8s/base is below the repository.
	Manifests Paths `json:"manifests,omitempty"`
	// Mesh runs a real istiod, and a real Envoy beside each pod that the manifests
	// give one. Defaults to whether the manifests have Istio objects, or label a
	// namespace or a pod for injection.
	Mesh *bool `json:"mesh,omitempty"`
	// Env is the environment, by service and name, over the manifests'. The
	// service "all" is every one; a service's own variables are over those.
	Env map[string]map[string]string `json:"env,omitempty"`
	// Replicas are the numbers of pods, by Deployment, over the manifests'.
	Replicas map[string]Count `json:"replicas,omitempty"`
	// Patches are parts of objects, with kind and metadata.name, merged into the
	// objects of the manifests as kustomize merges a patch.
	Patches []Object `json:"patches,omitempty"`
	// Target replaces the load's.
	Target string `json:"target,omitempty"`

	// Of and Point are set by Expand: the arm of the file, and the values of the
	// sweep in this one.
	Of    string `json:"-"`
	Point Point  `json:"-"`
}

// HasMesh reports whether the arm has a mesh: needs is what its manifests ask
// for.
func (a Arm) HasMesh(needs func() bool) bool {
	if a.Mesh == nil {
		return needs()
	}
	return *a.Mesh
}

// Pods are the numbers of pods, by Deployment, of an arm that Expand returned.
func (a Arm) Pods() map[string]int {
	pods := map[string]int{}
	for name, count := range a.Replicas {
		pods[name], _ = count.number() // Check has read it
	}
	return pods
}

// All is the key of Arm.Env that stands for every service.
const All = "all"

// Fault is what goes wrong between the phases healthy and after.
type Fault struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning,omitempty"`
	// Inject is what is done, all at the same time: a pod of several injections has
	// the rules of all, in their order. Nothing: the runs show what an arm costs.
	Inject []Injection `json:"inject,omitempty"`
	// Curve lets the report show each run second by second.
	Curve bool `json:"curve,omitempty"`

	Of    string `json:"-"` // as Arm.Of
	Point Point  `json:"-"`
}

// Injection is one thing that is done to some pods of a service: either Rules or
// Action.
type Injection struct {
	// Service is the name of a Service, of a Deployment or of a program.
	Service string `json:"service"`
	// Replicas are the pods. Defaults to one: the one that received most of the
	// load so far.
	Replicas Replicas `json:"replicas,omitzero"`
	// Rules are in the grammar of kit/fault: "delay=0s..5s;status=502,rate=0.5".
	// They are cleared when the fault phase ends, and set again in a pod that
	// restarts before.
	Rules string `json:"rules,omitempty"`
	// Action is done by the launcher: kill, stop D, roll.
	Action Action `json:"action,omitempty"`
}

// Load is an open-loop load: each request has an intended start, whatever
// became of those before it.
type Load struct {
	// Target is api-gateway, ingress (the mesh's ingress gateway), page (the
	// webapp), or any other Service. Defaults to api-gateway.
	Target string `json:"target"`
	// From sends the load as this service's pod would, through its proxy if it
	// has one. Empty: from outside of the fleet, to the target's own address.
	From string `json:"from,omitempty"`
	// Rate is a steady number of requests per second. Defaults to 10.
	Rate float64 `json:"rate,omitempty"`
	// Steps, or Ramp, are instead of Rate.
	Steps []Step `json:"steps,omitempty"`
	Ramp  *Ramp  `json:"ramp,omitempty"`
	// Streams are the requests, by share. Defaults to what the page asks of the
	// target.
	Streams []Stream `json:"streams"`
	// Vehicles replace {vehicle} in a path, in turn. Defaults to those of the
	// fleet when the load begins.
	Vehicles []string `json:"vehicles,omitempty"`
	// Timeout is how long a caller waits for the whole answer. Defaults to 10s.
	Timeout Duration `json:"timeout"`
	// MaxInFlight is the most requests in flight. Defaults to 1000.
	MaxInFlight int `json:"maxInFlight"`
	// Jobs is how many Jobs of a cluster send the load, each its share. Defaults to 1.
	Jobs int `json:"jobs,omitempty"`
}

// Methods are those of the streams.
func (l Load) Methods() []string {
	return unique(collect(l.Streams, func(s Stream) string { return s.Method }))
}

// Names of targets.
const (
	TargetGateway = "api-gateway"
	TargetIngress = "ingress"
	TargetPage    = "page"
)

// Step is a part of the load with one rate. The last one lasts as long as the
// load does.
type Step struct {
	Rate float64  `json:"rate"`
	For  Duration `json:"for,omitempty"`
}

// Ramp is a rate that changes evenly from the load's begin to its end.
type Ramp struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

// Stream is one kind of request.
type Stream struct {
	Name    string            `json:"name"`
	Method  string            `json:"method,omitempty"` // Defaults to GET.
	Path    string            `json:"path"`             // escaped; {vehicle} is replaced
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// Share is the stream's part of the load, relative to the others'. Defaults
	// to 1.
	Share int `json:"share,omitempty"`
}

// Phases are the parts of a run. The load lasts for all of them; with a fault
// that injects nothing, After is without load.
type Phases struct {
	Healthy Duration `json:"healthy"` // Defaults to 3s.
	Fault   Duration `json:"fault"`   // Defaults to 15s.
	After   Duration `json:"after"`   // Defaults to 13.2s.
}

// Axis is one value of a sweep: ${NAME} in an arm or in a fault is replaced by
// each of Values.
type Axis struct {
	Name   string  `json:"name"`
	Values []Value `json:"values"`
}

// Theory is what a figure should be, as a formula of the sweep's values:
// 1 - pow(share, attempts).
type Theory struct {
	Figure  string `json:"figure"`
	Arm     string `json:"arm,omitempty"`   // empty: all
	Fault   string `json:"fault,omitempty"` // empty: all
	Formula Bound  `json:"formula"`
}

// Goal bounds one figure of one arm with one fault. It is met when all of the
// figure's interval is inside the bounds, missed when all of it is outside, and
// else not decided.
type Goal struct {
	// Figure is the name of a column of lab/report.
	Figure string `json:"figure"`
	Arm    string `json:"arm"`   // with a sweep, all of its points
	Fault  string `json:"fault"` // the same
	// Over is another arm: the goal is on the difference to its figure.
	Over    string `json:"over,omitempty"`
	AtLeast Bound  `json:"atLeast,omitempty"`
	AtMost  Bound  `json:"atMost,omitempty"`
	// Confidence is that of the interval. Defaults to 95%.
	Confidence Share `json:"confidence"`
}
