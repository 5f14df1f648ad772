package compare

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
)

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

// TestInjectedTogether: a pod of several injections has the rules of all of them, once,
// whatever is done to it beside them, and after the repair those that it had before by its environment: a limit of
// capacity, say, in which the experiment's trigger is.
func TestInjectedTogether(t *testing.T) {
	t.Parallel()
	o := standIns(t, testdata(t, "injected-together.yaml"), "front")
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
