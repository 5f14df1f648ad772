package report

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/wants"
)

// outcomesOf is a run of 100 requests from fault to repair, of which some are
// failed, at even distances, and some of the good ones take a second.
func outcomesOf(arm string, seed uint64, failing, slow int) *record.Run {
	n := 0
	r := &record.Run{Key: record.Key{Arm: arm, Fault: "x", Seed: seed}, Rate: 10, FaultAt: 0, RepairAt: at(10), End: at(14), Rules: "reset", Replicas: 1, Pods: []string{"staff-service-0"}}
	r.Requests = every(14, func(float64) record.Request {
		n++
		switch {
		case n <= 100 && n*failing/100 > (n-1)*failing/100:
			return failed
		case n <= slow:
			return record.Request{Status: 200, End: at(1)}
		}
		return good
	})
	for _, second := range []float64{0, 10} {
		r.Samples = append(r.Samples, record.Sample{At: at(second), Pod: "staff-service-0", Counts: []record.Count{counted(record.CountServer, "GET /driver/:vehicle", second*10)}})
	}
	return r
}

// TestVoid: what a run says nothing about, by its notes, makes no goal met or missed.
func TestVoid(t *testing.T) {
	unmet := outcomesOf("unmet", 1, 0, 0)
	unmet.Samples = nil
	late := outcomesOf("late", 1, 3, 0)
	startLate(late)
	never := outcomesOf("never", 1, 0, 0)
	never.FaultAt = at(2)
	for i := range never.Requests[:30] {
		never.Requests[i].Status = 404
	}
	lateToo := outcomesOf("late", 2, 3, 0)
	startLate(lateToo)
	const (
		wasLate = "not decided: the load was late: late/x/1, late/x/2"
		notGood = "not decided: no request before the fault was good, most answered 404 (check load.streams and the manifests): never/y/1"
	)
	never.Fault, unmet.Fault = "y", "z"
	r := reportOf(t, of(outcomesOf("a", 1, 3, 0), outcomesOf("a", 2, 3, 0), late, lateToo, never, unmet))
	for goal, want := range map[string]string{
		"unmet, z: good >= 50%":         "not decided: no request of the load met the fault: unmet/z/1",
		"unmet, z: positions >= 1":      "not decided: no request of the load met the fault: unmet/z/1",
		"never, y: failed <= 1%":        notGood,
		"never, y: positions >= 1":      notGood,
		"late, x: p50 <= 1ms":           wasLate,
		"late, x: goodput >= 1":         wasLate,
		"late, x: recovered <= 1s":      wasLate,
		"a, x: p50 over late <= 1ms":    wasLate,
		"late, x: failed <= 10%":        "met: 3 % (1.4..6.4) of 200 requests",
		"a, x: failed over late <= 50%": "met: 0 % (-3.8..3.8) of 200 requests",
		"a, x: p50 <= 3ms":              "met: 2.00 ms of 200 requests",
	} {
		judged := r
		judged.Goals = nil
		judge(t, &judged, goal)
		assert.Equal(t, want, judged.Goals[0].Text, goal)
		if reason, void := strings.CutPrefix(want, "not decided: "); void {
			assert.Equal(t, reason, judged.Goals[0].Reason, goal+", reason")
			assert.Equal(t, ExitUnknown, judged.ExitCode(), goal+", exit code")
			assert.Contains(t, encoded(t, JUnit, judged), "<error message="+`"not decided: `, goal+", JUnit")
			assert.Contains(t, encoded(t, JSON, judged), `"reason": "`+reason+`"`, goal+", JSON")
		}
	}
}

// staysBad is a run that never recovers.
func staysBad(arm string, seed uint64) *record.Run {
	r := outcomesOf(arm, seed, 100, 0)
	for i := range r.Requests {
		r.Requests[i].Status = 500
	}
	return r
}

// TestJudge: a goal is judged with the interval, not with the value. A recovery that never
// came is longer than any, and of two none is.
func TestJudge(t *testing.T) {
	r := reportOf(t, of(outcomesOf("a", 1, 0, 0), outcomesOf("b", 1, 3, 0), outcomesOf("c", 1, 50, 2), outcomesOf("d", 1, 100, 0), staysBad("e", 1), staysBad("f", 1)))
	for goal, want := range map[string]string{
		"a, x: good >= 96%":          "met: 100 % (96.3..100) of 100 requests",
		"a, x: good >= 99.8%":        "not decided by 100 requests: 100 % (96.3..100); about 1917 would decide it",
		"a, x: failed <= 50% at 99%": "met: 0 % (0..6.2) of 100 requests",
		"b, x: good >= 96%":          "not decided by 100 requests: 97 % (91.5..99); about 1476 would decide it",
		"b, x: good >= 97%":          "not decided by 100 requests: 97 % (91.5..99)", // the value is the bound
		"c, x: good >= 96%":          "missed: 50 % (40.4..59.6) of 100 requests",
		"c, x: failed <= 30%":        "missed: 50 % (40.4..59.6) of 100 requests",
		"c, x: goodput >= 4":         "met: 5 (4.04..5.96) of 100 requests",
		"a, x: p50 <= 3ms":           "met: 2.00 ms of 100 requests",
		"a, x: p50 <= 1ms":           "missed: 2.00 ms of 100 requests",
		"c, x: p99 <= 3ms":           "not decided by 100 requests: 1 of 100 above 3.00 ms",
		"c, x: p99 <= 2s":            "not decided by 100 requests: 1 of 100 above 3.00 ms; about 381 would decide it",
		"c, x: good over a >= -0.3":  "missed: -50 % (-59.6..-39.7) of 100 requests",
		"b, x: good over a >= -0.2":  "met: -3 % (-8.5..1.2) of 100 requests",
		"a, x: recovered <= 1s":      "not decided by 1 run: 0 s; about 3 would decide it",
		"d, x: contained <= 1s":      "missed: never of 1 run",
		"a, x: positions >= 1":       "not decided by 1 run: 0; about 3 would decide it",
		"a, x: cpu <= 1":             "not decided by 1 run: -",
		"a, x: attempts >= 1":        "not decided by 1 run: -",

		"e, x: recovered over f <= 1s": "not decided by 1 run: neither recovered",
		"e, x: recovered over a <= 1s": "missed: e never, a 0 s of 1 run",
		"e, x: recovered over a >= 1s": "met: e never, a 0 s of 1 run",
		"a, x: recovered over e <= 1s": "met: a 0 s, e never of 1 run",
		"a, x: recovered over e >= 1s": "missed: a 0 s, e never of 1 run",
		"e, x: p99 over a <= 1s":       "not decided by 100 requests: e 0 of 100 above 3.00 ms, a 0 of 100 above 2.00 ms",
	} {
		judged := r
		judged.Goals = nil
		judge(t, &judged, goal)
		assert.Equal(t, want, judged.Goals[0].Text, goal)
		assert.Equal(t, true, strings.HasPrefix(want, judged.Goals[0].Result), goal+", the text has the result first")
	}
}

// TestNeededDecides: with as many requests as a verdict asks for, the goal is
// decided.
func TestNeededDecides(t *testing.T) {
	r := reportOf(t, of(outcomesOf("b", 1, 3, 0)))
	judge(t, &r, "b, x: good >= 96%")
	var runs []*record.Run
	for seed := range (r.Goals[0].Needed + 99) / 100 {
		runs = append(runs, outcomesOf("b", uint64(seed)+1, 3, 0))
	}
	r = reportOf(t, of(runs...))
	judge(t, &r, "b, x: good >= 96%")
	assert.Equal(t, GoalMet, r.Goals[0].Result, "result")
	assert.Equal(t, ExitMet, r.ExitCode(), "exit code")
}

func TestExitCode(t *testing.T) {
	for results, want := range map[string]int{"": ExitMet, "met": ExitMet, "met,not decided": ExitUnknown, "not decided,missed,met": ExitMissed} {
		var r Report
		for result := range strings.SplitSeq(results, ",") {
			r.Goals = append(r.Goals, Verdict{Result: result})
		}
		assert.Equal(t, want, r.ExitCode(), results)
	}
}

// TestGoalWithoutRuns: a goal about what was not measured is an error, not met.
func TestGoalWithoutRuns(t *testing.T) {
	for goal, want := range map[string]string{
		"z, x: good >= 1%":         "goal z, x: good >= 1% at 95%: no run of z with x: must be in the records",
		"a, y: good >= 1%":         "goal a, y: good >= 1% at 95%: no run of a with y: must be in the records",
		"a, x: good >= 1% at 100%": "goal a, x: good >= 1% at 100%: confidence: 1: must be at least 50%, and less than 100%",
		"a, x: good >= 500%":       "goal a, x: good >= 500% at 95%: atLeast: 500%: must be a share from 0% to 100%",
		"a, x: best >= 1%":         `goal a, x: best >= 1% at 95%: figure "best": must be one of ` + figureNames(),
		"a, x: oldest <= 9s":       `goal a, x: oldest <= 9s at 95%: figure "oldest": the highest value of all runs has no interval: must be another figure, such as lastKnown`,
		"a, x: good over z >= 1%":  `goal a, x: good over z >= 1% at 95%: over "z": must be an arm with that fault`,
	} {
		r := reportOf(t, of(outcomesOf("a", 1, 0, 0)))
		parsed, err := experiment.ParseGoal(goal)
		require.NoError(t, err)
		wants.Error(t, goal, r.Judge(parsed), want)
	}
}

// verdicts are those on all goals: ARM: TEXT.
func verdicts(r Report) (all []string) {
	for _, v := range r.Goals {
		all = append(all, v.Arm+": "+v.Text)
	}
	return all
}

// TestOverSwept: a goal over another arm compares the points of the same values, or all
// points with an arm that has one.
func TestOverSwept(t *testing.T) {
	var runs []*record.Run
	failing := map[string]int{"a:n=1": 10, "a:n=2": 20, "b:n=1": 30, "b:n=2": 60}
	for _, arm := range []string{"a:n=1", "a:n=2", "b:n=1", "b:n=2", "c"} {
		r := outcomesOf(arm, 1, failing[arm], 0)
		r.FaultOf = "x"
		if name, n, swept := strings.Cut(arm, ":n="); swept {
			r.ArmOf, r.Point = name, map[string]string{"n": n}
		}
		runs = append(runs, r)
	}
	r := reportOf(t, of(runs...))
	judge(t, &r, "a, x: failed over b <= 0%", "a, x: failed over c <= 50%", "a, x: failed over b:n=1 <= 50%")
	assert.Equal(t, []string{
		"a:n=1: met: -20 % (-30.6..-9) of 100 requests", "a:n=2: met: -40 % (-51.2..-26.8) of 100 requests",
		"a:n=1: met: 10 % (4.2..17.4) of 100 requests", "a:n=2: met: 20 % (12.4..28.9) of 100 requests",
		"a:n=1: met: -20 % (-30.6..-9) of 100 requests", "a:n=2: met: -10 % (-21.7..2) of 100 requests",
	}, verdicts(r), "verdicts")
}

// TestNoPromise: no number of runs is said to decide what no number does.
func TestNoPromise(t *testing.T) {
	c := of(outcomesOf("a", 1, 0, 0), outcomesOf("a", 2, 0, 0), staysBad("a", 3))
	c.Experiment = `# q?
arms: [{name: a, manifests: x}]
faults: [{name: x, inject: [{service: s, rules: reset}]}]
goals: [{figure: oldest, arm: a, fault: x, atMost: 9s}, {figure: recovered, arm: a, fault: x, atMost: 1s}]
`
	r := reportOf(t, c)
	assert.Equal(t, "not decided: the highest value of all runs has no interval", r.Goals[0].Text, "a maximum, in records")
	assert.Equal(t, "not decided by 3 runs: 1 of 3 runs never", r.Goals[1].Text, "a time that came in some runs")
}

// TestInterrupted: goals about runs that are not there yet are not decided.
func TestInterrupted(t *testing.T) {
	c := of(outcomesOf("a:n=1", 1, 0, 0))
	c.Runs[0].ArmOf, c.Runs[0].FaultOf, c.Runs[0].Point = "a", "x", map[string]string{"n": "1"}
	c.Experiment = `# q?
arms: [{name: a, manifests: x, env: {s: {N: "${n}"}}}, {name: b, manifests: x}]
faults: [{name: x, inject: [{service: s, rules: reset}]}]
sweep: [{name: n, values: [1, 2]}]
goals: [{figure: good, arm: a, fault: x, atLeast: 90%}, {figure: good, arm: b, fault: x, atLeast: 90%}, {figure: good, arm: a, over: b, fault: x, atLeast: 0}]
`
	r := reportOf(t, c)
	want := []string{
		"a:n=1: met: 100 % (96.3..100) of 100 requests", "a:n=2: not decided: no run", "b: not decided: no run",
		"a:n=1: not decided: no run of b", "a:n=2: not decided: no run",
	}
	assert.Equal(t, want, verdicts(r), "verdicts")
	assert.Equal(t, ExitUnknown, r.ExitCode(), "exit code")
}

// TestRecorded: records stay readable when an experiment like theirs is refused, but not with too many runs, or with a
// theory that has no value.
func TestRecorded(t *testing.T) {
	const text = `# q?
arms: [{name: a, manifests: x}]
faults: [{name: x, inject: [{service: s, rules: reset}]}]
load: {steps: [{rate: 10, for: 30s}]}
goals: [{figure: good, arm: a, fault: x, atLeast: 90%}]
`
	_, err := experiment.Decode("x.yaml", []byte(text), Figures())
	require.ErrorContains(t, err, "load.steps[0].for: 30s: must be absent in the last step")
	c := of(outcomesOf("a", 1, 0, 0))
	c.Experiment = text
	assert.Equal(t, ExitMet, reportOf(t, c).ExitCode(), "exit code")

	c.Experiment = text + "sweep: [{name: n, values: [0]}]\ntheory: [{figure: good, formula: 1 / n}]\n"
	_, err = Compute(c)
	require.EqualError(t, err, "the records' experiment: experiment:7: theory[0].formula: 1 / n: +Inf: must be a finite number")

	c.Experiment = text + "repeats: 100000\n"
	_, err = Compute(c)
	require.EqualError(t, err, "the records' experiment: experiment:2: 1 arms, 1 faults, 1 seeds, 100000 repeats, and the sweep's values: must be at most 1000 runs")
}

// TestNeverRecovers: a run whose answers stay bad after the repair is called so,
// with its goodput and the work that was wasted.
func TestNeverRecovers(t *testing.T) {
	r := &record.Run{Key: record.Key{Arm: "retries", Fault: "overload", Seed: 1}, Rate: 10, FaultAt: at(3), RepairAt: at(6), End: at(16), Rules: "capacity=8", Replicas: 1, Pods: []string{"staff-service-0"}}
	r.Requests = every(16, func(second float64) record.Request { return pick(second >= 3, failed) })
	for second := range 17 {
		requests, attempts := float64(second)*10, float64(second)*10
		if second > 3 {
			attempts += float64(second-3) * 20
		}
		sample(r, float64(second), attempts, counted("server", "GET /vehicles/driver/:name", requests))
	}
	report := reportOf(t, of(hopped(r, at(3))))
	a := report.Groups[0].Faults[0].Arms[0]
	short := *r
	short.End = at(12)
	assert.Contains(t, reportOf(t, of(hopped(&short, at(3)))).Findings[0].Sentence, " Recovery not seen within 6 s after the repair: retries (", "a short run")
	for name, want := range map[string]string{"recovered": "never", "goodputAfter": "0 (0..0.37)", "wastedAfter": "100 % (98.7..100)", "attempts": "3.00", "wasted": "100 % (95.9..100)"} {
		c, _ := column(name)
		assert.Equal(t, want, a.Figures[name].Text(c.Unit), name)
	}
	assert.Equal(t, "overload (all of staff-service): retries lost 100 % (88.6..100). Never recovered in the 10 s after the repair: retries (goodput 0 (0..0.37) of 10/s, 100 % (98.7..100) of the attempts wasted).", report.Findings[0].Sentence, "finding")
}

// TestOffered: of a load whose rate changes, the goodput after the repair is compared with
// what was offered then.
func TestOffered(t *testing.T) {
	for load, want := range map[string]string{
		"{ramp: {from: 5, to: 25}}":                                      "5 to 25 requests per second in a ramp, 10 from fault to repair",
		"{steps: [{rate: 5, for: 4s}, {rate: 10, for: 6s}, {rate: 20}]}": "5, 10 and 20 requests per second in steps, 10 from fault to repair",
		"{rate: 10}": "10 requests per second",
	} {
		r := outcomesOf("a", 1, 100, 0)
		for i := range r.Requests {
			r.Requests[i] = failed
			r.Requests[i].Intended = at(float64(i) / 10)
			if i > 100 { // twice the rate after the repair
				r.Requests[i].Intended = at(10 + float64(i-100)/20)
			}
		}
		for i := range 40 {
			late := failed
			late.Intended = at(12 + float64(i)/20)
			r.Requests = append(r.Requests, late)
		}
		c := of(r)
		c.Experiment = "# q?\narms: [{name: a, manifests: x}]\nfaults: [{name: x, inject: [{service: s, rules: reset}]}]\nload: " + load + "\n"
		report := reportOf(t, c)
		assert.Contains(t, written(Text, report), "; "+want+"; seeds 1", load)
		assert.Contains(t, pageOf(t, report), want, load+", page")
		offered := "of the 20/s that were offered then)"
		if strings.HasPrefix(load, "{rate") {
			offered = "of 10/s)"
		}
		assert.Contains(t, report.Findings[0].Sentence, offered, load)
	}
}

// TestTooShort: a run that ends soon after the repair does not say whether it
// would have recovered.
func TestTooShort(t *testing.T) {
	run := outcomesOf("a", 1, 100, 0)
	run.End, run.Requests = at(12), run.Requests[:120]
	a := computed(t, run).Faults[0].Arms[0]
	assert.Equal(t, "-", a.Figures["recovered"].Text(seconds3), "recovered")
}

// TestUnsupported: a quantile that its sample cannot support is not shown.
func TestUnsupported(t *testing.T) {
	var runs []*record.Run
	for _, want := range []string{"0 of 100 above 1 s", "0 of 200 above 1 s", "0 of 300 above 1 s", "1 s"} {
		runs = append(runs, outcomesOf("a", uint64(len(runs))+1, 0, 5))
		p99 := computed(t, runs...).Faults[0].Arms[0].Figures["p99"]
		assert.Equal(t, want, p99.Text(duration), fmt.Sprintf("%d runs", len(runs)))
	}
}

// TestDifferences: paired by seed, and called a difference only outside the
// interval.
func TestDifferences(t *testing.T) {
	var runs []*record.Run
	for seed := uint64(1); seed <= 3; seed++ {
		runs = append(runs, outcomesOf("none", seed, 10, 0), outcomesOf("like", seed, 10+int(seed%2), 0), outcomesOf("better", seed, 1, 0))
	}
	f := computed(t, runs...).Faults[0]
	for arm, want := range map[string]string{"like": "none shown (-4.3..5.6 %)", "better": "-9 % (-13..-5.5)"} {
		a, _ := f.arm(arm)
		assert.Equal(t, want, a.Over["failed"].Text(percent), arm)
	}
	base, _ := f.arm("none")
	assert.Equal(t, "none", f.Baseline, "baseline")
	assert.Nil(t, base.Over, "what the baseline has over itself")
}

//go:embed testdata/swept.yaml
var sweptExperiment string

// swept is a report of the experiment.
func swept(t *testing.T) Report {
	t.Helper()
	var runs []*record.Run
	for i, failing := range []int{50, 25, 30} {
		attempts := strconv.Itoa(i + 1)
		r := outcomesOf("tries:attempts="+attempts, 1, failing, 0)
		r.Fault, r.ArmOf, r.Point = "part", "tries", map[string]string{"attempts": attempts}
		runs = append(runs, r)
	}
	c := of(runs...)
	c.Experiment = sweptExperiment
	return reportOf(t, c)
}

// TestSweep: a series per arm over the swept value, with the theory, and a goal
// for each point.
func TestSweep(t *testing.T) {
	r := swept(t)
	s := r.Groups[0].Sweeps
	require.Len(t, s, 1, "sweeps")
	assert.Equal(t, sheet{
		before: "good over attempts", Heads: []string{"arm", "fault", "attempts", "good", "theory"},
		Rows: [][]string{{"tries", "part", "1", "50 % (40.4..59.6)", "50 %"}, {"tries", "part", "2", "75 % (65.7..82.5)", "75 %"}, {"tries", "part", "3", "70 % (60.4..78.1)", "87.5 %"}},
	}, s[0].sheet(), "table")
	assert.Equal(t, sheet{
		Heads: []string{"good over attempts", "1", "2", "3"}, Rows: [][]string{{"tries, part", "50 %", "75 %", "70 %"}},
	}, s[0].overview(), "table of the summaries")
	markdown := written(MarkdownSummary, r)
	assert.Contains(t, markdown, "| tries, part | 50 % | 75 % | 70 % |\n", "summary")
	assert.Contains(t, markdown, " (tries:attempts=3, part): not decided by 100 requests", "summary")
	assert.Len(t, s[0].Series, 1, "series")
	assert.Equal(t, "good over attempts: 2 of 3 points agree with the theory. tries with attempts=3: 70 % (60.4..78.1), not 87.5 %.", r.Findings[0].Sentence, "finding")
	drawn := string(s[0].page(r.palette()).Plot)
	for class, points := range map[string]int{"curve c0": 3, "band c0": 6, "theory": 3} {
		_, rest, _ := strings.Cut(drawn, `class="`+class+`" points="`)
		text, _, _ := strings.Cut(rest, `"`)
		assert.Equal(t, points, len(strings.Fields(text)), "points of "+class+": "+text)
	}
	summary := summaryOf(r, SummaryOptions{})
	assert.True(t, strings.HasPrefix(summary, "good over attempts  1     2     3\ntries, part         50 %  75 %  70 %\n"), "begins with the sweep:\n"+summary)
	require.Len(t, r.Goals, 3, "goals")
	assert.Equal(t, GoalMet, r.Goals[0].Result, "goal of the first point")
	assert.Equal(t, GoalUndecided, r.Goals[2].Result, "goal of the last point")
}

// TestSweptValues: values that are numbers, durations or percentages are in their order,
// and as far apart as they are.
func TestSweptValues(t *testing.T) {
	for _, test := range []struct {
		values, want []string
		places       []float64
	}{
		{[]string{"10", "9", "1e1"}, []string{"9", "10", "1e1"}, []float64{10, 96, 96}},
		{[]string{"10s", "2s", "500ms"}, []string{"500ms", "2s", "10s"}, []float64{10, 23.58, 96}},
		{[]string{"100%", "20%", "60%"}, []string{"20%", "60%", "100%"}, []float64{10, 53, 96}},
		{[]string{"b", "10", "2"}, []string{"10", "2", "b"}, []float64{10, 53, 96}}, // as text
		{[]string{"3s", "0"}, []string{"0", "3s"}, []float64{10, 96}},
		{[]string{"2"}, []string{"2"}, []float64{50}},
		{[]string{"2", "2.0"}, []string{"2", "2.0"}, []float64{50, 50}},
		{[]string{"inf", "NaN", "1"}, []string{"1", "NaN", "inf"}, []float64{10, 53, 96}},
	} {
		s := Sweep{Series: []Series{{}, {}}}
		for i, value := range test.values { // the second series has them all, the first every other
			s.Series[1].Points = append(s.Series[1].Points, Point{At: value})
			if i%2 == 0 {
				s.Series[0].Points = append(s.Series[0].Points, Point{At: value})
			}
		}
		s.order()
		at, values := s.places()
		assert.Equal(t, test.want, values, "values")
		assert.Equal(t, test.want, (&Sweep{Series: s.Series[1:]}).texts(), "points")
		for i, value := range values {
			assert.InDelta(t, test.places[i], at(value), .01, value)
		}
	}
}

// TestPartlySwept: an arm that is not swept is in matrix and findings, beside one that is
// in the curves.
func TestPartlySwept(t *testing.T) {
	c := of(outcomesOf("plain", 1, 20, 0), outcomesOf("tries:attempts=1", 1, 50, 0), outcomesOf("tries:attempts=2", 1, 25, 0))
	for _, r := range c.Runs[1:] {
		r.ArmOf, r.Point = "tries", map[string]string{"attempts": r.Arm[len(r.Arm)-1:]}
	}
	r := reportOf(t, c)
	assert.Equal(t, "x (all of staff-service): plain lost 20 % (13.3..28.9).", r.Findings[0].Sentence, "finding")
	markdown := written(MarkdownSummary, r)
	assert.Contains(t, markdown, "| x | 80 / 0 / 20; max 3.00 ms |\n", "Markdown")
	assert.Contains(t, markdown, "| tries, x | 50 % | 75 % |\n", "Markdown, the curve")
	assert.Regexp(t, "^ +plain\nx +█+·+\n +80% 3.00ms\n", summaryOf(r, SummaryOptions{}), "summary")
	assert.Contains(t, MatrixSVG(r), ">plain<", "picture")
	assert.Contains(t, pageOf(t, r), `<th scope="col">plain</th></tr>`, "page")
}

// TestNotDone: while a comparison runs, the page has how many runs are there.
func TestNotDone(t *testing.T) {
	const text = `question: which
arms: [{name: a, manifests: [repo:k8s/base]}, {name: b, manifests: [repo:k8s/base]}]
faults: [{name: x, inject: [{service: staff-service, replicas: all, rules: reset}]}]
goals: [{figure: good, arm: b, fault: x, atLeast: 10%}, {figure: good, arm: a, fault: x, over: b, atLeast: 10%}, {figure: good, arm: a, fault: x, atLeast: 10%}]
`
	c := of()
	c.Experiment = text
	for n, want := range []string{"No run is measured yet. The page grows with each.", "1 of 4 runs are measured. The page grows with each.", "2 of 4 runs are measured. The page grows with each."} {
		c.Runs = []*record.Run{outcomesOf("a", 1, 0, 0), outcomesOf("a", 2, 0, 0)}[:n]
		live, err := NewLive(nil, c)
		require.NoError(t, err)
		assert.Contains(t, string(live.Page), want, fmt.Sprintf("the page of %d runs", n))
	}
	_, err := NewLive(nil) // before the first line
	require.NoError(t, err)
}

// TestRepeats: what a seed reproduces, from runs with repeats.
func TestRepeats(t *testing.T) {
	var runs []*record.Run
	for seed := uint64(1); seed <= 2; seed++ {
		for repeat := range 2 {
			r := outcomesOf("a", seed, 20, 0)
			r.Repeat = repeat
			if seed == 2 { // the others fail
				for i := range r.Requests[:100] {
					r.Requests[i].Status, r.Requests[i].Error = 700-r.Requests[i].Status, ""
				}
			}
			runs = append(runs, r)
		}
	}
	repeats := computed(t, runs...).Repeats
	require.NotNil(t, repeats, "with repeats")
	assert.Equal(t, true, repeats.Difference.Shown, "the difference is shown")
	assert.Equal(t, "Of the requests that a fault touched in one of two runs, it touched 100 % (96.3..100) in both with one seed, and 0 % (0..1) with two seeds.", repeats.finding().Sentence, "finding")
	assert.Nil(t, computed(t, runs[0], runs[2]).Repeats, "without repeats")
	first := reportOf(t, of(runs[0], runs[2])) // the same comparison twice
	both := Compare(first, first).Repeats
	require.NotNil(t, both, "two comparisons")
	assert.Equal(t, []float64{1, 0}, []float64{*both.SameSeed.Value, *both.OtherSeeds.Value}, "two comparisons")
}

// TestNeeding: with several streams, attempts are wasted or not by the requests that
// lead to the watched hop. Which these are shows in the counts before the fault, and in
// the paths where streams are as many; the names of the streams change nothing.
func TestNeeding(t *testing.T) {
	const drivers, positions = "/vehicles/driver/{vehicle}", "/vehicles/"
	for name, test := range map[string]struct {
		a, b, c string // the paths, of the load's fourths: a, b, c, b
		leading int    // of four requests, those that lead to staff-service
		want    string // wasted, where the requests of a fail
	}{
		"as many, by path":                    {drivers, positions, positions, 1, "100 % (96.3..100)"},
		"as many, by path, behind a prefix":   {"/api" + drivers, "/api" + positions, "/api/vehicles/{vehicle}", 1, "100 % (96.3..100)"},
		"as many, paths that tell nothing":    {"/a", "/b", "/c", 1, "-"},
		"by count":                            {"/a", "/b", "/c", 2, "0 % (0..1.9)"},
		"all":                                 {"/a", "/b", "/c", 4, "25 % (21..29.5)"},
		"two with the path":                   {drivers, positions, drivers, 2, "50 % (43.1..56.9)"},
		"two with the path, which is refuted": {drivers, positions, drivers, 4, "25 % (21..29.5)"},
		"others call, too":                    {"/a", "/b", "/c", 9, "-"},
	} {
		for _, names := range [][]string{{"driver", "positions", "vehicles"}, {"vehicles", "driver", "x"}} {
			r := &record.Run{Key: record.Key{Arm: "none", Fault: "x", Seed: 1}, Rate: 40, FaultAt: at(4), RepairAt: at(14), End: at(16), Rules: "status=502", Replicas: 1, Pods: []string{"staff-service-0"}}
			for i, stream := range []string{names[0], names[1], names[2], names[1]} {
				r.Requests = append(r.Requests, every(16, func(second float64) record.Request {
					q := pick(i == 0 && second >= 4 && second < 14, failed)
					q.Route = stream
					return q
				})...)
			}
			for second := range 17 {
				calls := float64(second * 10 * test.leading)
				sample(r, float64(second), calls, counted("server", "GET /vehicles/driver/:name", calls))
			}
			c := of(hopped(r, at(4)))
			c.Experiment = fmt.Sprintf("# q?\narms: [{name: none, manifests: m}]\nload: {streams: [{name: %s, path: %q}, {name: %s, path: %q}, {name: %s, path: %q}]}\n", names[0], test.a, names[1], test.b, names[2], test.c)
			a := reportOf(t, c).Groups[0].Faults[0].Arms[0]
			assert.Equal(t, test.want, a.Figures["wasted"].Text(percent), "%s, named %q: wasted", name, names)
			want := 1.
			if test.want == "-" {
				want = 0
			}
			assert.Equal(t, want, a.Runs[0].Curve[6].Attempts, "%s, named %q: attempts in the seventh second", name, names)
		}
	}
}
