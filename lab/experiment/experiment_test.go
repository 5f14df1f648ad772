package experiment

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

const whole = `# Does an outlierDetection on vehicle-telemetry take a bad replica out?
fleet:
  replicas: {vehicle-telemetry: 2, webapp: 0}
arms:
  - name: sidecars
    manifests: repo:k8s/scenarios/sidecars
    mesh: true
  - name: mine
    from: sidecars
    manifests: [repo:k8s/scenarios/sidecars, telemetry.yaml]
    env: {all: {RESILIENCE: "off"}, api-gateway: {A: 1}}
  - name: ten
    from: mine
    replicas: {staff-service: "${percent}"}
    patches: [{kind: DestinationRule, metadata: {name: telemetry}, spec: {trafficPolicy: {outlierDetection: {maxEjectionPercent: "${percent}"}}}}]
faults:
  - name: bad
    inject:
      - {service: vehicle-telemetry, rules: "status=503,rate=${share}"}
      - {service: staff-service, replicas: all, action: stop 5s}
  - name: two
    inject: [{service: staff-service, replicas: [staff-service-0], rules: reset}]
load:
  rate: 50
  timeout: 2s
  streams:
    - {name: driver, path: "/vehicles/driver/{vehicle}", share: 3, headers: {X-User: jason}}
    - {name: all, method: POST, path: /vehicles/, body: "{}"}
phases: {healthy: 3s, fault: 10s, after: 5s}
seeds: [7, 8]
repeats: 2
slo: 250ms
sweep:
  - {name: percent, values: [10, 100]}
  - {name: share, values: [0.25, 0.5]}
theory: [{figure: good, formula: "1 - share"}]
goals:
  - {figure: good, arm: ten, fault: bad, atLeast: 99.8%}
  - {figure: p99, arm: ten, over: sidecars, fault: two, atMost: 3ms, confidence: 90%}
`

var figures = []Figure{{"good", "share"}, {"p99", "s"}, {"attempts", "1"}, {"cpu", "cores"}}

func decode(t *testing.T, text string) *Experiment {
	t.Helper()
	e, err := Decode("x.yaml", []byte(text), figures)
	require.NoError(t, err)
	return e
}

func TestDecode(t *testing.T) {
	e := decode(t, whole)
	assert.Equal(t, "Does an outlierDetection on vehicle-telemetry take a bad replica out?", e.Question)
	assert.Equal(t, Duration(250*time.Millisecond), e.SLO, "slo")
	assert.Equal(t, Phases{Duration(3 * time.Second), Duration(10 * time.Second), Duration(5 * time.Second)}, e.Phases, "phases")
	assert.Equal(t, []uint64{7, 8}, e.Seeds, "seeds")
	assert.Equal(t, 2, e.Repeats, "repeats")
	assert.Equal(t, Load{
		Target: TargetGateway, Rate: 50, Timeout: Duration(2 * time.Second), MaxInFlight: 1000, Streams: []Stream{
			{Name: "driver", Method: "GET", Path: "/vehicles/driver/{vehicle}", Share: 3, Headers: map[string]string{"X-User": "jason"}},
			{Name: "all", Method: "POST", Path: "/vehicles/", Body: "{}", Share: 1},
		},
	}, e.Load, "load")
	in := e.Faults[0].Inject
	assert.Equal(t, []int{1, 3}, []int{in[0].Replicas.N(2), in[1].Replicas.N(3)}, "replicas")
	assert.Equal(t, []string{"staff-service-0"}, e.Faults[1].Inject[0].Replicas.Names, "replicas")
	assert.Equal(t, []Goal{
		{Figure: "good", Arm: "ten", Fault: "bad", AtLeast: "99.8%", Confidence: .95},
		{Figure: "p99", Arm: "ten", Fault: "two", Over: "sidecars", AtMost: "3ms", Confidence: .9},
	}, e.Goals, "goals")
}

// TestExpand: an arm has everything of the one that it is from, and there is one
// for each value that it depends on.
func TestExpand(t *testing.T) {
	e := decode(t, whole)
	arms, faults := e.Expand()
	var names []string
	for _, a := range arms {
		names = append(names, a.Name)
	}
	for _, f := range faults {
		names = append(names, f.Name)
	}
	assert.Equal(t, []string{"sidecars", "mine", "ten:percent=10", "ten:percent=100", "bad:share=0.25", "bad:share=0.5", "two"}, names, "arms and faults")
	ten := arms[2]
	assert.True(t, ten.HasMesh(func() bool { return false }), "mesh")
	assert.Equal(t, "ten", ten.Of, "of")
	assert.Equal(t, Paths{"repo:k8s/scenarios/sidecars", "telemetry.yaml"}, ten.Manifests, "manifests")
	assert.Equal(t, map[string]int{"vehicle-telemetry": 2, "webapp": 0, "staff-service": 10}, ten.Pods(), "pods")
	assert.Equal(t, map[string]map[string]string{"all": {"RESILIENCE": "off"}, "api-gateway": {"A": "1"}}, ten.Env, "env")
	text, _ := json.Marshal(ten.Patches)
	assert.Equal(t, `[{"kind":"DestinationRule","metadata":{"name":"telemetry"},"spec":{"trafficPolicy":{"outlierDetection":{"maxEjectionPercent":10}}}}]`, string(text), "patch")
	assert.Equal(t, "status=503,rate=0.5", faults[1].Inject[0].Rules, "rules")
	assert.Equal(t, Point{"percent": "10", "share": "0.5"}, At(ten, faults[1]), "point")
	assert.True(t, Meet(ten, faults[0]), "no axis of both")
	assert.False(t, Meet(Arm{Point: Point{"a": "1"}}, Fault{Point: Point{"a": "2"}}), "an axis of both has two values")
}

// TestJSON: the records have an experiment as JSON, which is read as the file is.
func TestJSON(t *testing.T) {
	want := decode(t, whole)
	text, err := json.Marshal(want)
	require.NoError(t, err)
	got := new(Experiment)
	require.NoError(t, json.Unmarshal(text, got))
	got.Source, got.Text, got.lines = want.Source, want.Text, want.lines
	assert.Equal(t, want, got)
	again := decode(t, string(text)) // JSON is YAML
	again.Text, again.lines = want.Text, want.lines
	assert.Equal(t, want, again, "read as a file")
}

// manyAxes is a sweep with more points than fit into memory.
func manyAxes() (text string) {
	var values []string
	for i := range 100 {
		values = append(values, strconv.Itoa(i))
	}
	for _, name := range "abcde" {
		text += fmt.Sprintf("  - {name: %c, values: [%s]}\n", name, strings.Join(values, ", "))
	}
	return text
}

// TestMistakes: all of them at once, each with its line, its field, what was found
// and what is allowed.
func TestMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"a second document":             {"question: q\narms: []\n\n---\nquestion: q\n", []string{"x.yaml:4: a second document: must be one alone"}},
		"no YAML, in a second document": {"question: q\n---\narms: [\n", []string{"x.yaml:3: a second document: must be one alone"}},
		"a tab":                         {"question: q\narms:\n  - name: a\n\t\tmanifests: x\n", []string{"x.yaml:4: a tab in the indentation: must be spaces"}},
		"empty":                         {"", []string{"x.yaml:1: empty: must be an experiment"}},
		"no object":                     {"- a\n", []string{"x.yaml:1: a list: must be an object with question, fleet, arms, faults, load, phases, seeds, repeats, slo, sweep, theory, goals"}},
		"unknown fields, wrong types": {
			"question: q\narms:\n  - name: a\n    manifest: x\n    mesh: perhaps\n    replicas: {s: many}\nload:\n  rate: fast\n  timeout: 10\nseeds: [x]\nfault: []\n",
			[]string{
				`x.yaml:4: arms[0]: "manifest": must be one of name, meaning, from, manifests, mesh, env, replicas, patches, target`,
				`x.yaml:5: arms[0].mesh: "perhaps": must be true or false`,
				`x.yaml:6: arms[0].replicas.s: "many": must be a whole number from 0 to 100`,
				`x.yaml:8: load.rate: "fast": must be a number`,
				`x.yaml:9: load.timeout: "10": must be a duration such as 1.5s, at most 1h`,
				`x.yaml:10: seeds[0]: "x": must be a whole number`,
				`x.yaml:11: "fault": must be one of question, fleet, arms, faults, load, phases, seeds, repeats, slo, sweep, theory, goals`,
			},
		},
		"wrong values": {
			"question: q\narms:\n  - name: a b\n    manifests: x\n  - name: c\n    from: nobody\nfaults:\n  - name: f\n    inject:\n      - service: s\n      - {service: s, action: explode}\nload:\n  rate: 5000\nphases: {fault: 0s}\ngoals:\n  - {figure: fun, arm: c, fault: g, confidence: 10%}\n",
			[]string{
				`x.yaml:3: arms[0].name: "a b": must be 1 to 40 letters, digits, '.', '_' and '-'`,
				`x.yaml:6: arms[1].from: "nobody": must be an arm before this one`,
				`x.yaml:10: faults[0].inject[0]: rules "", action "": must be one of them`,
				`x.yaml:11: faults[0].inject[1].action: "explode": must be kill, stop 5s (at most 1h) or roll`,
				`x.yaml:13: load.rate: 5000: must be between 0.1 and 1000 requests per second`,
				`x.yaml:14: phases.fault: 0s: must be between 100ms and 1h`,
				`x.yaml:16: goals[0].figure: "fun": must be one of good, p99, attempts, cpu`,
				`x.yaml:16: goals[0].fault: "g": must be one of f`,
				`x.yaml:16: goals[0]: no bound: must have atLeast, atMost or both`,
				`x.yaml:16: goals[0].confidence: 0.1: must be at least 50%, and less than 100%`,
			},
		},
		"out of range": {
			"question: q\narms: [{name: a, manifests: x}]\nload: {rate: 1e309}\nrepeats: 99999999999\nseeds: [99999999999999999999, -1]\n",
			[]string{
				`x.yaml:3: load.rate: "1e309": must be a number closer to 0`,
				`x.yaml:4: repeats: "99999999999": must be a number closer to 0`,
				`x.yaml:5: seeds[0]: "99999999999999999999": must be a number closer to 0`,
				`x.yaml:5: seeds[1]: "-1": must be a whole number`,
			},
		},
		"a step after the end": {
			"question: q\narms: [{name: a, manifests: x}]\nload: {steps: [{rate: 1, for: 1h}, {rate: 5}]}\n",
			[]string{"x.yaml:3: load.steps[1]: begins after 1h0m0s: must be before the end of the phases, 31.2s"},
		},
		"no question": {"arms: [{name: a, manifests: x}]\n", []string{`x.yaml:1: question: "": must be the question that the experiment answers, in one line, here or as a comment in the file's first line`}},
		"no manifests": {"question: q\narms: [{name: a}, {name: b, from: a}]\n", []string{
			"x.yaml:2: arms[0].manifests: empty: must be a directory or a file, here, in the arm that it is from or in the fleet",
			"x.yaml:2: arms[1].manifests: empty: must be a directory or a file, here, in the arm that it is from or in the fleet",
		}},
		"sweep": {
			"question: q\narms: [{name: a, manifests: x, env: {s: {A: \"${n}\", B: \"${gone}\"}}}]\nsweep:\n  - {name: n, values: [1, 1]}\n  - {name: unused, values: [2]}\ngoals: [{figure: good, arm: a, fault: healthy, atLeast: 1 / (n - n)}, {figure: good, arm: a, fault: healthy, atMost: 1 ^ n}]\n",
			[]string{
				`x.yaml:4: sweep[0].values[1]: "1": must be there once`,
				"x.yaml:4: sweep: no gone: must be there for ${gone}",
				`x.yaml:5: sweep[1].name: "unused": must be in an arm or in a fault, as ${unused}`,
				"x.yaml:6: goals[0].atLeast: 1 / (n - n): +Inf: must be a finite number",
				"x.yaml:6: goals[1].atMost: 1 ^ n: ^: must be one of + - * /",
			},
		},
		"swept replicas": {
			"question: q\nfleet: {replicas: {t: -1}}\narms:\n  - {name: a, manifests: x, replicas: {s: \"${n}\"}}\n  - {name: b, manifests: x, replicas: {s: \"${n}0\"}}\nsweep: [{name: n, values: [1, few, 101]}]\n",
			[]string{
				`x.yaml:2: fleet.replicas.t: "-1": must be a whole number from 0 to 100`,
				`x.yaml:4: arms[0].replicas.s: "few": must be a whole number from 0 to 100`,
				`x.yaml:4: arms[0].replicas.s: "101": must be a whole number from 0 to 100`,
				`x.yaml:5: arms[1].replicas.s: "${n}0": must be a whole number from 0 to 100`,
			},
		},
		"fields and values": {
			"question: q\narms: [{name: a, manifest: x}]\nload: {rate: 5000, timeout: 10}\nphases: {fault: 0s}\n",
			[]string{
				`x.yaml:2: arms[0]: "manifest": must be one of name, meaning, from, manifests, mesh, env, replicas, patches, target`,
				`x.yaml:3: load.timeout: "10": must be a duration such as 1.5s, at most 1h`,
				`x.yaml:3: load.rate: 5000: must be between 0.1 and 1000 requests per second`,
				`x.yaml:4: phases.fault: 0s: must be between 100ms and 1h`,
			},
		},
		"no arms": {"question: q\narms: []\ngoals: [{figure: good, arm: a, fault: healthy, atLeast: 1}]\n", []string{"x.yaml:2: arms: empty: must be one at least"}},
		"an arm twice": {"question: q\narms:\n  - {name: a, manifests: x}\n  - {name: a, manifests: x}\ngoals: [{figure: good, arm: b, fault: healthy, atLeast: 90%, atMost: 0.8}]\n", []string{
			`x.yaml:4: arms[1].name: "a": must be there once`,
			`x.yaml:5: goals[0].arm: "b": must be one of a`,
			"x.yaml:5: goals[0]: atLeast 90%, atMost 0.8: atLeast must not be more than atMost",
		}},
		"bounds against units": {
			"question: q\narms: [{name: a, manifests: x}, {name: b, from: a}]\ngoals:\n" +
				"  - {figure: good, arm: a, fault: healthy, atLeast: 500%}\n" +
				"  - {figure: good, arm: a, fault: healthy, atMost: 3ms}\n" +
				"  - {figure: good, arm: a, fault: healthy, atLeast: -5%}\n" +
				"  - {figure: p99, arm: a, fault: healthy, atMost: 3%}\n" +
				"  - {figure: p99, arm: a, fault: healthy, atLeast: -1ms, atMost: 99h}\n" +
				"  - {figure: good, arm: a, over: b, fault: healthy, atLeast: -5%, atMost: -200%}\n" +
				"  - {figure: p99, arm: a, over: b, fault: healthy, atLeast: -3ms, atMost: 3%}\n" +
				"  - {figure: attempts, arm: a, fault: healthy, atLeast: -1, atMost: 3s}\n" +
				"  - {figure: attempts, arm: a, fault: healthy, atMost: 150%}\n" +
				"  - {figure: cpu, arm: a, fault: healthy, atLeast: 1s, atMost: 150%}\n" +
				"  - {figure: p99, arm: a, fault: healthy, atLeast: 3, atMost: 0}\n",
			[]string{
				"x.yaml:4: goals[0].atLeast: 500%: must be a share from 0% to 100%",
				"x.yaml:5: goals[1].atMost: 3ms: must be a share from 0% to 100%",
				"x.yaml:6: goals[2].atLeast: -5%: must be a share from 0% to 100%",
				"x.yaml:7: goals[3].atMost: 3%: must be a duration such as 3ms, from 0s to 3h",
				"x.yaml:8: goals[4].atLeast: -1ms: must be a duration such as 3ms, from 0s to 3h",
				"x.yaml:8: goals[4].atMost: 99h: must be a duration such as 3ms, from 0s to 3h",
				"x.yaml:9: goals[5].atMost: -200%: must be a difference of shares, from -100% to 100%",
				"x.yaml:9: goals[5]: atLeast -5%, atMost -200%: atLeast must not be more than atMost",
				"x.yaml:10: goals[6].atMost: 3%: must be a difference of durations such as -3ms, from -3h to 3h",
				"x.yaml:11: goals[7].atLeast: -1: must be a number of at least 0, without a unit",
				"x.yaml:11: goals[7].atMost: 3s: must be a number of at least 0, without a unit",
				"x.yaml:12: goals[8].atMost: 150%: must be a number of at least 0, without a unit",
				"x.yaml:13: goals[9].atLeast: 1s: must be a number of cores, at least 0, or percent of one",
				"x.yaml:14: goals[10]: atLeast 3, atMost 0: atLeast must not be more than atMost",
			},
		},
		"bounds that are no numbers": {
			"question: q\narms: [{name: a, manifests: x}]\ngoals:\n  - {figure: good, arm: a, fault: healthy, atLeast: 1e309}\n  - {figure: good, arm: a, fault: healthy, atLeast: NaN}\n  - {figure: good, arm: a, fault: healthy, atLeast: Inf%}\n  - {figure: good, arm: a, fault: healthy, atMost: 9999999h}\n  - {figure: good, arm: a, fault: healthy, atMost: '\"a\"'}\n",
			[]string{
				"x.yaml:4: goals[0].atLeast: 1e309: +Inf: must be a finite number",
				`x.yaml:5: goals[1].atLeast: "NaN": must be a number, or a formula with the names of the sweep's values alone`,
				`x.yaml:6: goals[2].atLeast: "Inf%": must be a number, or a formula with the names of the sweep's values alone`,
				`x.yaml:7: goals[3].atMost: "9999999h": must be a number, a share such as 99.8%, a duration such as 3ms, or a formula of + - * / pow, min and max`,
				`x.yaml:8: goals[4].atMost: "a": must be a formula of numbers, the sweep's values, + - * /, pow, min and max`,
			},
		},
		"zeros": {
			"question: q\narms: [{name: a, manifests: x}]\nload:\n  rate: 0\n  jobs: 0\n  timeout: 0s\n  maxInFlight: 0\n  streams: [{path: /, share: 0}]\nphases: {fault: 0s}\nseeds: [0]\nrepeats: 0\nslo: 0s\n" +
				"faults: [{name: f, inject: [{service: s, replicas: 0, rules: reset}, {service: s, replicas: [], rules: reset}]}]\n",
			[]string{
				"x.yaml:4: load.rate: 0: must be between 0.1 and 1000 requests per second",
				"x.yaml:5: load.jobs: 0: must be between 1 and 100",
				"x.yaml:6: load.timeout: 0s: must be more than 0s, and at most 1h",
				"x.yaml:7: load.maxInFlight: 0: must be between 1 and 100000",
				"x.yaml:8: load.streams[0].share: 0: must be between 1 and 1000",
				"x.yaml:9: phases.fault: 0s: must be between 100ms and 1h",
				"x.yaml:10: seeds[0]: 0: must be between 1 and 4611686018427387804, and there once",
				"x.yaml:11: repeats: 0: must be between 1 and 100",
				"x.yaml:12: slo: 0s: must be more than 0s, and at most 1h",
				`x.yaml:13: faults[0].inject[0].replicas: "0": must be one, all, a number from 1 to 100, or a list of pods`,
				"x.yaml:13: faults[0].inject[1].replicas: empty: must be one, all, a number from 1 to 100, or a list of pods",
			},
		},
		"no confidence": {
			"question: q\narms: [{name: a, manifests: x}]\ngoals: [{figure: good, arm: a, fault: healthy, atLeast: 0, confidence: 0}]\n",
			[]string{"x.yaml:3: goals[0].confidence: 0: must be at least 50%, and less than 100%"},
		},
		"zero and another rate": {
			"question: q\narms: [{name: a, manifests: x}]\nload:\n  rate: 0\n  steps: [{rate: 0, for: 0s}, {rate: 5, for: 0s}]\n  ramp: {from: 5}\n",
			[]string{
				"x.yaml:4: load: 3 of rate, steps and ramp: must be one of them",
				"x.yaml:4: load.rate: 0: must be between 0.1 and 1000 requests per second",
				"x.yaml:5: load.steps[0].rate: 0: must be between 0.1 and 1000 requests per second",
				"x.yaml:5: load.steps[0].for: 0s: must be more than 0s, and at most 1h",
				"x.yaml:5: load.steps[1].for: 0s: must be absent in the last step, which lasts as long as the load",
				"x.yaml:6: load.ramp.to: missing: must be between 0.1 and 1000 requests per second",
			},
		},
		"empty lists": {
			"question: q\narms: [{name: a, manifests: x}]\nfaults: []\nload: {streams: [], vehicles: []}\nseeds: []\n",
			[]string{
				"x.yaml:3: faults: empty: must be absent, or one at least",
				"x.yaml:4: load.streams: empty: must be absent, or one at least",
				"x.yaml:4: load.vehicles: empty: must be absent, or one at least",
				"x.yaml:5: seeds: empty: must be absent, or one at least",
			},
		},
		"load": {
			"question: q\narms: [{name: a, manifests: x}]\nload:\n  target: nobody\n  vehicles: ['']\n",
			[]string{
				`x.yaml:4: load.target: "nobody": must be api-gateway, ingress, page, or, with load.streams, another Service`,
				"x.yaml:5: load.vehicles[0]: empty: must be the name of a vehicle",
			},
		},
		"streams": {
			"question: q\narms: [{name: a, manifests: x}]\nload:\n  streams:\n    - {name: a, path: '/vehicles/{car}'}\n    - {name: b, path: '/{vehicle}/}'}\n    - {name: c, path: /, headers: {X-User: a, x-user: b, content-length: 3}}\n",
			[]string{
				`x.yaml:5: load.streams[0].path: "/vehicles/{car}": must be an escaped path such as /vehicles/driver/{vehicle}, the only part that is replaced`,
				`x.yaml:6: load.streams[1].path: "/{vehicle}/}": must be an escaped path such as /vehicles/driver/{vehicle}, the only part that is replaced`,
				`x.yaml:7: load.streams[2].headers.content-length: "3": must be another header than Content-Length, Trailer, Transfer-Encoding, X-Fleetman-Check, which the load sets`,
				`x.yaml:7: load.streams[2].headers.x-user: "b": must be there once, in upper or lower case`,
			},
		},
		"a sweep's values": {
			"question: q\narms: [{name: a, manifests: x, env: {s: {A: \"${n}${m}\", B: \"${o-p} ${\"}}}]\nsweep:\n  - {name: n, values: [0.3, x]}\n  - {name: m, values: []}\n" +
				"goals: [{figure: good, arm: a, fault: healthy, atLeast: 1 - n, atMost: 1 - m}]\ntheory: [{figure: good, arm: b, fault: g, formula: 1 - n}]\n",
			[]string{
				"x.yaml:2: arms: \"${o-p}\": must be ${NAME}, of letters and digits, with a value of the sweep",
				"x.yaml:2: arms: \"${\": must be ${NAME}, of letters and digits, with a value of the sweep",
				`x.yaml:4: sweep[0].values[1]: "x": must be a number or a duration, as in the formula of goals[0].atLeast`,
				"x.yaml:5: sweep[1].values: empty: must be one at least",
				`x.yaml:7: theory[0].arm: "b": must be one of a`,
				`x.yaml:7: theory[0].fault: "g": must be one of healthy`,
			},
		},
		"too many points": {
			"question: q\narms: [{name: a, manifests: x, env: {s: {A: \"${a}${b}${c}${d}${e}\"}}}]\nsweep:\n" + manyAxes(),
			[]string{"x.yaml:1: 1 arms, 1 faults, 1 seeds, 1 repeats, and the sweep's values: must be at most 1000 runs"},
		},
		"arms in a circle": {
			"question: q\narms:\n  - {name: a, from: b}\n  - {name: b, from: a}\n",
			[]string{
				`x.yaml:3: arms[0].from: "b": must be an arm before this one`,
				"x.yaml:4: arms[1].manifests: empty: must be a directory or a file, here, in the arm that it is from or in the fleet",
			},
		},
		"NUL in a variable": {
			"question: q\narms: [{name: a, manifests: x, env: {s: {A: \"b\\0\"}}}]\n",
			[]string{`x.yaml:2: arms[0].env.s.A: "b\x00": must be without NUL`},
		},
		"a goal twice": {
			"question: q\narms: [{name: a, manifests: x}]\ngoals:\n  - {figure: good, arm: a, fault: healthy, atLeast: 1}\n  - {figure: good, arm: a, fault: healthy, atLeast: 1}\n",
			[]string{"x.yaml:5: goals[1]: a, healthy: good >= 1 at 95%: must be there once"},
		},
		"a byte order mark": {"\ufeff# q?\r\narms: [{name: a, manifests: x}]\r\nslo: 0s\r\n", []string{"x.yaml:3: slo: 0s: must be more than 0s, and at most 1h"}},
		"twice":             {"question: q\nquestion: r\narms: [{name: a, manifests: x}]\n", []string{`x.yaml:2: "question": must be there once`}},
	} {
		_, err := Decode("x.yaml", []byte(test.text), figures)
		assert.EqualError(t, err, strings.Join(test.want, "\n"), name)
	}
}

func TestParseGoal(t *testing.T) {
	for text, want := range map[string]Goal{
		"library, bad-replica: good >= 99.8% at 90%": {Arm: "library", Fault: "bad-replica", Figure: "good", AtLeast: "99.8%", Confidence: .9},
		"mesh,healthy:p99 over none <= 3ms":          {Arm: "mesh", Fault: "healthy", Figure: "p99", Over: "none", AtMost: "3ms", Confidence: .95},
	} {
		got, err := ParseGoal(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		again, err := ParseGoal(got.String())
		require.NoError(t, err, text)
		assert.Equal(t, want, again, text+", read again")
	}
	for text, want := range map[string]string{
		"good >= 1":           `"good >= 1": must be ARM, FAULT: FIGURE >= BOUND, such as "library, bad-replica: good >= 99.8% at 95%"`,
		"a, b: good >= much!": `"much!": must be a number, a share such as 99.8%, a duration such as 3ms, or a formula of + - * / pow, min and max`,
	} {
		_, err := ParseGoal(text)
		assert.EqualError(t, err, want, text)
	}
}

func TestBound(t *testing.T) {
	at := Point{"share": "0.5", "attempts": "3", "open": "10s"}
	for bound, want := range map[Bound]float64{
		"0.998": .998, "99.8%": .998, "3ms": .003, "-1": -1, "1 - pow(share, attempts)": .875,
		"(1 - pow(share, attempts)) / (1 - share)": 1.75, "min(open, 3) * 2": 6,
	} {
		got, err := bound.Value(at)
		require.NoError(t, err, bound)
		assert.Equal(t, want, got, bound)
	}
	for _, bound := range []Bound{"nobody", "1 % 2", "f(1, 2)", "pow(1)", "\"a\"", "1;2"} {
		_, err := bound.Value(at)
		assert.Error(t, err, bound)
	}
}

// FuzzDecode: whatever the text, either an experiment that says what to do, and
// stays the same through JSON, or lines that say what is wrong.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("question: q\narms: [{name: a, manifests: x}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("question: {? [a] : b}\narms: [{name: a, manifests: x, patches: [{1: 2}]}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Decode("x.yaml", text, nil)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				require.True(t, strings.HasPrefix(line, "x.yaml:"), err)
			}
			return
		}
		arms, faults := e.Expand()
		require.GreaterOrEqual(t, len(arms), len(e.Arms), "arms")
		require.GreaterOrEqual(t, len(faults), len(e.Faults), "faults")
		asJSON, err := json.Marshal(e)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(asJSON, New()), string(asJSON))
	})
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	require.NoError(t, os.WriteFile(path, []byte(whole), 0o644))
	e, err := Read(path, nil)
	require.NoError(t, err)
	assert.Equal(t, path, e.Source, "source")
	for where, want := range map[string]string{path + "x": "read the experiment: stat " + path + "x: no such file or directory", t.TempDir(): "…: a directory: must be a file"} {
		_, err := Read(where, nil)
		wants.Error(t, where, err, want)
	}
}
