package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/local"
)

// Arm is one way to run the same fleet.
type Arm struct {
	Name, Meaning string
	Dir           string            // of the manifests, below the repository
	Callers       map[string]string // environment of every service that calls another
	Replicas      map[string]int    // over the manifests', besides those of every arm
	Mesh          bool              // with a real istiod and real proxies
	Ingress       bool              // the load goes through the mesh's ingress gateway
}

const (
	base       = "k8s/base"
	resilience = "k8s/scenarios/resilience/"
)

// oneBad are the scenarios' own bad replica: here the fault is set instead.
var oneBad = map[string]int{"staff-service-bad": 0}

// Arms are those that are known.
var Arms = []Arm{
	{Name: "none", Meaning: "no resilience at all", Dir: base},
	{
		Name: "library", Meaning: "the chain of kit/upstream, with the defaults of RESILIENCE=library", Dir: base,
		Callers: map[string]string{"RESILIENCE": "library"},
	},
	{
		Name: "matched", Meaning: "the chain with the numbers of k8s/scenarios/resilience, which a mesh can have too",
		Dir: resilience + "library", Replicas: oneBad,
	},
	{
		Name: "sidecars", Meaning: "a proxy beside every pod, and no policy: what the mesh does out of the box, and its cost",
		Dir: resilience + "sidecars", Replicas: oneBad, Mesh: true,
	},
	{
		Name: "mesh", Meaning: "the proxies with the policies of k8s/scenarios/resilience: matched's numbers",
		Dir: resilience + "mesh", Replicas: oneBad, Mesh: true,
	},
	{
		Name: "both", Meaning: "the mesh for replicas and retries, the library for time-outs, fallback and a breaker for each upstream",
		Dir: resilience + "both", Replicas: oneBad, Mesh: true,
	},
	{
		Name: "ingress", Meaning: "sidecars, with the load at the mesh's ingress gateway: what that hop costs",
		Dir: resilience + "sidecars", Replicas: oneBad, Mesh: true, Ingress: true,
	},
	{
		Name: "retries", Meaning: "three attempts and nothing else: a retry budget of 1000 %, no breaker, no time-outs", Dir: base,
		Callers: map[string]string{"RETRY_ATTEMPTS": "3", "RETRY_BUDGET_PERCENT": "1000"},
	},
}

// Profile is a list of arms that are worth comparing.
type Profile struct{ Name, Meaning, Arms string }

// Profiles are those that are known.
var Profiles = []Profile{
	{"plain", "without proxies", "none,library"},
	{"all", "the five ways to run the fleet", "none,library,sidecars,mesh,both"},
	{"matched", "the same numbers on each side, those of k8s/scenarios/resilience", "none,matched,sidecars,mesh,both"},
	{"defaults", "what each side does out of the box", "none,library,sidecars"},
}

// callers are the services that call another.
var callers = []string{"position-simulator", "position-tracker", "api-gateway", "webapp"}

// settings are the arm's, and the seed's: all that is random in the services
// depends on it.
func (p plan) settings() []local.Setting {
	text := fmt.Sprint(p.seed)
	set := []local.Setting{{Target: p.o.Service, Name: "FAULTS_SEED", Value: text}, {Target: "position-simulator", Name: "SEED", Value: text}}
	for _, caller := range callers {
		set = append(set, local.Setting{Target: caller, Name: "UPSTREAM_SEED", Value: text})
	}
	return append(set, p.arm.settings()...)
}

// settings are those that are over the manifests', for every caller.
func (a Arm) settings() (set []local.Setting) {
	for _, caller := range callers {
		for _, name := range slices.Sorted(maps.Keys(a.Callers)) {
			set = append(set, local.Setting{Target: caller, Name: name, Value: a.Callers[name]})
		}
	}
	return set
}

// recorded are the arm's settings as the records have them: the manifests, the
// programs of the mesh, the variables.
func (p plan) recorded() []string {
	all := []string{p.arm.Dir}
	if p.arm.Mesh {
		all = append(all, "istiod "+p.o.found.Pilot.Version, "envoy "+p.o.found.Envoy.Version)
	}
	for _, s := range p.arm.settings() {
		all = append(all, fmt.Sprintf("%s %s=%s", s.Target, s.Name, s.Value))
	}
	return all
}

// Fault is set for a while.
type Fault struct {
	Name, Meaning string
	Rules         string // as FAULTS has them; empty: no fault
	All           bool   // in every replica; else in the one that received most of the load
	Again         bool   // set anew whenever the replica comes back
	Times         int    // load, in times of the rate; 0 is 1
	Longer        int    // in times of the usual length; 0 is 1
	Curve         bool   // the report shows it second by second
}

// none reports whether there is no fault: the run shows what an arm costs.
func (f Fault) none() bool { return f.Rules == "" }

// staff is the service that has the fault unless Options.Service is another, and
// replicas the number of its pods.
const (
	staff    = "staff-service"
	replicas = 2
)

// Services are those that can have the fault.
var Services = []string{staff, "vehicle-telemetry", "position-tracker", "api-gateway"}

// Faults are those that are known.
var Faults = []Fault{
	{Name: "bad-replica", Meaning: "one of two replicas answers after 0 to 5 s, half of the answers 502", Rules: "delay=0s..5s;status=502,rate=0.5"},
	{Name: "dead-replica", Meaning: "one of two replicas resets every connection", Rules: "reset"},
	{Name: "all-bad", Meaning: "both replicas answer after 0 to 5 s, half of the answers 502", Rules: "delay=0s..5s;status=502,rate=0.5", All: true},
	{Name: "slow-body", Meaning: "one of two replicas sends its answers at 20 bytes per second, about 4 s each", Rules: "slow=20"},
	{Name: "crash-loop", Meaning: "one of two replicas exits at one request in five, again and again", Rules: "crash,rate=0.2", Again: true},
	{Name: "storm", Meaning: "retry storm: both replicas answer 502 at once, under ten times the load", Rules: "status=502", All: true, Times: 10, Longer: 2, Curve: true},
	{Name: "healthy", Meaning: "no fault, under twenty times the load: what each arm costs", All: true, Times: 20, Longer: 2},
}

// Usual are the faults of a comparison by default; Quick are those of a quick
// one.
var (
	Usual = "bad-replica,dead-replica,all-bad,slow-body,crash-loop"
	Quick = "bad-replica,all-bad"
	// QuickMany is Quick for more than Few arms.
	QuickMany = "bad-replica"
)

// Few is how many arms a quick comparison can take through two faults, and a
// long one through two seeds; more get one.
const Few = 3

// Pick finds arms, or faults, by a list of names with commas.
func Pick[T any](known []T, name func(T) string, list string) ([]T, error) {
	var picked []T
	var names, seen []string
	for _, one := range known {
		names = append(names, name(one))
	}
next:
	for wanted := range strings.SplitSeq(list, ",") {
		for _, other := range seen {
			if other == wanted {
				return nil, fmt.Errorf("%q: must be there once", wanted)
			}
		}
		for i, n := range names {
			if n == wanted {
				picked, seen = append(picked, known[i]), append(seen, wanted)
				continue next
			}
		}
		return nil, fmt.Errorf("%q: must be one or more of %s, separated by commas", wanted, strings.Join(names, ","))
	}
	return picked, nil
}

// Timing is how long each part of a run takes.
type Timing struct{ Healthy, Fault, After time.Duration }

// Timings of a comparison. After the repair there must be time for the longest
// recovery of interest, an open period of 10 s, and for the report's window of
// 3 s.
var (
	Full      = Timing{3 * time.Second, 15 * time.Second, 13200 * time.Millisecond}
	QuickOnes = Timing{3 * time.Second, 8 * time.Second, 13500 * time.Millisecond}
)

// idle is how long a fleet without a fault runs on without load, to measure its CPU then: a process's
// is known to 10 ms, and 13 of them are added up.
const idle = 8 * time.Second

func (t Timing) of(f Fault) Timing {
	t.Fault *= time.Duration(max(1, f.Longer))
	if f.none() { // nothing to recover from
		t.After = idle
	}
	return t
}

func (t Timing) total() time.Duration { return t.Healthy + t.Fault + t.After }
