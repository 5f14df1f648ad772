package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
)

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
		r.Hops = record.FindHops(r.Samples, r.FaultAt, record.Hop{Upstream: r.Entry, Methods: []string{"GET"}})
		return r
	}
	f := computed(t, run(1), run(2)).Faults[0]
	assert.Equal(t, Met{Requests: 0, Reports: 30}, f.Arms[0].Runs[0].Met, "met the fault")
	note := ": no request of the load leads to vehicle-telemetry: its figures of requests say nothing about the fault"
	assert.Equal(t, []string{"none, seed 1" + note, "none, seed 2" + note}, f.Notes, "notes")
}

// TestUnknownWay: which requests lead to the fault is unknown, and not "none", where their
// callers counted nothing before it; a late sample counts, since the fault waits for it.
func TestUnknownWay(t *testing.T) {
	const unknown = "none, seed 1: which requests lead to staff-service is unknown, since their callers' counters were not read before the fault: its attempts are unknown; set phases.healthy to 2s or more"
	for name, test := range map[string]struct {
		first, set float64 // the first sample with requests, and the fault
		route      string
		want       []string
		attempts   string
	}{
		"in time":                 {1.02, 1.03, "GET /vehicles/driver/:name", nil, "1.00"},
		"late, and so the fault":  {1.84, 1.85, "GET /vehicles/driver/:name", nil, "1.00"},
		"late, and the fault not": {1.84, 1.03, "GET /vehicles/driver/:name", []string{unknown}, "-"},
		"not before the fault":    {2.02, 1.03, "GET /vehicles/driver/:name", []string{unknown}, "-"},
		"known to lead elsewhere": {1.02, 1.03, "POST /vehicles", []string{"none, seed 1: no request of the load leads to staff-service: its figures of requests say nothing about the fault"}, "1.00"},
	} {
		r := &record.Run{Key: record.Key{Arm: "none", Fault: "x", Seed: 1}, Rate: 10, FaultAt: at(1), RepairAt: at(6), End: at(8), Rules: "status=502", Replicas: 1, Pods: []string{"staff-service-0"}, Measurements: 1}
		r.Requests = every(8, func(second float64) record.Request { return pick(second >= test.set && second < 6, failed) })
		r.Events = []record.Event{{At: at(test.set), Who: record.Launcher, What: record.EventFaultSet, Detail: "staff-service-0: status=502"}}
		method, _, _ := strings.Cut(test.route, " ")
		for _, second := range []float64{0, test.first, 3, 4, 5, 6, 7, 8} {
			n := math.Floor(10 * second)
			r.Samples = append(r.Samples,
				record.Sample{At: at(second), Pod: "api-gateway-0", Counts: []record.Count{counted(record.CountServer, test.route, n), counted(record.CountClient, method+" staff-service", n)}},
				record.Sample{At: at(second), Pod: "staff-service-0", Counts: []record.Count{counted(record.CountServer, method+" /driver/:vehicle", n)}})
		}
		r.Entry, r.Hops = "api-gateway", record.FindHops(r.Samples, r.HealthyUntil(), record.Hop{Upstream: "api-gateway", Methods: []string{"GET"}})
		f := computed(t, r).Faults[0]
		assert.Equal(t, test.want, f.Notes, name)
		assert.Equal(t, test.attempts, f.Arms[0].Figures["attempts"].Text(ratio), name+", attempts")
		if test.attempts == "-" {
			assert.Equal(t, "-", f.Arms[0].Figures["wasted"].Text(percent), name+", wasted")
		}
	}
}

// TestWarnings: what makes figures unusable is in every form of the report without
// --all: a line for each kind.
func TestWarnings(t *testing.T) {
	a, b := outcomesOf("a", 1, 0, 0), outcomesOf("b", 1, 0, 0)
	for _, r := range []*record.Run{a, b} {
		r.Replicas, r.Samples = 2, nil
		startLate(r)
	}
	b.Notes = []string{"DestinationRule t: spec.host: changes no proxy: u"}
	r := reportOf(t, of(a, b))
	summary, markdown, table := summaryOf(r, SummaryOptions{}), written(MarkdownSummary, r), encoded(t, CSV, r)
	for _, want := range []string{
		"the load was late: a/x/1, b/x/1\n", "no request of the load met the fault: a/x/1, b/x/1\n",
		"one seed, and the fault is in some replicas only: x\n", "b: DestinationRule t: spec.host: changes no proxy: u\n",
	} {
		assert.Contains(t, summary, "\n! "+want, "summary")
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

// TestManyWarnings: a warning of many runs has all of them in Markdown, and in the
// terminal's lines as many as fit, with the number of the others; a long one is wrapped.
func TestManyWarnings(t *testing.T) {
	var runs []*record.Run
	for seed := range uint64(12) {
		r := outcomesOf("library-with-a-long-name", seed+1, 0, 0)
		startLate(r)
		r.Samples = nil
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
