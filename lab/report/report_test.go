package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/golden"
	"fleetman.example/lab/record"
	"fleetman.example/lab/wants"
)

func at(seconds float64) record.Offset {
	return record.Offset(math.Round(seconds*1000)) * record.Offset(time.Millisecond)
}

// every makes 10 requests per second, each by a call of made.
func every(until float64, made func(t float64) record.Request) (requests []record.Request) {
	for i := range int(until * 10) {
		t := float64(i) / 10
		r := made(t)
		r.Intended, r.Start, r.Vehicle = at(t), at(t), "City Truck"
		r.End += r.Intended
		requests = append(requests, r)
	}
	return requests
}

var (
	good     = record.Request{Status: 200, End: record.Offset(2 * time.Millisecond)}
	late     = record.Request{Status: 200, End: record.Offset(1600 * time.Millisecond)}
	failed   = record.Request{Status: 500, Error: "status 502 reading staff-service", End: record.Offset(3 * time.Millisecond)}
	degraded = record.Request{Status: 200, Degraded: "last-known; age=3s", End: record.Offset(time.Millisecond)}
)

func pick(bad bool, instead record.Request) record.Request {
	if bad {
		return instead
	}
	return good
}

// slo is that of all comparisons here.
const slo = record.Offset(1500 * time.Millisecond)

func counted(name, of string, n float64) record.Count { return record.Count{Name: name, Of: of, N: n} }

// of is a comparison with the given runs, at 10 requests per second unless they
// say otherwise.
func of(runs ...*record.Run) *record.Comparison {
	return &record.Comparison{
		Began: time.Date(2026, 11, 22, 8, 5, 36, 0, time.UTC), Command: "fleetman compare --arms none,library,mesh --seeds 2",
		Conditions: record.Conditions{Seeds: []uint64{1, 2}, Rate: 10, SLO: slo, Target: "gateway", Machine: "2 cores, linux/amd64, Some CPU", Versions: map[string]string{"fleetman": "0123456789ab"}},
		Runs:       runs,
	}
}

// computed is the report of one comparison.
func computed(t *testing.T, runs ...*record.Run) Group {
	t.Helper()
	return reportOf(t, of(runs...)).Groups[0]
}

// reportOf is the report of comparisons.
func reportOf(t testing.TB, comparisons ...*record.Comparison) Report {
	t.Helper()
	r, err := Compute(comparisons...)
	require.NoError(t, err)
	return r
}

// written is what a function writes of a report.
func written(write func(io.Writer, Report), r Report) string {
	var text bytes.Buffer
	write(&text, r)
	return text.String()
}

func summaryOf(r Report, o SummaryOptions) string {
	return written(func(w io.Writer, r Report) { Summary(w, r, o) }, r)
}

// encoded is written by a function that may fail.
func encoded[T any](t testing.TB, write func(io.Writer, T) error, of T) string {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, write(&text, of))
	return text.String()
}

// judge adds the verdicts on goals.
func judge(t *testing.T, r *Report, goals ...string) {
	t.Helper()
	for _, text := range goals {
		goal, err := experiment.ParseGoal(text)
		if err == nil {
			err = r.Judge(goal)
		}
		require.NoError(t, err)
	}
}

// comparison is made up, from a seed.
func comparison() (runs []*record.Run) {
	random := rand.New(rand.NewPCG(1, 0))
	for _, fault := range []struct {
		name  string
		curve bool
	}{{"bad-replica", false}, {"storm", true}} {
		for seed := range uint64(2) {
			for _, arm := range []string{"none", "library", "mesh"} {
				c := &record.Run{
					Key: record.Key{Arm: arm, Fault: fault.name, Seed: seed + 1}, Rate: 10, FaultAt: at(3), RepairAt: at(9), End: at(14),
					Rules: "status=502,rate=0.5", Pods: []string{"staff-service-0"}, Replicas: 2, Curve: fault.curve, Measurements: 1,
					Began: time.Date(2026, 11, 22, 8, 5, 36, 0, time.UTC),
				}
				c.Requests = every(14, func(t float64) record.Request {
					bad := t >= 3 && t < 9 && random.Float64() < .4
					switch {
					case bad && arm == "none":
						return failed
					case bad && arm == "mesh" && t > 4:
						r := failed
						r.AccessLog = []record.AccessLogEntry{
							{Proxy: "api-gateway-0", Side: record.In, Status: 500, Flags: "-", Details: "via_upstream"},
							{Proxy: "api-gateway-0", Side: record.Out, Status: 504, Flags: "UT", Details: "response_timeout"},
						}
						return r
					case bad && t > 4:
						return degraded
					}
					return good
				})
				staff, gateway := 0.0, 0.0
				for second := range 15 {
					sample(c, float64(second)+.02, staff, counted("server", "GET /vehicles/driver/:name", gateway))
					if arm == "mesh" {
						c.Samples = append(c.Samples,
							record.Sample{At: at(float64(second) + .03), Pod: "api-gateway-0" + record.ProxySuffix, Counts: []record.Count{counted("cpu", "", 1+float64(second)/50), counted("memory", "", 68e6), counted(record.CountProxyAttempts, "staff-service", staff)}},
							record.Sample{At: at(float64(second) + .03), Pod: "staff-service-0" + record.ProxySuffix, Counts: []record.Count{counted("cpu", "", .5), counted("memory", "", 66e6)}})
					}
					gateway += 10
					staff += 10
					if arm == "library" && second > 3 && second < 7 {
						staff += 2
					}
					c.Positions = append(c.Positions, record.Position{At: at(float64(second)), Vehicle: "City Truck"})
				}
				c.Events = []record.Event{{At: at(3.01), Who: record.Launcher, What: record.EventFaultSet, Detail: "staff-service-0: status=502,rate=0.5"}, {At: at(9), Who: record.Launcher, What: record.EventFaultCleared, Detail: "staff-service-0"}}
				if arm == "mesh" {
					c.Events = append(c.Events,
						record.Event{At: at(4.2), Who: "api-gateway-0", What: "ejected", Detail: "its proxy ejects staff-service-0"},
						record.Event{At: at(13.2), Who: "api-gateway-0", What: "returned", Detail: "its proxy returns staff-service-0"})
				}
				if arm == "library" {
					for i := range 18 {
						c.Events = append(c.Events, record.Event{At: at(3.5 + float64(i)/4), Who: "api-gateway-0", What: "breaker open", Detail: fmt.Sprintf("staff-service at 127.0.77.4:8080: status 502, %d", i)})
					}
				}
				runs = append(runs, hopped(c, at(3)))
			}
		}
	}
	return runs
}

// sample adds what an api-gateway has counted, its attempts at a staff-service among
// it, and the staff-service.
func sample(r *record.Run, second, attempts float64, counts ...record.Count) {
	r.Samples = append(r.Samples,
		record.Sample{At: at(second), Pod: "api-gateway-0", Counts: append(counts, counted("client", "GET staff-service", attempts))},
		record.Sample{At: at(second), Pod: "staff-service-0", Counts: []record.Count{counted("server", "GET /driver/:vehicle", attempts)}})
}

// hopped adds what the record of a run has of the hops.
func hopped(c *record.Run, healthyUntil record.Offset) *record.Run {
	c.Entry, c.Hops = "api-gateway", record.FindHops(c.Samples, healthyUntil, record.Hop{})
	return c
}

func TestGolden(t *testing.T) {
	healthy := of(healthyRun("none", 1, .002, .01, .1, 0), healthyRun("mesh", 1, .003, .02, .11, .2))
	healthy.Seeds, healthy.Command = []uint64{1}, "fleetman compare --arms none,mesh --faults healthy --seeds 1"
	both := reportOf(t, of(comparison()...), healthy)
	judge(t, &both, "library, bad-replica: failed <= 5%", "none, bad-replica: good >= 99.8% at 95%", "mesh, bad-replica: p99 <= 3ms", "mesh, healthy: p50 over none <= 3ms")
	for name, got := range map[string]string{
		"comparison.txt": written(Text, both), "comparison.json": encoded(t, JSON, reportOf(t, of(comparison()[:3]...))), "comparison.md": written(Markdown, both), "comparison.csv": encoded(t, CSV, both),
		"summary.txt": summaryOf(both, SummaryOptions{HTML: "DIR/report.html"}), "summary.md": written(MarkdownSummary, both), "goals.xml": encoded(t, JUnit, both),
	} {
		golden.Compare(t, filepath.Join("testdata", name), got)
	}
}

// TestConditions refuses runs of one fault under different conditions.
func TestConditions(t *testing.T) {
	run := staffRun
	faster := func(c *record.Comparison) { c.Rate, c.Command = 20, "fleetman compare --rate 20" }
	same := func(*record.Comparison) {}
	for name, test := range map[string]struct {
		first, second *record.Run
		change        func(second *record.Comparison)
		groups        int
		want          string
	}{
		"the same":                {run("none", "x", 1), run("library", "x", 1), same, 1, ""},
		"another rate":            {run("none", "x", 1), run("library", "x", 1), faster, 0, "x: rate: 10 and 20: must be the same to be compared; report each directory alone"},
		"other seeds":             {run("none", "x", 1), run("library", "x", 3), func(c *record.Comparison) { c.Seeds = []uint64{3, 4} }, 0, "x: seeds: [1,2] and [3,4]: must be the same to be compared; report each directory alone"},
		"another rate, and fault": {run("none", "x", 1), run("library", "y", 1), faster, 2, ""},
		"other rules":             {run("none", "x", 1), run("library", "x", 1, func(r *record.Run) { r.Rules = "status=502" }), same, 0, `library, x, seed 1: rules, rate, length, replicas: "reset", 10, 6 s, 2 and "status=502", 10, 6 s, 2: must be the same to be compared; report each directory alone`},
		"other settings":          {run("none", "x", 1), run("none", "x", 2, func(r *record.Run) { r.Settings = []string{"k8s/base", "api-gateway A=B"} }), same, 0, `none, x, seed 2: settings: ["k8s/base"] and ["k8s/base" "api-gateway A=B"]: must be the same to be compared; report each directory alone`},
		"no common seed":          {run("none", "x", 1), run("library", "x", 2), same, 0, "x: seeds: none that every arm has: must be at least one"},
		"twice":                   {run("none", "x", 1), run("none", "x", 1), same, 0, "none, x, seed 1: must be there once"},
	} {
		second := of(test.second)
		test.change(second)
		r, err := Compute(of(test.first), second)
		wants.Error(t, name, err, test.want)
		assert.Equal(t, test.groups, len(r.Groups), name+", groups")
		text, markdown := written(Text, r), written(Markdown, r)
		for _, g := range r.Groups { // shown apart: each has its own command
			command := g.Commands[0]
			assert.Contains(t, text, command, name)
			assert.Contains(t, markdown, "`"+command+"`", name)
		}
	}
}

// TestForms: the summaries have the same p99, or the same highest latency, as the page.
func TestForms(t *testing.T) {
	r := reportOf(t, of(outcomesOf("few", 1, 10, 0), healthyRun("many", 1, .002, .01, .1, 0)))
	for _, f := range r.faults() {
		a := f.Arms[0]
		which, latency := a.Figures["p99"].tail()
		assert.Equal(t, map[string]string{"few": "max", "many": "p99"}[a.Name], which, a.Name)
		assert.Contains(t, a.page().Rest, which+" "+latency, a.Name+", HTML")
		assert.Contains(t, a.short(), strings.ReplaceAll(latency, " ", ""), a.Name+", text and SVG")
		want := "; " + latency
		if which == "max" {
			want = "; max " + latency
		}
		assert.Contains(t, a.field(), want, a.Name+", Markdown")
	}
}

// TestRoutes: the outcomes of a load with two routes are there for each.
func TestRoutes(t *testing.T) {
	n := 0
	run := &record.Run{Key: record.Key{Arm: "library", Fault: "x", Seed: 1}, Rate: 10, FaultAt: at(0), RepairAt: at(10), End: at(10), Rules: "reset"}
	run.Requests = every(10, func(float64) record.Request {
		n++
		r := pick(n%2 == 0 && n <= 50, failed)
		r.Route = record.RoutePositions
		if n%2 == 0 {
			r.Route = record.RouteDriver
		}
		return r
	})
	got := computed(t, run).Faults[0].routes()
	want := [][]string{{"driver", "library", "50 % (36.6..63.4)", "0 % (0..7.1)", "50 % (36.6..63.4)"}, {"positions", "library", "100 % (92.9..100)", "0 % (0..7.1)", "0 % (0..7.1)"}}
	assert.Equal(t, want, got.Rows, "routes")
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{percent, 1, "100 %"},
		{percent, .9996, "99.9 %"},
		{percent, .999, "99.9 %"},
		{percent, 0, "0 %"},
		{percent, -.0001, "0 %"},
		{seconds3, 12.3456, "12.346 s"},
		{duration, .0021, "2.10 ms"},
		{duration, .0213, "21.3 ms"},
		{duration, .4, "400 ms"},
		{duration, 4.053, "4.05 s"},
		{perSecond, 10, "10"},
		{ratio, 1, "1.00"},
		{megabytes, 515e6, "515 MB"},
		{cores, .8, "0.80 cores"},
	} {
		assert.Equal(t, test.want, test.unit.text(test.v), fmt.Sprintf("%v", test.v))
	}
}
