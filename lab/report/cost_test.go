package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/record"
)

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
	return hopped(c, record.WholeRun)
}

// TestHealthy: what an arm adds is over none's of the same seed, CPU that of
// 1 000 requests a second, from records without counters in between.
func TestHealthy(t *testing.T) {
	fault := computed(t,
		healthyRun("mesh", 1, .004, .02, .11, .2), healthyRun("none", 1, .002, .01, .1, 0),
		healthyRun("mesh", 2, .003, .02, .1, .22), healthyRun("none", 2, .002, .01, .1, 0),
	).Faults[0]
	s := fault.figures(costs)
	for i, want := range []string{
		"arm|good|p50|p50 over none|p99|p99 over none|CPU: services|CPU: proxies|CPU over none|idle: services|idle: proxies|idle: control plane|memory: services|memory: proxies|memory over none|memory: control plane|counts",
		"mesh|100 % (99.8..100)|4.00 ms (3.00..4.00)|2.00 ms (1.00..2.00), 2 runs|20 ms|10 ms, 2 runs|0.42 cores (runs 0.40..0.44)|0.84 cores (runs 0.80..0.88)|0.86 cores, 2 runs|2.1 % (runs 2..2.2)|4.2 % (runs 4..4.4)|0.2 %|50 MB|140 MB|140 MB, 2 runs|120 MB|agree",
		"none|100 % (99.8..100)|2.00 ms|-|10 ms|-|0.40 cores|-|-|2 %|-|-|50 MB|-|-|-|agree",
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
		rules              string
		received, attempts float64 // more than the caller counted, by the upstream, and by the caller's proxy
		crashes            int
		want               string
	}{
		"as counted":                          {want: "agree"},
		"in flight":                           {received: -inFlight, want: "agree"},
		"lost":                                {received: -6, want: "differ by 6"},
		"doubled":                             {received: 40, want: "differ by 40"},
		"crashed":                             {received: -13, crashes: 2, want: "differ by 13 (2 crashes)"},
		"tried again, though nothing fails":   {received: 9, attempts: 9, want: "differ by 9"},
		"tried again by the proxy in a fault": {rules: "reset", received: 9, attempts: 9, want: "agree"},
		"lost on the way to the receiver in a fault": {rules: "reset", attempts: 9, want: "differ by 9"},
	} {
		c := healthyRun("mesh", 1, .004, .02, .11, .2)
		c.Rules = test.rules
		last := c.Samples[len(c.Samples)-5:] // api-gateway, staff-service, their proxies, istiod
		last[1].Counts[2].N += test.received
		last[2].Counts[2].N += test.attempts
		for range test.crashes {
			c.Events = append(c.Events, record.Event{At: at(3), Who: "staff-service-0", What: record.EventExited})
		}
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
