package experiment

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/wants"
)

// whole is an experiment with every part.
//
//go:embed testdata/whole.yaml
var whole string

var figures = []Figure{{Name: "good", Unit: "share"}, {Name: "p99", Unit: "s"}, {Name: "attempts", Unit: "1"}, {Name: "cpu", Unit: "cores"}, {Name: "oldest", Unit: "s", Max: true}}

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
	names := append(collect(arms, func(a Arm) string { return a.Name }), collect(faults, func(f Fault) string { return f.Name })...)
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

// TestExpandPlaces: a sweep reaches a fault's services and pods, and an arm's target.
func TestExpandPlaces(t *testing.T) {
	const text = `# q
arms: [{name: a, manifests: x, target: "${s}"}]
faults:
  - {name: some, inject: [{service: "${s}", replicas: "${n}", rules: reset}]}
  - {name: named, inject: [{service: "${s}", replicas: ["${s}-0"], action: kill}]}
load: {streams: [{path: /}]}
sweep: [{name: s, values: [b, c]}, {name: n, values: [2, all]}]
`
	e := decode(t, text)
	written, err := e.YAML()
	require.NoError(t, err)
	for _, read := range []*Experiment{e, decode(t, string(written))} {
		arms, faults := read.Expand()
		assert.Equal(t, []string{"b", "c"}, collect(arms, func(a Arm) string { return a.Target }), "targets")
		var got []string
		for _, f := range faults {
			in := f.Inject[0]
			got = append(got, fmt.Sprint(f.Name, " ", in.Service, " ", in.Replicas))
		}
		assert.Equal(t, []string{
			"some:s=b,n=2 b {false 2 [] }", "some:s=b,n=all b {true 0 [] }", "some:s=c,n=2 c {false 2 [] }", "some:s=c,n=all c {true 0 [] }",
			"named:s=b b {false 0 [b-0] }", "named:s=c c {false 0 [c-0] }",
		}, got, "faults")
	}
}

// TestYAML: the text that the records have of an experiment is read as the file is.
func TestYAML(t *testing.T) {
	want := decode(t, whole)
	text, err := want.YAML()
	require.NoError(t, err)
	got := decode(t, string(text))
	got.Text, got.lines = want.Text, want.lines
	assert.Equal(t, want, got)
}

// TestMistakes: all of them at once, each with its line, its field, what was found
// and what is allowed.
func TestMistakes(t *testing.T) {
	var tests []struct{ Name, Text, Want string }
	golden.Cases(t, "testdata/mistakes.yaml", &tests)
	for _, test := range tests {
		_, err := Decode("x.yaml", []byte(test.Text), figures)
		assert.EqualError(t, err, strings.TrimSuffix(test.Want, "\n"), test.Name)
	}
	many := "question: q\narms: [{name: a, manifests: x, env: {s: {A: \"${a}${b}${c}${d}${e}\"}}}]\nsweep:\n"
	for _, axis := range "abcde" { // more points than fit into memory
		many += fmt.Sprintf("  - {name: %c, values: [%s]}\n", axis, strings.Repeat("0, ", 100))
	}
	_, err := Decode("x.yaml", []byte(many), figures)
	assert.EqualError(t, err, "x.yaml:1: 1 arms, 1 faults, 1 seeds, 1 repeats, and the sweep's values: must be at most 1000 runs")
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
	assert.Equal(t, "a, b: attempts >= 1 and <= 2 at 95%", Goal{Arm: "a", Fault: "b", Figure: "attempts", AtLeast: "1", AtMost: "2", Confidence: .95}.String(), "two bounds")
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

// FuzzDecode: whatever the text, either an experiment, which is read again as it is written, or lines that name the
// mistakes.
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
		written, err := e.YAML()
		require.NoError(t, err)
		_, err = Decode("x.yaml", written, nil)
		require.NoError(t, err, string(written))
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
