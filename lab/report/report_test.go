package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
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

// TestSettled: fault at 5 s, repair at 20 s, windows of 3 s in which one of 30
// may go wrong.
func TestSettled(t *testing.T) {
	slow := Run{slo: 1500 * time.Millisecond}
	within := func(t, from, until float64) bool { return t > from-1e-9 && t < until-1e-9 }
	for name, test := range map[string]struct {
		made  func(t float64) record.Request
		want  float64 // from the fault
		never bool
	}{
		"nothing goes wrong": {func(float64) record.Request { return good }, 0, false},
		"one goes wrong":     {func(t float64) record.Request { return pick(within(t, 9, 9.1), failed) }, 0, false},
		"one in each 3 s":    {func(t float64) record.Request { return pick(int(t*10+.5)%30 == 0, failed) }, 0, false},
		"a second of it":     {func(t float64) record.Request { return pick(within(t, 5, 6), failed) }, 0.9, false},                        // the last may go wrong
		"late answers":       {func(t float64) record.Request { return pick(within(t, 5, 6), late) }, 0.9, false},                          // they violate the SLO as failed ones do
		"it comes back":      {func(t float64) record.Request { return pick(within(t, 5, 6) || within(t, 12, 12.2), failed) }, 7.1, false}, // from 12.1 on there is one
		"until the repair":   {func(t float64) record.Request { return pick(within(t, 5, 20), failed) }, 0, true},                          // never
		"at the very end":    {func(t float64) record.Request { return pick(within(t, 19, 20), failed) }, 0, true},                         // no window after it
		"after the repair":   {func(t float64) record.Request { return pick(within(t, 20, 25), failed) }, 0, false},                        // not of the fault
		"degraded in time":   {func(t float64) record.Request { return pick(within(t, 5, 20), degraded) }, 0, false},                       // contained, though degraded
		"it was so before":   {func(t float64) record.Request { return pick(int(t*10+.5)%10 == 0, failed) }, 0, false},                     // a tenth, before and during
		"worse than before": {func(t float64) record.Request {
			return pick(int(t*10+.5)%10 == 0 || t > 5 && int(t*10+.5)%10 < 3, failed)
		}, 0, true}, // three tenths
		"no time for it":   {func(t float64) record.Request { return pick(within(t, 5, 17.5), failed) }, 0, true},   // 2.5 s are no window
		"just time for it": {func(t float64) record.Request { return pick(within(t, 5, 17), failed) }, 11.9, false}, // 3 s are
	} {
		requests := every(30, test.made)
		healthy := count(between(requests, 0, at(5)), slow.violates).Share()
		got, ok := settled(requests, at(5), at(20), slow.violates, healthy+Tolerance)
		assert.Equal(t, !test.never, ok, name)
		if ok {
			assert.Equal(t, at(5+test.want), got, name)
		}
	}
	_, ok := settled(nil, 0, at(20), slow.violates, 1)
	assert.Equal(t, false, ok, "settled without any request")
}

func pick(bad bool, instead record.Request) record.Request {
	if bad {
		return instead
	}
	return good
}

// TestRecovered: degraded answers are no recovery.
func TestRecovered(t *testing.T) {
	run := &record.Run{Key: record.Key{Arm: "library", Fault: "all-bad"}, FaultAt: at(5), RepairAt: at(15), End: at(30), Rate: 10}
	run.Requests = every(30, func(t float64) record.Request { return pick(t > 5 && t < 22, degraded) })
	got := compute(run, slo, getOnly)
	degradedThen, _ := column("degradedThen")
	assert.Equal(t, []*float64{pointer(0.), pointer(.99), pointer(6.9)}, []*float64{got.Contained, degradedThen.of(&got), got.Recovered}, "contained, degraded then, recovered")
}

// TestDeliveries: a vehicle that stalls from 4 s to 9 s, another that never
// reports again after 6 s.
func TestDeliveries(t *testing.T) {
	run := &record.Run{End: at(12)}
	for i := range 12 {
		second := float64(i)
		if second <= 4 || second >= 9 {
			run.Positions = append(run.Positions, record.Position{At: at(second), Vehicle: "A"})
		}
		if second <= 6 {
			run.Positions = append(run.Positions, record.Position{At: at(second + .5), Vehicle: "B"})
		}
	}
	for _, test := range []struct{ from, until, perSecond, longest float64 }{
		{0, 4, 2, 1},
		{4, 8, 1, 5.5}, // B's last, at 6.5 s, to the end at 12 s
		{4, 6, 1.5, 5}, // A's
		{9, 12, 1, 5.5},
	} {
		perSecond, longest := deliveries(run, at(test.from), at(test.until))
		assert.Equal(t, []float64{test.perSecond, test.longest}, []float64{perSecond, longest}, fmt.Sprintf("a second, and longest gap, from %v to %v", test.from, test.until))
	}
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

// TestCosts: CPU from fault to repair, memory at the repair, of each kind of
// process together.
func TestCosts(t *testing.T) {
	sample := func(second float64, pod string, cpu, memory float64) record.Sample {
		return record.Sample{At: at(second), Pod: pod, Counts: []record.Count{counted("cpu", "", cpu), counted("memory", "", memory)}}
	}
	c := record.NewCounters([]record.Sample{
		sample(1.9, "a-0.envoy", 1, 10), sample(2.1, "a-0.envoy", 1.5, 11), sample(3.9, "a-0.envoy", 1.5, 12), sample(4.1, "a-0.envoy", 2, 12), sample(5, "a-0.envoy", 9, 99), // between two samples in proportion
		sample(3, "b-0.envoy", 7, 5), sample(4, "b-0.envoy", 7.5, 6),
		sample(2, "a-0", 100, 100), sample(4, "a-0", 101, 200),
		sample(2, "b-0", 7, 1), sample(3, "b-0", 8, 2), sample(3.5, "b-0", .5, 3), sample(4, "b-0", 1, 4), // a new process since 3 s
		sample(2, record.ControlPlane, 4, 50), sample(4, record.ControlPlane, 5, 60),
	})
	run := &record.Run{FaultAt: at(2), RepairAt: at(4), End: at(6), Rate: 200}
	want := Cost{Services: Use{2, 1.5, 0, 0, 204}, Proxies: Use{2, .5, 0, 0, 18}, ControlPlane: Use{1, .5, 0, 0, 60}}
	assert.Equal(t, want, costsOf(c, run), "cost")
	assert.Equal(t, Cost{}, costsOf(record.NewCounters([]record.Sample{{At: at(2), Pod: "a-0"}}), run), "cost without any figure")
}

// healthyRun is made up: 200 requests a second for 7 s, of which 5 s are judged,
// each answered after p50 but for one in 50; and CPU at so many cores, a fifth of
// them when the load has ended.
func healthyRun(arm string, seed uint64, p50, p99, services, proxies float64) *record.Run {
	c := &record.Run{Key: record.Key{Arm: arm, Fault: "healthy", Seed: seed}, Rate: 200, FaultAt: at(2), RepairAt: at(7), LoadUntil: at(7), End: at(12)}
	for i := range 1400 {
		due := at(float64(i) / 200)
		latency := at(p50)
		if i%50 == 7 {
			latency = at(p99)
		}
		c.Requests = append(c.Requests, record.Request{Intended: due, Start: due, End: due + latency, Status: 200})
	}
	for second := range 13 {
		whole := second == 0 || second == 12
		t, loaded := float64(second), min(float64(second), 7)
		sample := func(pod string, cores, memory float64, counts ...record.Count) {
			used := []record.Count{counted("cpu", "", 3+(loaded+(t-loaded)/5)*cores), counted("memory", "", memory)}
			if whole {
				used = append(used, counts...)
			}
			c.Samples = append(c.Samples, record.Sample{At: at(t), Pod: pod, Counts: used, UsageOnly: !whole})
		}
		n := 7 + loaded*200
		sample("api-gateway-0", services*.75, 30e6, counted("server", "GET /vehicles/driver/:name", n), counted("client", "GET staff-service", n))
		sample("staff-service-0", services*.25, 20e6, counted("server", "GET /driver/:vehicle", n))
		if proxies > 0 {
			sample("api-gateway-0"+record.ProxySuffix, proxies/2, 70e6, counted(record.CountProxyAttempts, "staff-service", n))
			sample("staff-service-0"+record.ProxySuffix, proxies/2, 70e6)
			sample(record.ControlPlane, .01, 120e6)
		}
	}
	return hopped(c, 0)
}

// TestHealthy: what an arm adds is over none's of the same seed, CPU that of
// 1 000 requests a second, from records without counters in between.
func TestHealthy(t *testing.T) {
	fault := computed(t,
		healthyRun("mesh", 1, .004, .02, .11, .2), healthyRun("none", 1, .002, .01, .1, 0),
		healthyRun("mesh", 2, .003, .03, .1, .22), healthyRun("none", 2, .002, .011, .1, 0),
	).Faults[0]
	s := fault.figures(costs)
	for i, want := range []string{
		"arm|good|p50|p50 over none|p99|p99 over none|CPU: services|CPU: proxies|CPU over none|idle: services|idle: proxies|idle: control plane|memory: services|memory: proxies|memory over none|memory: control plane|counts",
		"mesh|100 % (99.8..100)|4.00 ms (3.00..4.00)|2.00 ms (1.00..2.00), 2 runs|20 ms (20..30)|10 ms (9.00..20), 2 runs|0.42 cores (runs 0.40..0.44)|0.84 cores (runs 0.80..0.88)|0.86 cores, 2 runs|2.1 % (runs 2..2.2)|4.2 % (runs 4..4.4)|0.2 %|50 MB|140 MB|140 MB, 2 runs|120 MB|agree",
		"none|100 % (99.8..100)|2.00 ms|-|10 ms (10..11)|-|0.40 cores|-|-|2 %|-|-|50 MB|-|-|-|agree",
	} {
		assert.Equal(t, want, strings.Join(append([][]string{s.Heads}, s.Rows...)[i], "|"), fmt.Sprintf("row %d", i))
	}
	mesh := fault.Arms[0].Runs[0]
	assert.Equal(t, Hop{Name: "api-gateway>staff-service", HopCounts: record.HopCounts{Requests: 1400, Attempts: 1400, ProxyAttempts: 1400, Received: 1400}}, mesh.Whole[0], "whole run")
	assert.Nil(t, mesh.Hops, "hops without a fault")
	assert.Equal(t, 4.0, mesh.Cost.IdleSeconds, "idle seconds")
	assert.Equal(t, Use{2, .2, .04, .8, 140e6}, mesh.Cost.Proxies, "use of the proxies")
	busy := healthyRun("none", 1, .002, .01, .1, 0)
	busy.LoadUntil = 0
	for _, name := range []string{"cpuServices", "idleServices"} {
		assert.Nil(t, computed(t, busy).Faults[0].Arms[0].Figures[name].Value, name+" without any idle time")
	}
}

// TestAgree: what is in flight is no difference, what is lost or doubled is.
func TestAgree(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *record.Run, last []record.Sample)
		want   string
	}{
		"as counted": {func(*record.Run, []record.Sample) {}, "agree"},
		"in flight":  {func(_ *record.Run, last []record.Sample) { last[1].Counts[2].N -= inFlight }, "agree"},
		"lost":       {func(_ *record.Run, last []record.Sample) { last[1].Counts[2].N -= 6 }, "differ by 6"},
		"doubled":    {func(_ *record.Run, last []record.Sample) { last[1].Counts[2].N += 40 }, "differ by 40"},
		"crashed": {func(c *record.Run, last []record.Sample) {
			last[1].Counts[2].N -= 13
			c.Events = append(c.Events, record.Event{At: at(3), Who: "staff-service-0", What: record.EventExited}, record.Event{At: at(5), Who: "staff-service-0", What: record.EventExited})
		}, "differ by 13 (2 crashes)"},
		"tried again, though nothing fails": {func(_ *record.Run, last []record.Sample) {
			last[1].Counts[2].N += 9
			last[2].Counts[2].N += 9
		}, "differ by 9"},
		"tried again by the proxy in a fault": {func(c *record.Run, last []record.Sample) {
			c.Rules = "reset"
			last[1].Counts[2].N += 9
			last[2].Counts[2].N += 9
		}, "agree"},
		"lost on the way to the receiver in a fault": {func(c *record.Run, last []record.Sample) {
			c.Rules = "reset"
			last[2].Counts[2].N += 9
		}, "differ by 9"},
	} {
		c := healthyRun("mesh", 1, .004, .02, .11, .2)
		test.change(c, c.Samples[len(c.Samples)-5:])
		run := computed(t, c).Faults[0].Arms[0].Runs[0]
		assert.Equal(t, test.want, run.Counts.String(), name)
		assert.Equal(t, test.want == "agree", run.Counts.Agree, name+", agree")
		assert.Equal(t, 5.0, run.Counts.Allowed, name+", allowed")
	}
	silent := healthyRun("mesh", 1, .004, .02, .11, .2)
	silent.Samples = nil
	counts := computed(t, silent).Faults[0].Arms[0].Runs[0].Counts
	assert.Equal(t, "-", counts.String(), "nothing counted")
	assert.Equal(t, false, counts.Agree, "nothing counted, agree")
	none := healthyRun("none", 1, .002, .01, .1, 0)
	none.Rules = "reset"
	none.Samples[len(none.Samples)-1].Counts[2].N += 7
	counts = computed(t, none).Faults[0].Arms[0].Runs[0].Counts
	assert.Equal(t, "api-gateway>staff-service: differ by 7", counts.Hop+": "+counts.String(), "without a proxy")
}

func TestGolden(t *testing.T) {
	healthy := of(healthyRun("none", 1, .002, .01, .1, 0), healthyRun("mesh", 1, .003, .02, .11, .2))
	healthy.Seeds, healthy.Command = []uint64{1}, "fleetman compare --arms none,mesh --faults healthy --seeds 1"
	both := reportOf(t, of(comparison()...), healthy)
	judge(t, &both, "library, bad-replica: failed <= 5%", "none, bad-replica: good >= 99.8% at 95%", "mesh, bad-replica: p99 <= 3ms", "mesh, healthy: p50 over none <= 3ms")
	var summary strings.Builder
	Summary(&summary, both, SummaryOptions{HTML: "DIR/report.html"})
	for name, got := range map[string]string{
		"comparison.txt": written(Text, both), "comparison.json": encoded(t, JSON, reportOf(t, of(comparison()[:3]...))), "comparison.md": written(Markdown, both), "comparison.csv": encoded(t, CSV, both),
		"summary.txt": summary.String(), "summary.md": written(MarkdownSummary, both), "goals.xml": encoded(t, JUnit, both),
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

// staffRun is a run without a failure, with a fault in one of two replicas that
// requests and reports meet.
func staffRun(arm, fault string, seed uint64, change ...func(*record.Run)) *record.Run {
	r := &record.Run{
		Key: record.Key{Arm: arm, Fault: fault, Seed: seed}, Rate: 10, FaultAt: at(3), RepairAt: at(9), End: at(14), Rules: "reset", Measurements: 1,
		Pods: []string{"staff-service-1"}, Replicas: 2, Settings: []string{"k8s/base"}, Requests: every(14, func(float64) record.Request { return good }),
	}
	for _, second := range []float64{3, 9} {
		r.Samples = append(r.Samples, record.Sample{At: at(second), Pod: "staff-service-1", Counts: []record.Count{
			counted(record.CountServer, "GET /driver/:vehicle", second), counted(record.CountServer, "POST /driver/:vehicle/:speed", second),
		}})
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// startLate makes a load late by 0.3 s.
func startLate(r *record.Run) {
	for i := range r.Requests {
		r.Requests[i].Start = r.Requests[i].Intended + at(.3)
		r.Requests[i].End = r.Requests[i].Start + at(.1)
	}
}

// TestNotes: what the figures do not support comes first.
func TestNotes(t *testing.T) {
	run := func(arm string, seed uint64, change ...func(*record.Run)) *record.Run {
		return staffRun(arm, "x", seed, change...)
	}
	unmet := func(names ...string) func(*record.Run) {
		return func(r *record.Run) {
			for i, count := range r.Samples[1].Counts {
				if slices.Contains(names, count.Of[:3]) {
					r.Samples[1].Counts[i].N = 3
				}
			}
		}
	}
	crash := func(r *record.Run) {
		r.Events = append(r.Events, record.Event{At: at(5), Who: "staff-service-1", What: record.EventExited})
	}
	late := func(r *record.Run) {
		startLate(r)
		r.Measurements = 3
	}
	idle := func(r *record.Run) { r.Notes = []string{"DestinationRule t: spec.host: changes no proxy: u"} }
	oneSeed := "x: one seed: in which replica's way a request comes is chance, so shares, latencies and gaps differ from seed to seed; --seeds 3 shows how much"
	for name, test := range map[string]struct {
		runs []*record.Run
		want []string
	}{
		"two seeds":                      {[]*record.Run{run("none", 1), run("none", 2)}, nil},
		"one seed":                       {[]*record.Run{run("none", 1), run("library", 1)}, []string{oneSeed}},
		"one seed, twice":                {[]*record.Run{run("none", 1), run("none", 1, func(r *record.Run) { r.Repeat = 1 })}, []string{oneSeed}},
		"one seed, all replicas":         {[]*record.Run{run("none", 1, func(r *record.Run) { r.Replicas = 1 })}, nil},
		"no request met the fault":       {[]*record.Run{run("none", 1, unmet("GET", "POS")), run("none", 2)}, []string{"x: none, seed 1: no request of the load met the fault, by chance: its figures say nothing about it"}},
		"no report met the fault":        {[]*record.Run{run("none", 1, unmet("POS")), run("none", 2)}, []string{"x: none, seed 1: no report of a vehicle met the fault, by chance: its positions and gap say nothing about it"}},
		"no service that takes a report": {[]*record.Run{run("none", 1, unmet("POS")), run("none", 2, unmet("POS"))}, nil},
		"the first request crashed it":   {[]*record.Run{run("none", 1, unmet("GET", "POS"), crash), run("none", 2)}, nil},
		"late":                           {[]*record.Run{run("none", 1, late), run("none", 2)}, []string{"x: none, seed 1: the load itself was late (p99 0.3 s, at most 0.3 s, measured 3 times): its latencies are not the services'"}},
		"changes no proxy":               {[]*record.Run{run("mine", 1, idle), run("mine", 2, idle)}, []string{"x: mine: DestinationRule t: spec.host: changes no proxy: u"}},
		"interrupted":                    {[]*record.Run{run("none", 1), run("library", 1), run("none", 2), run("library", 2), run("none", 3)}, []string{"x: seed 3 left out: not every arm has a run with it"}},
	} {
		r := reportOf(t, of(test.runs...))
		text, markdown := written(Text, r), written(Markdown, r)
		lines, quoted := "", ""
		for _, note := range test.want {
			lines, quoted = lines+note+"\n\n", quoted+"> "+note+"\n\n"
		}
		assert.Contains(t, text, "0123456789ab\n\n"+lines+"x: reset in staff-service-1 for 6 s", name)
		assert.Contains(t, markdown, "0123456789ab\n\n"+quoted+"x: reset", name)
		for _, a := range r.Groups[0].Faults[0].Arms {
			assert.Equal(t, len(r.Groups[0].Faults[0].Arms[0].Runs), len(a.Runs), name+", runs of "+a.Name)
		}
	}
}

// TestUnmet: that no request met the fault is said only where the pod's counter, which
// counts what has ended, can tell.
func TestUnmet(t *testing.T) {
	for rules, met := range map[string]struct{ none, later bool }{ // counted after the repair
		"reset": {true, true}, "status=502,header=X:connect": {true, true}, "front: reset + staff-service: status=502": {true, true},
		"hang": {true, false}, "status=502; delay=0s..20s": {true, false}, "slow=5": {true, false}, "a: capacity=1 + b: reset": {true, false},
		"stop 5s": {}, "kill": {}, "roll": {}, "front: reset + staff-service: stop 20s": {}, "front: kill + staff-service: reset": {},
		"connect=refuse": {}, "status=502,path=/a; rate=0.5,connect=hang": {}, "front: reset + staff-service: connect=drop": {},
	} {
		for later, want := range map[bool]bool{false: met.none, true: met.later} {
			r := staffRun("a", "x", 1, func(r *record.Run) {
				r.Rules = rules
				ended := 3.
				if later {
					ended = 7
				}
				counts := func(n float64) []record.Count {
					return []record.Count{counted(record.CountServer, "GET /driver/:vehicle", n), counted(record.CountServer, "POST /driver/:vehicle/:speed", n)}
				}
				r.Samples[1].Counts = counts(3)
				r.Samples = append(r.Samples, record.Sample{At: at(12), Pod: "staff-service-1", Counts: counts(ended)})
			})
			computed := compute(r, slo, getOnly)
			requests, reports := computed.unmet()
			assert.Equal(t, []bool{want, want}, []bool{requests, reports}, "%s, counted later: %v", rules, later)
		}
	}
}

// TestLoadElsewhere: the calls of other services to a pod with the fault are not the load's,
// so a load that leads elsewhere is a note.
func TestLoadElsewhere(t *testing.T) {
	run := func(seed uint64) *record.Run {
		r := staffRun("none", "x", seed)
		r.Entry, r.Pods = "api-gateway", []string{"vehicle-telemetry-0"}
		r.Samples = nil
		for _, second := range []float64{0, 3, 9} {
			n := 5 * second
			for pod, counts := range map[string][]record.Count{
				"api-gateway-0":       {counted(record.CountServer, "GET /vehicles/driver/:name", 2*n), counted(record.CountClient, "GET staff-service", 2*n)},
				"position-tracker-0":  {counted(record.CountServer, "POST /vehicles", n), counted(record.CountClient, "GET vehicle-telemetry", n), counted(record.CountClient, "POST vehicle-telemetry", n)},
				"vehicle-telemetry-0": {counted(record.CountServer, "GET /vehicles/:vehicle", n), counted(record.CountServer, "POST /vehicles", n)},
			} {
				r.Samples = append(r.Samples, record.Sample{At: at(second), Pod: pod, Counts: counts})
			}
		}
		r.Hops = record.FindHops(r.Samples, r.FaultAt, record.Hop{Upstream: r.Entry, Methods: getOnly})
		return r
	}
	f := computed(t, run(1), run(2)).Faults[0]
	assert.Equal(t, Met{Requests: 0, Reports: 30}, f.Arms[0].Runs[0].Met, "met the fault")
	note := ": no request of the load leads to vehicle-telemetry: its figures of requests say nothing about the fault"
	assert.Equal(t, []string{"none, seed 1" + note, "none, seed 2" + note}, f.Notes, "notes")
}

// TestWarnings: what makes figures unusable is in every form of the report without
// --all: a line for each kind.
func TestWarnings(t *testing.T) {
	a, b := outcomesOf("a", 1, 0, 0), outcomesOf("b", 1, 0, 0)
	for _, r := range []*record.Run{a, b} {
		r.Replicas = 2
		startLate(r)
	}
	b.Notes = []string{"DestinationRule t: spec.host: changes no proxy: u"}
	r := reportOf(t, of(a, b))
	var summary strings.Builder
	Summary(&summary, r, SummaryOptions{})
	markdown, table := written(MarkdownSummary, r), encoded(t, CSV, r)
	for _, want := range []string{
		"the load was late: a/x/1, b/x/1\n", "no request of the load met the fault: a/x/1, b/x/1\n",
		"one seed, and the fault is in some replicas only: x\n", "b: DestinationRule t: spec.host: changes no proxy: u\n",
	} {
		assert.Contains(t, summary.String(), "\n! "+want, "summary")
		assert.Contains(t, markdown, "\n- "+want, "Markdown")
	}
	for _, want := range []string{
		"\nx,a,good,share,1,0.963007,1,100,\"the load was late; no request of the load met the fault; one seed, and the fault is in some replicas only\",",
		"\nx,b,good,share,1,0.963007,1,100,\"DestinationRule t: spec.host: changes no proxy: u; the load was late;",
	} {
		assert.Contains(t, table, want, "CSV")
	}
}

// TestNeverWorked: a load without a good answer before the fault is a warning, with what
// became of most requests.
func TestNeverWorked(t *testing.T) {
	until := func(seconds float64, then record.Request, requests ...record.Request) func(*record.Run) {
		return func(r *record.Run) {
			n := 0
			r.Requests = every(14, func(t float64) record.Request {
				if n++; t < seconds {
					return requests[n%len(requests)]
				}
				return then
			})
		}
	}
	missing, refused := record.Request{Status: 404}, record.Request{Status: 400}
	for name, test := range map[string]struct {
		change func(*record.Run)
		mostly string // empty: no warning
	}{
		"a typo in the path":  {until(14, good, missing, missing, refused), "answered 404"},
		"a body that is none": {until(3, good, refused), "answered 400"},
		"no answer":           {until(14, good, record.Request{Error: "timeout"}), "had no answer"},
		"broken off":          {until(14, good, record.Request{Status: 200, Error: "read the body"}), "had an answer that broke off"},
		"degraded":            {until(14, good, degraded), "had a degraded answer"},
		"one was good":        {until(2.9, good, missing), ""},
		"only with the fault": {until(3, missing, good), ""},
		"no time before it":   {func(r *record.Run) { until(14, good, missing)(r); r.FaultAt, r.RepairAt = 0, at(6) }, ""},
	} {
		r := reportOf(t, of(staffRun("none", "x", 1, test.change), staffRun("mesh", "x", 1), staffRun("none", "x", 2), staffRun("mesh", "x", 2)))
		var warnings, notes []string
		if test.mostly != "" {
			warnings = []string{"no request before the fault was good, most " + test.mostly + " (check load.streams and the manifests): none/x/1"}
			notes = []string{"none, seed 1: 30 of 30 requests before the fault were not good, most " + test.mostly + ": check load.streams and the manifests"}
		}
		gotWarnings, gotNotes := about(r, "before the fault")
		assert.Equal(t, warnings, gotWarnings, name+", warnings")
		assert.Equal(t, notes, gotNotes, name+", notes")
	}
}

// about returns the warnings, and the notes on the first fault, that have a text.
func about(r Report, text string) (warnings, notes []string) {
	for _, w := range r.warnings() {
		if strings.Contains(w.what, text) {
			warnings = append(warnings, w.text(0))
		}
	}
	for _, note := range r.faults()[0].Notes {
		if strings.Contains(note, text) {
			notes = append(notes, note)
		}
	}
	return warnings, notes
}

// TestLoadFrom: a load in the place of a service does not measure that service's library.
func TestLoadFrom(t *testing.T) {
	c := of(outcomesOf("a", 1, 0, 0))
	for from, want := range map[string][]string{
		"":                    nil,
		", from: api-gateway": {"the load is sent in the place of api-gateway: its proxy, if any, is measured, its program's retries, breakers and fallbacks are not"},
	} {
		c.Experiment = "# q?\narms: [{name: a, manifests: x}]\nfaults: [{name: x, inject: [{service: s, rules: reset}]}]\nload: {target: vehicle-telemetry" + from + "}\n"
		warnings, notes := about(reportOf(t, c), "in the place of")
		assert.Equal(t, want, warnings, from+", warnings")
		assert.Equal(t, want, notes, from+", notes")
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

// TestManyWarnings: a warning of many runs has all of them in Markdown, and in the
// terminal's lines as many as fit, with the number of the others; a long one is wrapped.
func TestManyWarnings(t *testing.T) {
	var runs []*record.Run
	for seed := range uint64(12) {
		r := outcomesOf("library-with-a-long-name", seed+1, 0, 0)
		startLate(r)
		r.Notes = []string{"DestinationRule a-rule: spec.trafficPolicy.outlierDetection: changes no proxy, since another one of the same host is older: b-rule"}
		runs = append(runs, r)
	}
	r := reportOf(t, of(runs...))
	const note = "library-with-a-long-name: DestinationRule a-rule: spec.trafficPolicy.outlierDetection: changes no proxy, since another one of the same host is older: b-rule"
	var all []string
	for seed := range 12 {
		all = append(all, fmt.Sprintf("library-with-a-long-name/x/%d", seed+1))
	}
	markdown := written(MarkdownSummary, r)
	assert.Contains(t, markdown, "\n- "+note+"\n", "Markdown")
	assert.Contains(t, markdown, "\n- the load was late: "+strings.Join(all, ", ")+"\n", "Markdown")
	assert.Equal(t, []string{
		"! library-with-a-long-name: DestinationRule a-rule: spec.trafficPolicy.outlierDetection: changes no",
		"  proxy, since another one of the same host is older: b-rule",
		"! the load was late: library-with-a-long-name/x/1, library-with-a-long-name/x/2, and 10 more",
		"! no request of the load met the fault: library-with-a-long-name/x/1, and 11 more",
	}, r.warningLines(), "summary")
	for i := range 9 {
		f := &r.Groups[0].Faults[0]
		f.warnings = append(f.warnings, warning{what: fmt.Sprintf("kind %d", i)})
	}
	lines := r.warningLines()
	require.Len(t, lines, mostWarnings, "lines")
	assert.Equal(t, "! 6 warnings more: --all", lines[mostWarnings-1], "the last line")
	assert.Contains(t, written(MarkdownSummary, r), "\n- kind 3\n- 5 warnings more are in the whole report.\n- x (all of ", "Markdown")
}

// TestLastKnown separates last known answers, with their ages, from placeholders.
func TestLastKnown(t *testing.T) {
	n := 0
	run := &record.Run{Key: record.Key{Arm: "library", Fault: "x", Seed: 1}, Rate: 10, FaultAt: at(0), RepairAt: at(10), End: at(10), Rules: "reset"}
	run.Requests = every(10, func(float64) record.Request {
		n++
		r := good
		switch {
		case n <= 40:
			r.Degraded = fmt.Sprintf("last-known; age=%ds", n)
		case n <= 50:
			r.Degraded = "placeholder"
		}
		return r
	})
	a := computed(t, run).Faults[0].Arms[0]
	for name, want := range map[string]float64{"lastKnown": .4, "oldest": 40, "degraded": .5} {
		assert.Equal(t, want, a.Value(name), name)
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
