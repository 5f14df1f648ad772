package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/load"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/trial"
	"fleetman.example/lab/wants"
)

// shipped is one of the repository's experiments.
func shipped(t testing.TB, name string) *experiment.Experiment {
	t.Helper()
	e, err := experiment.Read(filepath.Join("../../experiments", name+".yaml"), report.Figures())
	require.NoError(t, err)
	return e
}

// decode returns the experiment of a text. Beside it, fleet.yaml has the manifests of
// stand-ins in a row, each of which calls the next one.
func decode(t testing.TB, text string, standIns ...string) *experiment.Experiment {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", standInFleet(standIns...))
	e, err := experiment.Decode(filepath.Join(dir, "x.yaml"), []byte(text), report.Figures())
	require.NoError(t, err)
	return e
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

// options are those of a comparison that runs beside others. A load that is late is
// not measured again: the machine is busy with the other fleets.
func options(t testing.TB) Options {
	t.Helper()
	return Options{
		Command: "fleetman compare x", Root: "../..", Out: t.TempDir(), Environ: os.Environ(),
		Progress: func(line string) { t.Log(line) }, Measurements: 1,
		Network: nettest.Network(t),
	}
}

// short is a short form of a published experiment, with some of its arms and
// faults.
func short(t testing.TB, name, arms, faults string, lasts experiment.Phases) Options {
	t.Helper()
	o := options(t)
	o.Experiment, o.Bin = shipped(t, name), services(t)
	o.Experiment.Phases = lasts
	selectFrom(t, o.Experiment, arms, faults)
	return o
}

// services returns the directory of the repository's.
func services(t testing.TB) string {
	t.Helper()
	bin, err := build()
	require.NoError(t, err)
	return bin
}

// build builds the services once for all tests.
var build = sync.OnceValues(func() (bin string, err error) {
	paths, err := filepath.Glob("../../services/*/go.mod")
	if err != nil {
		return "", err
	}
	for i := range paths {
		paths[i] = filepath.Base(filepath.Dir(paths[i]))
	}
	return local.Build(context.Background(), "../..", paths, func(string) {})
})

func phases(healthy, fault, after time.Duration) experiment.Phases {
	return experiment.Phases{Healthy: experiment.Duration(healthy), Fault: experiment.Duration(fault), After: experiment.Duration(after)}
}

func selectFrom(t testing.TB, e *experiment.Experiment, arms, faults string) {
	t.Helper()
	names := func(text string) []string { return strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) }
	require.NoError(t, e.Select(names(arms), names(faults)))
}

func comparison(t testing.TB, o Options) *Comparison {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	return c
}

func run(t testing.TB, o Options) {
	t.Helper()
	require.NoError(t, comparison(t, o).Run(t.Context()))
}

// records are those in a directory.
func records(t testing.TB, dir string) *record.Comparison {
	t.Helper()
	read, err := record.ReadDir(dir)
	require.NoError(t, err)
	return read
}

// reportOf is the report of a comparison.
func reportOf(t testing.TB, dir string) report.Report {
	t.Helper()
	r, err := report.Compute(records(t, dir))
	require.NoError(t, err)
	report.Text(t.Output(), r)
	return r
}

// reported is the only fault of a comparison.
func reported(t testing.TB, dir string) report.Fault {
	t.Helper()
	computed := reportOf(t, dir)
	require.Len(t, computed.Groups, 1)
	require.Len(t, computed.Groups[0].Faults, 1)
	return computed.Groups[0].Faults[0]
}

// ofMesh matches the names of published arms with a mesh.
var ofMesh = regexp.MustCompile(`mesh|sidecars|both|twice|^mine|^ingress$|^before$|^ejection$`)

// TestShipped: the manifests of every published experiment have what it names, and
// its first line is its question.
func TestShipped(t *testing.T) { // not beside the fleets: kustomize may take 30 s, and is slow with the race detector
	paths, err := filepath.Glob("../../experiments/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 5, "experiments")
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			e := shipped(t, strings.TrimSuffix(filepath.Base(path), ".yaml"))
			assert.Regexp(t, "^# "+regexp.QuoteMeta(e.Question)+"\n", string(e.Text), "first line")
			assert.Regexp(t, `\?$`, e.Question, "question")
			assert.NotEmpty(t, e.Seeds, "seeds")
			c := comparison(t, Options{Experiment: e, Root: "../..", Out: t.TempDir()})
			for _, p := range c.plans { // the manifests say which arms have a mesh
				assert.Equal(t, ofMesh.MatchString(p.arm.Of), p.mesh, p.arm.Name+": mesh")
			}
		})
	}
}

// TestExample: the README's experiment is the published one, but for comments and
// the name of the rule's file.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(text), "```yaml\n")
	for i, path := range []string{"telemetry-ejection/istio.yaml", "telemetry-ejection.yaml"} {
		published, err := os.ReadFile(filepath.Join("../../experiments", path))
		require.NoError(t, err)
		block, _, _ := strings.Cut(blocks[i+1], "```")
		block = strings.ReplaceAll(block, ", telemetry.yaml]", ", telemetry-ejection/istio.yaml]")
		var got, want any
		require.NoError(t, errors.Join(yaml.Unmarshal([]byte(block), &got), yaml.Unmarshal(published, &want)))
		assert.Equal(t, want, got, path)
		assert.Equal(t, strings.SplitN(string(published), "\n", 2)[0], strings.SplitN(block, "\n", 2)[0], path+", first line")
	}
}

// TestMistakesInManifests: what only the manifests show is one line for each too.
func TestMistakesInManifests(t *testing.T) {
	e := decode(t, `# q?
arms:
  - name: a
    manifests: fleet.yaml
    env:
      frnt: {A: 1}
    replicas: {seventh: 2, eighth: 1}
    patches: [{kind: Deployment, metadata: {name: fifth}, spec: {}}]
  - name: b
    manifests: repo:gone
  - name: c
    manifests: [gone.yaml, "${n}.yaml"]
faults:
  - name: f
    inject:
      - {service: nobody, rules: reset}
      - {service: seventh, rules: "statsu=503,rate=1.3;delay=5"}
      - {service: seventh, replicas: 7, rules: reset}
load: {target: sevent, from: frnt, streams: [{path: /}]}
sweep: [{name: n, values: [a, b]}]
seeds: [1]
`, "front", "seventh")
	dir := filepath.Dir(e.Source)
	_, err := New(Options{Experiment: e, Root: dir, Out: t.TempDir()})
	assert.EqualError(t, err, strings.NewReplacer("PATH", e.Source, "DIR", dir).Replace(`PATH:6: arms[0].env.frnt: "frnt": must be a service of the arm a: front, seventh
PATH:7: arms[0].replicas.eighth: "eighth": must be a service of the arm a: front, seventh
PATH:8: arms[0].patches: Deployment fifth: must be one of the manifests, which have the names ["front" "seventh"] of this kind
PATH:10: arms[1].manifests: "repo:gone": no file DIR/gone: must be a file or a directory, from the repository
PATH:12: arms[2].manifests: "gone.yaml": no file DIR/gone.yaml: must be a file or a directory, from the directory of PATH; repo: begins a path in the repository
PATH:16: faults[0].inject[0].service: "nobody": must be a service of the arm a: front, seventh
PATH:17: faults[0].inject[1].rules: rule 1 (statsu=503,rate=1.3): "statsu": must be one of delay, status, reset, hang, truncate, slow, capacity, idle, crash, retry-after, queue, rate, over, method, path, header, after, for, every, count
PATH:17: faults[0].inject[1].rules: rule 1 (statsu=503,rate=1.3): rate: "1.3": must be a share from 0 to 1, or a range such as 0..1
PATH:17: faults[0].inject[1].rules: rule 2 (delay=5): delay: "5": must be a duration such as 2s, or a range such as 0s..5s
PATH:18: faults[0].inject[2].replicas: 7: must be at most 2, the pods of seventh in the arm a
PATH:19: load.target: "sevent": must be a service of the arm a: front, seventh
PATH:19: load.from: "frnt": must be a service of the arm a: front, seventh`))
}

// TestUnknownVariables: a misspelled variable is a mistake where it is written, and a note of a program whose
// variables are not known.
func TestUnknownVariables(t *testing.T) {
	e := decode(t, `# q?
fleet:
  env:
    all: {VARIAN: bad}
arms:
  - name: a
    manifests: [repo:k8s/base, fleet.yaml]
    env:
      staff-service: {RETRY_ATEMPTS: 3}
  - name: b
    from: a
    env: {mine: {COLOR: red}}
  - name: c
    manifests: repo:k8s/base
    replicas: {nobody: 1}
faults:
  - {name: f, inject: [{service: staff-service, replicas: [staff-service-1, staff-0, staff-service-0], rules: reset}]}
seeds: [1]
`, "mine")
	var notes []string
	o := Options{Experiment: e, Root: "../..", Out: t.TempDir(), Progress: func(line string) { notes = append(notes, strings.ReplaceAll(line, e.Source, "PATH")) }}
	_, err := New(o)
	assert.EqualError(t, err, strings.ReplaceAll(`PATH:4: fleet.env.all.VARIAN: "VARIAN": must be a variable of a service: did you mean VARIANT?
PATH:9: arms[0].env.staff-service.RETRY_ATEMPTS: "RETRY_ATEMPTS": must be a variable of staff-service: did you mean RETRY_ATTEMPTS?
PATH:15: arms[2].replicas.nobody: "nobody": must be a service of the arm c: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp
PATH:17: faults[0].inject[0].replicas: "staff-service-1": must be a pod of staff-service in the arm a, numbered from 0 to 0
PATH:17: faults[0].inject[0].replicas: "staff-0": must be a pod of staff-service in the arm a, numbered from 0 to 0`, "PATH", e.Source))
	require.Equal(t, []string{
		`PATH:4: fleet.env.all.VARIAN: "VARIAN": is not in the manifests, and the variables of the program are not known: did you mean VARIANT?`,
		`PATH:12: arms[1].env.mine.COLOR: "COLOR": is not in the manifests, and the variables of the program are not known`,
	}, notes)
}

// TestMerge: a patch changes what it names, of lists with keys too, and nothing
// else.
func TestMerge(t *testing.T) {
	e := decode(t, `# q?
arms:
  - name: a
    manifests: repo:k8s/scenarios/resilience/mesh
    patches:
      - {kind: DestinationRule, metadata: {name: fleetman-staff-service}, spec: {trafficPolicy: {outlierDetection: {maxEjectionPercent: 10}}}}
      - {kind: Deployment, metadata: {name: api-gateway}, spec: {template: {spec: {containers: [{name: api-gateway, env: [{name: LOG_LEVEL, value: debug}]}]}}}}
seeds: [1]
`)
	objects := comparison(t, Options{Experiment: e, Root: "../..", Out: t.TempDir()}).plans[0].objects
	var rule struct {
		Spec struct {
			TrafficPolicy struct{ OutlierDetection map[string]any }
		}
	}
	i := slices.IndexFunc(objects.All, func(o manifest.Object) bool { return o.Kind == "DestinationRule" && o.Name == "fleetman-staff-service" })
	require.NoError(t, json.Unmarshal(objects.All[i].JSON, &rule))
	assert.Subset(t, rule.Spec.TrafficPolicy.OutlierDetection, map[string]any{"maxEjectionPercent": 10., "baseEjectionTime": "10s"})
	deployments := manifest.Of[*appsv1.Deployment](objects)
	i = slices.IndexFunc(deployments, func(d *appsv1.Deployment) bool { return d.Name == "api-gateway" })
	containers := deployments[i].Spec.Template.Spec.Containers
	require.Len(t, containers, 1)
	assert.Contains(t, containers[0].Env, corev1.EnvVar{Name: "LOG_LEVEL", Value: "debug"})
	assert.Greater(t, len(containers[0].Env), 1, "variables")
}

// TestPlans: every arm meets every fault once for each seed, in an order that the
// seed draws.
func TestPlans(t *testing.T) {
	e := decode(t, `# q?
arms: [{name: a, manifests: x}, {name: b, manifests: x}, {name: c, manifests: x}, {name: d, manifests: x}]
faults: [{name: f, inject: [{service: s, rules: reset}]}, {name: g, inject: [{service: s, rules: "rate=${p}"}]}]
sweep: [{name: p, values: [0.1, 0.2]}]
phases: {healthy: 1s, fault: 10s, after: 2s}
seeds: [7, 8]
repeats: 2
`)
	order := func() (orders []string) {
		plans := Options{Experiment: e}.plans()
		for block := range slices.Chunk(plans, 4) {
			names := ""
			for _, p := range block {
				assert.Equal(t, []any{block[0].fault.Name, block[0].seed, 13 * time.Second}, []any{p.fault.Name, p.seed, p.lasts()}, "fault, seed and length in a block")
				names += p.arm.Name
			}
			orders = append(orders, names)
		}
		return orders
	}
	orders := order()
	assert.Len(t, orders, 12)
	assert.Equal(t, orders, order(), "the same again")
	different := map[string]bool{}
	for _, names := range orders {
		different[names] = true
		assert.ElementsMatch(t, []rune("abcd"), []rune(names), "arms")
	}
	assert.GreaterOrEqual(t, len(different), 4, "orders that the seed draws: %q", orders)
}

func TestSettings(t *testing.T) {
	e := decode(t, `# q?
arms: [{name: a, manifests: x, env: {all: {A: 1, SEED: 9}, front: {A: 2}}}]
seeds: [42]
`)
	p := Options{Experiment: e}.plans()[0]
	assert.Equal(t, []local.Setting{
		{Name: "SEED", Value: "42"},
		{Name: "FAULTS_SEED", Value: "42"},
		{Name: "UPSTREAM_SEED", Value: "42"},
		{Name: "A", Value: "1"},
		{Name: "SEED", Value: "9"},
		{Target: "front", Name: "A", Value: "2"},
	}, p.settings(), "settings")
	assert.Equal(t, []string{"x", "all A=1", "all SEED=9", "front A=2"}, p.recorded(), "recorded")
}

func TestRate(t *testing.T) {
	for text, want := range map[string]float64{
		"{rate: 50}": 50,
		"{steps: [{rate: 10, for: 5s}, {rate: 100, for: 5s}, {rate: 20}]}": 56, // of the 10 s from 1 s on: 4 s, 5 s and 1 s
		"{ramp: {from: 10, to: 130}}":                                      70,
	} {
		o := Options{Experiment: decode(t, "# q?\narms: [{name: a, manifests: x}]\nphases: {healthy: 1s, fault: 10s, after: 1s}\nload: "+text)}
		assert.InDelta(t, want, o.rate(), .11, text+", requests per second")
		assert.GreaterOrEqual(t, load.Count(o.schedule(), 12*time.Second), 10*12, text+", requests")
	}
}

// TestSeventhService: an experiment on a fleet that this repository does not have,
// with a victim of another name. The record has its hops and its entry.
func TestSeventhService(t *testing.T) {
	t.Parallel()
	trial.Run(t, func(t *trial.T) {
		o := standIns(t, `# Who sees a bad seventh service?
fleet: {manifests: fleet.yaml, replicas: {seventh: 2}}
arms: [{name: plain}]
faults:
  - {name: bad, inject: [{service: seventh, rules: status=502}]}
  - {name: hang, inject: [{service: middle, rules: connect=hang}]}
  - {name: gone, inject: [{service: seventh, replicas: all, action: kill}, {service: middle, action: stop 200ms}]}
load: {target: front, rate: 50, timeout: 1s, streams: [{path: /things/1}]}
phases: {healthy: 1s, fault: 2s, after: 500ms}
seeds: [1]
goals:
  - {figure: good, arm: plain, fault: bad, atLeast: 99%}
`, "front", "middle", "seventh")
		run(t, o)
		comparison := records(t, o.Out)
		bad, hang, gone := comparison.Runs[0], comparison.Runs[1], comparison.Runs[2]
		var hops []string
		for _, hop := range bad.Hops {
			hops = append(hops, hop.Name())
		}
		assert.ElementsMatch(t, []string{"front>middle", "middle>seventh"}, hops, "hops")
		assert.Equal(t, "front", bad.Entry, "entry")
		assert.Len(t, bad.Pods, 1, "pods with the fault")
		assert.Equal(t, 2, bad.Replicas, "replicas")
		failedAfter(t, bad)
		failed := 0
		for _, r := range bad.Requests {
			during := r.Intended >= bad.FaultAt && r.Intended < bad.RepairAt
			if r.Failed() && during {
				failed++
			}
		}
		assert.InDelta(t, 50, failed, 30, "failed, of 100, half of which go to the bad replica")
		set := slices.IndexFunc(hang.Events, func(e record.Event) bool { return e.What == record.EventFaultSet })
		for _, r := range hang.Requests { // the connection is accepted, and never answered
			if during := r.Start > hang.Events[set].At && r.Start < hang.RepairAt-record.Offset(time.Second); during && (!r.Failed() || r.End-r.Start < record.Offset(time.Second)) {
				t.Errorf("answered through a connection that hangs: %+v", r)
				break
			}
		}
		exited := 0
		for _, e := range gone.Events {
			if e.What == record.EventExited && strings.HasPrefix(e.Who, "seventh-") {
				exited++
			}
		}
		assert.Equal(t, 2, exited, "exited: %+v", gone.Events)
		assert.ElementsMatch(t, []string{"seventh-0", "seventh-1", "middle-0"}, gone.Pods, "pods that were killed or stopped")
		computed := reportOf(t, o.Out)
		assert.Equal(t, report.ExitMissed, computed.ExitCode(), "exit code: %+v", computed.Goals)
	})
}

// failedAfter reports requests that failed although they began after the fault was
// cleared.
func failedAfter(t testing.TB, run *record.Run) {
	t.Helper()
	var cleared record.Offset
	for _, e := range run.Events {
		if e.What == record.EventFaultCleared {
			cleared = max(cleared, e.At)
		}
	}
	assert.GreaterOrEqual(t, cleared, run.RepairAt, "cleared: %+v", run.Events)
	for _, r := range run.Requests {
		assert.False(t, r.Failed() && r.Start > cleared, "failed after the repair: %+v", r)
	}
}

// brief is a fault and a load of 600 ms on the stand-in front.
const brief = `faults: [{name: bad, inject: [{service: front, rules: status=502}]}]
load: {target: front, rate: 20, streams: [{path: /}]}
phases: {healthy: 200ms, fault: 300ms, after: 100ms}
`

// newIn returns all runs of a comparison, and those that it did not have before, in their order.
func newIn(t testing.TB, o Options, before []*record.Run) (all, measured []string) {
	t.Helper()
	for _, r := range records(t, o.Out).Runs {
		all = append(all, r.Name())
		if !slices.ContainsFunc(before, func(other *record.Run) bool { return other.Began.Equal(r.Began) }) {
			measured = append(measured, r.Name())
		}
	}
	return all, measured
}

// TestGoesOn: a comparison measures only the runs that are not there as a whole: a line is missing, or there twice, or
// the comparison was interrupted in the middle of a line. One run is measured again; other conditions are refused.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	const text = "# q?\narms: [{name: a, manifests: fleet.yaml}, {name: b, manifests: fleet.yaml}, {name: c, manifests: fleet.yaml}]\nseeds: [1, 2]\n" + brief
	o := standIns(t, text, "front")
	run(t, o)
	runs := records(t, o.Out).Runs
	require.Len(t, runs, 6)
	path := filepath.Join(o.Out, RecordsFile)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(written), "\n")
	second := runs[0].Lines + 2 // the index of the second run's first line
	lines[2] = ""               // of the first
	lines[second+1] += lines[second+1]
	last := second + runs[1].Lines + 1 + runs[2].Lines + 1 // of the fourth's
	write(t, o.Out, RecordsFile, strings.Join(lines[:last+1], "")+lines[last+1][:20])
	c := comparison(t, o)
	assert.Equal(t, []string{
		fmt.Sprintf("%s:2: %s: lines: %d: must be %d: some are missing: measuring again", path, runs[0].Name(), runs[0].Lines-1, runs[0].Lines),
		fmt.Sprintf("%s:%d: %s: lines: %d: must be %d: there are more than the run has: measuring again", path, second, runs[1].Name(), runs[1].Lines+1, runs[1].Lines),
		fmt.Sprintf("%s:%d: %s: the line is cut off: measuring again", path, last+2, runs[3].Name()),
	}, c.Defects(), "defects")
	left, all, _ := c.Left()
	assert.Equal(t, []int{5, 6}, []int{left, all}, "left, of all")
	require.NoError(t, c.Run(t.Context()))
	names, measured := newIn(t, o, runs)
	assert.Equal(t, []string{runs[2].Name(), runs[0].Name(), runs[1].Name(), runs[3].Name(), runs[4].Name(), runs[5].Name()}, names, "runs")
	assert.Equal(t, names[1:], measured, "measured again")

	runs = records(t, o.Out).Runs
	o.Again = &record.Key{Arm: "b", Fault: "bad", Seed: 1}
	run(t, o)
	again, measured := newIn(t, o, runs)
	assert.Equal(t, names, again, "runs")
	assert.Equal(t, []string{"b, bad, seed 1"}, measured, "measured again")
	o.Again = &record.Key{Arm: "d", Fault: "bad", Seed: 1}
	_, err = New(o)
	assert.EqualError(t, err, "--run d, bad, seed 1: must be an arm, a fault and a seed of the experiment")
	o.Again, o.Experiment = nil, decode(t, strings.Replace(text, "rate: 20", "rate: 30", 1), "front")
	_, err = New(o)
	assert.EqualError(t, err, "--out "+o.Out+": rate: 20 and 30: must be the same to go on; else --out must be another directory")
}

// TestChanged: a comparison does not go on with an arm, a fault or a load that has changed since runs were measured;
// goals are those of the file. Without a run to measure the network may be another fleet's.
func TestChanged(t *testing.T) {
	t.Parallel()
	const text = "# q?\narms: [{name: a, manifests: fleet.yaml}, {name: b, manifests: fleet.yaml}]\nseeds: [1]\n" + brief
	o := standIns(t, text, "front")
	run(t, o)
	written := records(t, o.Out)
	changed := func(parts ...string) string {
		for i, part := range parts {
			parts[i] = "--out " + o.Out + ": " + part + ": changed since it was measured: must be the same to go on; else --out must be another directory"
		}
		return strings.Join(parts, "\n")
	}
	for _, test := range []struct{ old, new, want string }{
		{"", "", ""},
		{"# q?", "# another?", ""},
		{"{name: b,", "{name: b, meaning: m,", ""},
		{"{name: b,", "{name: b, replicas: {front: 2},", changed("arm b")},
		{"{name: b,", "{name: b, env: {front: {A: x}},", changed("arm b")},
		{"status=502", "status=503", changed("fault bad")},
		{"path: /", "path: /other", changed("load, phases")},
		{"[{path: /}]}", "[{path: /}], from: front}", changed("load, phases")},
	} {
		o.Experiment = decode(t, strings.Replace(text, test.old, test.new, 1), "front")
		_, err := New(o)
		wants.Error(t, test.new, err, test.want)
	}
	other := standIns(t, text, "front", "back") // another fleet.yaml
	o.Experiment, o.Bin = other.Experiment, other.Bin
	_, err := New(o)
	wants.Error(t, "other manifests", err, changed("arm a", "arm b"))
	o.Again = &record.Key{Arm: "b", Fault: "bad", Seed: 1}
	_, err = New(o)
	wants.Error(t, "other manifests, one run again", err, changed("arm a"))

	goals := text + "goals: [{figure: failed, arm: a, fault: bad, atLeast: 10%}]\n"
	o.Again, o.Experiment = nil, decode(t, goals, "front")
	c := comparison(t, o)
	left, _, _ := c.Left()
	assert.Zero(t, left, "runs to measure")
	busy, err := net.Listen("tcp", netip.AddrPortFrom(o.Network.Addr(), 65535).String()) // as another fleet does
	require.NoError(t, err)
	defer busy.Close()
	require.NoError(t, c.Run(t.Context()))
	again := records(t, o.Out)
	assert.Equal(t, goals, again.Experiment, "experiment")
	assert.Equal(t, written.Runs, again.Runs, "runs")
}

// TestBadRules: rules that a pod does not understand are a mistake in the file, and
// found before any load.
func TestBadRules(t *testing.T) {
	t.Parallel()
	o := standIns(t, `# q?
arms: [{name: a, manifests: fleet.yaml}]
faults:
  - name: bad
    inject:
      - {service: front, rules: "status=502,retry-after=3s"}
load: {target: front, streams: [{path: /}]}
seeds: [1]
`, "front")
	assert.EqualError(t, comparison(t, o).Run(t.Context()), o.Experiment.Source+":6: faults[0].inject[0].rules: pod front-0: rule 1: refused")
}

// TestRulesBefore: a service that has faults by its environment has them again
// after the repair: a limit of capacity, say, in which the experiment's trigger is.
func TestRulesBefore(t *testing.T) {
	t.Parallel()
	o := standIns(t, "# q?\narms: [{name: a, manifests: fleet.yaml, env: {front: {FAULTS: capacity=60}}}]\nseeds: [1]\n"+strings.Replace(brief, "after: 100ms", "after: 500ms", 1), "front")
	run(t, o)
	seen := records(t, o.Out).Runs[0]
	assert.True(t, slices.ContainsFunc(seen.Events, func(e record.Event) bool {
		return e.What == record.EventFaultCleared && e.Detail == "front-0: capacity=60"
	}), "events %+v", seen.Events)
	failedAfter(t, seen)
}

// TestInjectedTogether: a pod of several injections has the rules of all of them, once,
// whatever is done to it beside them, and after the repair those that it had before.
func TestInjectedTogether(t *testing.T) {
	t.Parallel()
	o := standIns(t, `# q?
arms: [{name: a, manifests: fleet.yaml, replicas: {front: 2}, env: {front: {FAULTS: capacity=60}}}]
faults:
  - name: both
    inject:
      - {service: front, action: stop 100ms}
      - {service: front, replicas: all, rules: status=502}
      - {service: fleetman-front, replicas: [front-1], rules: delay=1ms}
      - {service: front, replicas: [front-1], action: kill}
load: {target: front, rate: 20, streams: [{path: /}]}
phases: {healthy: 200ms, fault: 1s, after: 500ms}
seeds: [1]
`, "front")
	run(t, o)
	seen := records(t, o.Out).Runs[0]
	assert.ElementsMatch(t, []string{"front-0", "front-1"}, seen.Pods, "pods")
	assert.Equal(t, 2, seen.Replicas, "replicas")
	var of []string
	for _, e := range seen.Events {
		if e.What == record.EventFaultSet || e.What == record.EventFaultCleared && strings.Contains(e.Detail, ":") {
			of = append(of, e.What+" "+e.Detail)
		}
	}
	stopped := "fault set front-0: stop 100ms"
	if !slices.Contains(of, stopped) { // the other one received more
		stopped = "fault set front-1: stop 100ms"
	}
	assert.ElementsMatch(t, []string{
		stopped, "fault set front-1: kill", "fault set front-0: status=502",
		"fault set front-1: status=502;delay=1ms", "fault set front-1 again: status=502;delay=1ms",
		"fault cleared front-0: capacity=60", "fault cleared front-1: capacity=60",
	}, of, "events")
	failedAfter(t, seen)
}

// TestConnectTwice: a pod has one rule of connections.
func TestConnectTwice(t *testing.T) {
	_, err := New(Options{Root: "../..", Out: t.TempDir(), Experiment: decode(t, `# q?
arms: [{name: a, manifests: fleet.yaml, replicas: {front: 2}}]
faults:
  - name: apart
    inject:
      - {service: front, replicas: [front-0], rules: connect=hang}
      - {service: front, replicas: [front-1], rules: "connect=refuse;status=502"}
  - name: together
    inject:
      - {service: front, rules: "status=502;connect=hang"}
      - {service: fleetman-front, replicas: [front-1], rules: connect=refuse}
      - {service: front, rules: status=503}
load: {target: front, streams: [{path: /}]}
seeds: [1]
`, "front")})
	assert.ErrorContains(t, err, ":11: faults[1].inject[1].rules: connect=hang;connect=refuse: must be one rule of connect for each pod")
	problems, _ := errors.AsType[experiment.Problems](err)
	assert.Len(t, problems, 1, "problems")
}

// TestComparison is a short one with the real services, in processes and with real
// proxies: one of two replicas is bad. These two fleets have the machine for
// themselves.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of load")
	}
	for name, compares := range map[string]func(*trial.T){"library": comparesLibrary, "mesh": comparesMesh} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial.Run(t, compares)
		})
	}
}

// comparesLibrary: without resilience the bad replica shows, and the library
// contains it.
func comparesLibrary(t *trial.T) {
	o := short(t, "comparison", "none,library", "bad-replica", phases(2*time.Second, 8*time.Second, 200*time.Millisecond))
	o.Experiment.Load.Rate = 20
	run(t, o)
	computed := reported(t, o.Out)
	none, library := armOf(t, computed, "none"), armOf(t, computed, "library")
	assert.Positive(t, none.Value("failed"), "without resilience the fault must show, or the comparison proves nothing")
	contained(t, library)
	assert.LessOrEqual(t, library.Value("gap"), 1.0+1.5, "seconds that a vehicle stood still: an attempt's time-out, and what it leaves between two reports itself")
	assert.True(t, slices.ContainsFunc(library.Runs[0].Timeline, func(e report.Event) bool { return e.What == "breaker open" }), "no breaker opened: %+v", library.Runs[0].Timeline)
	for _, arm := range []report.Arm{none, library} {
		run := arm.Runs[0]
		assert.Positive(t, run.Met.Requests, "%s: requests that met the fault: %+v", arm.Name, run.Met)
		assert.Equal(t, 160, run.Requests, arm.Name+", requests")
		assert.InDelta(t, 1, arm.Value("good")+arm.Value("degraded")+arm.Value("failed"), 1e-5, arm.Name+", outcomes")
		for _, hop := range run.Whole {
			assert.Positive(t, hop.Requests, "%s: %+v", arm.Name, hop)
			assert.InDelta(t, hop.Attempts, hop.Received, 5, "%s: but for reports in flight at the ends, both ends must agree: %+v", arm.Name, hop)
		}
	}
}

func armOf(t testing.TB, f report.Fault, name string) report.Arm {
	t.Helper()
	i := slices.IndexFunc(f.Arms, func(a report.Arm) bool { return a.Name == name })
	require.NotEqual(t, -1, i, "no arm "+name)
	return f.Arms[i]
}

func TestOutboundTo(t *testing.T) {
	for cluster, want := range map[string]string{
		"outbound|8080||fleetman-staff-service.default.svc.cluster.local":     "staff-service",
		"outbound|8080|safe|fleetman-staff-service.default.svc.cluster.local": "staff-service",
		"outbound|80||other.shop.svc.cluster.local":                           "other",
		"inbound|8080||":  "",
		"xds-grpc":        "",
		"outbound|8080||": "",
	} {
		got, ok := outboundTo(cluster)
		assert.Equal(t, want, got, cluster)
		assert.Equal(t, want != "", ok, cluster)
	}
}

func TestEntry(t *testing.T) {
	began := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	pods := map[string]string{"127.0.77.4": "staff-service-0"}
	sidecar := proxy{name: "api-gateway-0", address: "127.0.77.6"}
	for name, test := range map[string]struct {
		proxy proxy
		entry envoy.AccessEntry
		want  record.AccessLogEntry
	}{
		"out": {
			sidecar,
			envoy.AccessEntry{Cluster: "outbound|8080||x", Upstream: "127.0.77.4:8080", Status: 504, Flags: "UT", Details: "response_timeout"},
			record.AccessLogEntry{Side: record.Out, To: "staff-service-0", Status: 504, Flags: "UT", Details: "response_timeout"},
		},
		"in":            {sidecar, envoy.AccessEntry{Cluster: "inbound|8080||", Upstream: "127.0.0.1:18004", Status: 502, Flags: "-", Fault: "status"}, record.AccessLogEntry{Side: record.In, Status: 502, Flags: "-", Fault: "status"}},
		"in, refused":   {sidecar, envoy.AccessEntry{Local: "127.0.77.6:8080", Status: 403, Flags: "-"}, record.AccessLogEntry{Side: record.In, Status: 403, Flags: "-"}},
		"out, no route": {sidecar, envoy.AccessEntry{Local: "127.0.78.6:8080", Status: 404, Flags: "NR"}, record.AccessLogEntry{Side: record.Out, Status: 404, Flags: "NR"}},
		"gateway": {
			proxy{name: "api-gateway-0", gateway: true},
			envoy.AccessEntry{Cluster: "outbound|8080||x", Upstream: "127.0.77.4:8080", Status: 200, Flags: "-"},
			record.AccessLogEntry{Side: record.AtGateway, To: "staff-service-0", Status: 200, Flags: "-"},
		},
	} {
		test.entry.Time = began.Add(1500 * time.Millisecond)
		test.want.At, test.want.Proxy = record.Offset(1500*time.Millisecond), "api-gateway-0"
		assert.Equal(t, test.want, test.proxy.recordEntry(test.entry, pods, began), name)
	}
}

// TestMissingBinaries: they are looked for once, before any run, and only for an
// arm with a mesh; no records are begun without them.
func TestMissingBinaries(t *testing.T) {
	t.Parallel()
	calls := 0
	o := short(t, "comparison", "none,mesh", "bad-replica", phases(0, time.Second, 0))
	o.Binaries = func(context.Context) (binaries.Set, error) {
		calls++
		return binaries.Set{}, errors.New("envoy is missing: make mesh-parts")
	}
	assert.EqualError(t, comparison(t, o).Run(t.Context()), "envoy is missing: make mesh-parts")
	assert.Equal(t, 1, calls, "calls")
	assert.NoFileExists(t, filepath.Join(o.Out, RecordsFile))
	selectFrom(t, o.Experiment, "none", "bad-replica")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, comparison(t, o).Run(ctx), context.Canceled, "without a mesh")
	assert.Equal(t, 1, calls, "calls, without a mesh")
}

// long skips the test if only short ones run, and runs it beside others.
func long(t *testing.T, takes string) {
	t.Helper()
	if testing.Short() {
		t.Skip(takes)
	}
	t.Parallel()
}

// withMesh adds the real binaries of a mesh, or skips the test.
func withMesh(t testing.TB, o Options) Options {
	t.Helper()
	found := meshtest.Binaries(t)
	o.Binaries = func(context.Context) (binaries.Set, error) { return found, nil }
	return o
}

// contained fails unless the answers after containment are those of an arm of
// which 99.8 % are good, at a confidence of 0.9999.
func contained(t testing.TB, arm report.Arm) {
	t.Helper()
	then := arm.Figures["goodThen"]
	require.NotNil(t, then.Value, arm.Name+": not contained")
	good, least := goodOf(then.N, *then.Value)
	assert.GreaterOrEqual(t, good, least, "%s: good after containment, of %d", arm.Name, then.N)
}

// goodOf is how many of all are good, and how few may be where 99.8 % are.
func goodOf(all int, share float64) (good, least int) {
	promised := .998
	least, _ = scenario.Count{ShareAtLeast: &promised, Confidence: .9999}.Range(all)
	return int(math.Round(share * float64(all))), least
}

// comparesMesh: without a policy the bad replica shows, and the policies eject it.
func comparesMesh(t *trial.T) {
	o := withMesh(t, short(t, "comparison", "sidecars,mesh", "bad-replica", phases(2*time.Second, 8*time.Second, 200*time.Millisecond)))
	o.Experiment.Load.Rate = 20
	run(t, o)
	computed := reported(t, o.Out)
	sidecars, mesh := armOf(t, computed, "sidecars"), armOf(t, computed, "mesh")
	assert.Positive(t, sidecars.Runs[0].Origins[report.FromApp], "without a policy the fault must show: origins %v", sidecars.Runs[0].Origins)
	contained(t, mesh)
	good, least := goodOf(sidecars.Runs[0].Requests, sidecars.Value("good"))
	assert.Less(t, good, least, "good without a policy: must not pass for 99.8 %, or the bound proves nothing")
	assert.True(t, slices.ContainsFunc(mesh.Runs[0].Timeline, func(e report.Event) bool { return e.What == record.EventEjected && e.Who == "api-gateway-0" }), "nothing was ejected: %+v", mesh.Runs[0].Timeline)
	assert.NotContains(t, strings.Join(computed.Notes, "\n"), "changes no proxy", "notes")
	for _, arm := range []report.Arm{sidecars, mesh} {
		run := arm.Runs[0]
		c := run.Cost
		assert.Equal(t, []int{7, 6, 1}, []int{c.Proxies.Processes, c.Services.Processes, c.ControlPlane.Processes}, arm.Name+", proxies, services, istiods")
		assert.Positive(t, min(c.Proxies.Cores, c.Services.Cores), "%s: cost %+v", arm.Name, c)
		assert.Greater(t, min(c.Proxies.Memory, c.ControlPlane.Memory), 10e6, "%s: cost %+v", arm.Name, c)
		assert.Zero(t, run.Origins[report.Unknown], "%s: origins of failures %v", arm.Name, run.Origins)
		for _, hop := range run.Whole {
			// in flight at the ends, and what an upstream did not count: a
			// caller that goes away
			assert.Positive(t, hop.ProxyAttempts, "%s: %+v", arm.Name, hop)
			assert.InDelta(t, hop.ProxyAttempts, hop.Received, 5, "%s: both ends must agree: %+v", arm.Name, hop)
		}
	}
}

// TestMeshNotes: an object that changes no proxy is printed once for its arm, and
// is in the record of every run. The load's requests, which a service sends through
// its proxy, are the first hop: its proxy and its target count as many.
func TestMeshNotes(t *testing.T) {
	t.Parallel()
	o := withMesh(t, standIns(t, `# q?
arms: [{name: mine, mesh: true, manifests: [fleet.yaml, rule.yaml]}]
load: {target: seventh, from: front, rate: 20, streams: [{path: /}]}
phases: {healthy: 100ms, fault: 200ms, after: 100ms}
repeats: 2
seeds: [1]
`, "front", "seventh"))
	const rule = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: front, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}}\n"
	write(t, filepath.Dir(o.Experiment.Source), "rule.yaml", rule)
	var lines []string
	o.Progress = func(line string) { lines = append(lines, line) }
	run(t, o)
	has := func(text string) bool { return strings.HasSuffix(text, "(istioctl analyze, IST0174)") }
	printed := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !has(line) || !strings.HasPrefix(line, "mine: ") })
	assert.Len(t, printed, 1, "printed: %q", lines)
	for _, r := range records(t, o.Out).Runs {
		assert.True(t, slices.ContainsFunc(r.Notes, has), "%s: notes %q", r.Name(), r.Notes)
		n := float64(len(r.Requests))
		assert.NotZero(t, n, r.Name()+", requests")
		hop, _ := r.Watched()
		assert.Equal(t, "front>seventh", hop.Name(), r.Name()+", watched")
		assert.Equal(t, record.HopCounts{Requests: n, Attempts: n, ProxyAttempts: n, Received: n}, r.Counters().Hop(hop, 0, r.Counters().Last()), r.Name()+", counts")
	}
}

// TestRefusedByIstio: all arms are validated before the first run.
func TestRefusedByIstio(t *testing.T) {
	t.Parallel()
	o := withMesh(t, standIns(t, `# q?
arms:
  - {name: good, mesh: true, manifests: [fleet.yaml, rule.yaml]}
  - {name: bad, from: good, patches: [{kind: DestinationRule, metadata: {name: rule}, spec: {outliers: {}}}]}
load: {target: front, streams: [{path: /}]}
seeds: [1]
`, "front"))
	const rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: fleetman-front}\n"
	write(t, filepath.Dir(o.Experiment.Source), "rule.yaml", rule)
	err := comparison(t, o).Run(t.Context())
	assert.ErrorAs(t, err, new(experiment.Problems))
	wants.Error(t, "an object that Istio refuses", err, o.Experiment.Source+`:4: arms[1]: bad: …refused by Istio: …"outliers"…`)
	assert.NoFileExists(t, filepath.Join(o.Out, RecordsFile))
}

// TestTaken: beside another fleet on its addresses, a comparison names them before
// anything is built or written.
func TestTaken(t *testing.T) {
	t.Parallel()
	o := standIns(t, "# q?\narms: [{name: a, manifests: fleet.yaml}]\nload: {target: front, streams: [{path: /}]}\nseeds: [1]\n", "front")
	claim, err := net.Listen("tcp", netip.AddrPortFrom(o.Network.Addr(), 65535).String()) // as a fleet does
	require.NoError(t, err)
	defer claim.Close()
	assert.EqualError(t, comparison(t, o).Run(t.Context()), fmt.Sprintf("--network %v: %v is another fleet's: must be a network that is free; fleetman down ends a fleet", o.Network, o.Network.Addr()))
	assert.NoFileExists(t, filepath.Join(o.Out, RecordsFile))
}

// TestOlderRecords: a file that is no comparison is never overwritten.
func TestOlderRecords(t *testing.T) {
	o := short(t, "comparison", "none", "bad-replica", phases(0, time.Second, 0))
	write(t, o.Out, RecordsFile, "precious\n")
	_, err := New(o)
	wants.Error(t, "no records", err, "…: --out must be a directory without records, or with those of this experiment")
	text, err := os.ReadFile(filepath.Join(o.Out, RecordsFile))
	require.NoError(t, err)
	assert.Equal(t, "precious\n", string(text))
}

// TestStopped: a comparison that is ended leaves no records of the run that
// was interrupted, and no fleet.
func TestStopped(t *testing.T) {
	t.Parallel()
	o := short(t, "comparison", "none,library", "bad-replica", phases(0, time.Second, 0))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(0, cancel)
	c := comparison(t, o)
	first := c.plans[0].arm.Name
	err := c.Run(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualError(t, err, "interrupted in "+first+", bad-replica, seed 1: 0 of 2 runs are kept in "+o.Out+": context canceled")
	text, err := os.ReadFile(filepath.Join(o.Out, RecordsFile))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(text), "\n"), "lines: the header only")
}

// TestOnTime: a run whose load was late is measured again, a bounded number of
// times.
func TestOnTime(t *testing.T) {
	run := func(lateness time.Duration) *record.Run {
		r := new(record.Run)
		for range 100 {
			r.Requests = append(r.Requests, record.Request{Start: record.Offset(lateness)})
		}
		return r
	}
	for name, test := range map[string]struct {
		lateness []time.Duration // of each measurement
		want     int
		late     bool
		progress string
	}{
		"on time":     {[]time.Duration{time.Millisecond}, 1, false, ""},
		"late once":   {[]time.Duration{4 * time.Second, 0}, 2, false, "x: the load was late (p99 4s, at most 4s; must be p99 10ms, at most 250ms): measuring again\n"},
		"always late": {[]time.Duration{time.Second, time.Second, time.Second}, 3, true, strings.Repeat("x: the load was late (p99 1s, at most 1s; must be p99 10ms, at most 250ms): measuring again\n", 2) + "x: the load was late (p99 1s, at most 1s; must be p99 10ms, at most 250ms): kept and marked after measurement 3\n"},
	} {
		n, progress := 0, ""
		o := Options{Progress: func(line string) { progress += line + "\n" }}
		got, err := o.onTime("x", func() (*record.Run, error) {
			n++
			return run(test.lateness[n-1]), nil
		})
		require.NoError(t, err, name)
		assert.Equal(t, []int{test.want, test.want}, []int{n, got.Measurements}, name+", measurements")
		assert.Equal(t, test.late, got.Lateness().TooLate(), name+", late")
		assert.Equal(t, test.progress, progress, name)
	}
	_, err := (Options{}).onTime("x", func() (*record.Run, error) { return nil, errors.New("no fleet") })
	assert.EqualError(t, err, "no fleet")
}

// TestEventNames: the records' names are those of the fleet's events.
func TestEventNames(t *testing.T) {
	assert.Equal(t, []local.EventKind{local.Exited, local.Ejected, local.Returned}, []local.EventKind{record.EventExited, record.EventEjected, record.EventReturned})
}

// TestAway: a pod with the fault may be away when its breakers are read, another one may not.
func TestAway(t *testing.T) {
	r := &running{fleet: &localFleet{}, seen: record.Run{Pods: []string{"faulty-0"}}}
	assert.NoError(t, r.breakers(t.Context(), local.Pod{Name: "faulty-0", Address: "127.0.0.1", AdminPort: 1}))
	assert.Error(t, r.breakers(t.Context(), local.Pod{Name: "other-0", Address: "127.0.0.1", AdminPort: 1}))
}

// TestBusiest: the fault goes where the load went.
func TestBusiest(t *testing.T) {
	sample := func(pod string, reads, writes float64) record.Sample {
		return record.Sample{Pod: pod, Counts: []record.Count{{Name: record.CountServer, Of: "GET /driver/:vehicle", N: reads}, {Name: record.CountServer, Of: "POST /driver/:vehicle/:speed", N: writes}}}
	}
	pods := []local.Pod{{Name: "staff-service-0"}, {Name: "staff-service-1"}}
	for name, test := range map[string]struct {
		samples []record.Sample
		want    string
	}{
		"first":         {[]record.Sample{sample("staff-service-0", 0, 9), sample("staff-service-1", 0, 0)}, "staff-service-0"},
		"reads":         {[]record.Sample{sample("staff-service-0", 1, 99), sample("staff-service-1", 0, 0), sample("staff-service-0", 1, 99), sample("staff-service-1", 30, 0)}, "staff-service-1"},
		"without reads": {[]record.Sample{sample("staff-service-0", 0, 9), sample("staff-service-1", 0, 10)}, "staff-service-1"},
	} {
		r := &running{seen: record.Run{Samples: test.samples}}
		got := r.busiest(pods)
		require.Len(t, got, 2, name)
		assert.Equal(t, test.want, got[0].Name, name)
	}
}
