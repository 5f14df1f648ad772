package record

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// counted is one sample of a pod.
func counted(second float64, pod string, counts ...Count) Sample {
	return Sample{At: Offset(second * float64(time.Second)), Pod: pod, Counts: counts}
}

// TestFindHops: the calls of a fleet with a seventh service, from what its
// processes counted.
func TestFindHops(t *testing.T) {
	samples := []Sample{
		counted(0, "position-simulator-0", Count{CountClient, "DELETE position-tracker", 5}), // before the run
		counted(3, "webapp-0", Count{CountServer, "GET /api/vehicles/driver/:name", 15}, Count{CountServer, "GET /api/vehicles/", 15}, Count{CountClient, "GET api-gateway", 30}),
		counted(3, "api-gateway-0", Count{CountServer, "GET /vehicles/driver/:name", 15}, Count{CountServer, "GET /vehicles/", 15}, Count{CountClient, "GET staff-service", 15}, Count{CountClient, "GET position-tracker", 15}),
		counted(3, "position-tracker-0", Count{CountServer, "POST /vehicles", 14}, Count{CountServer, "GET /vehicles/", 15}, Count{CountClient, "POST staff-service", 14}, Count{CountClient, "POST vehicle-telemetry", 14}, Count{CountClient, "GET vehicle-telemetry", 14}),
		counted(3, "position-simulator-0", Count{CountReports, "delivered", 14}, Count{CountClient, "POST position-tracker", 14}, Count{CountClient, "DELETE position-tracker", 5}),
		counted(3, "staff-service-0", Count{CountServer, "GET /driver/:vehicle", 15}, Count{CountServer, "POST /driver/:vehicle/:speed", 14}, Count{CountClient, "GET photo-store", 29}),
		counted(3, "photo-store-0", Count{CountServer, "GET /photo/:vehicle", 29}),
		counted(3, "api-gateway-0"+ProxySuffix, Count{CountProxyAttempts, "staff-service", 15}),
	}
	want := []Hop{
		{Caller: "api-gateway", Upstream: "position-tracker", Methods: []string{"GET"}, Per: []string{"GET /vehicles/"}, Calls: 1},
		{Caller: "api-gateway", Upstream: "staff-service", Methods: []string{"GET"}, Per: []string{"GET /vehicles/driver/:name"}, Calls: 1},
		{Caller: "position-simulator", Upstream: "position-tracker", Methods: []string{"POST"}, Calls: 1},
		{Caller: "position-tracker", Upstream: "staff-service", Methods: []string{"POST"}, Per: []string{"POST /vehicles"}, Calls: 1},
		{Caller: "position-tracker", Upstream: "vehicle-telemetry", Methods: []string{"GET", "POST"}, Per: []string{"POST /vehicles"}, Calls: 2},
		{Caller: "staff-service", Upstream: "photo-store", Methods: []string{"GET"}, Per: []string{"GET /driver/:vehicle"}, Calls: 2},
		{Caller: "webapp", Upstream: "api-gateway", Methods: []string{"GET"}, Per: []string{"GET /api/vehicles/", "GET /api/vehicles/driver/:name"}, Calls: 1},
	}
	got := FindHops(samples, Offset(3*time.Second), Hop{})
	assert.Equal(t, want, got, "hops")
	assert.Equal(t, HopCounts{15, 15, 15, 15}, NewCounters(samples).Hop(want[1], 0, Offset(3*time.Second)), "counts")
	for _, test := range []struct {
		entry, pod, want string
	}{
		{"webapp", "staff-service-1", "api-gateway>staff-service"},
		{"api-gateway", "photo-store-0", "staff-service>photo-store"},
		{"api-gateway", "api-gateway-0", "api-gateway>position-tracker"},
		{"photo-store", "nobody-0", ">"}, // calls nobody
		{"", "photo-store-0", "staff-service>photo-store"},
	} {
		r := Run{Entry: test.entry, Pods: []string{test.pod}, Hops: got}
		h, ok := r.Watched()
		assert.Equal(t, test.want, h.Name(), "from "+test.entry+" to "+test.pod)
		assert.Equal(t, test.want != ">", ok, "from "+test.entry+", a hop is watched")
	}
	_, ok := new(Run).Watched()
	assert.Equal(t, false, ok, "a run without hops watches one")
}

// TestShared: an upstream that two callers call alike cannot count them apart.
func TestShared(t *testing.T) {
	hops := FindHops([]Sample{
		counted(1, "a-0", Count{CountServer, "GET /", 5}, Count{CountClient, "GET c", 5}),
		counted(1, "b-0", Count{CountServer, "GET /", 5}, Count{CountClient, "GET c", 5}, Count{CountClient, "GET d", 5}),
	}, WholeRun, Hop{})
	assert.Len(t, hops, 3, "hops, b>d among them")
	assert.Equal(t, []string{"a>c", "b>c"}, sharedOf(hops), "shared")
}

// sharedOf returns the names of the hops whose upstream has other callers that call alike.
func sharedOf(hops []Hop) (names []string) {
	for _, h := range hops {
		if h.Shared {
			names = append(names, h.Name())
		}
	}
	slices.Sort(names)
	return names
}

// TestLoadHop: the requests of a load that a service sends are calls of a hop of
// their own, the nearest one, or of the calls that this service makes to the same
// upstream. Other callers of that upstream are then not alone.
func TestLoadHop(t *testing.T) {
	run := Run{
		Entry: "telemetry", Pods: []string{"telemetry-1"},
		Samples: []Sample{
			counted(2, "gateway-0"+ProxySuffix, Count{CountProxyAttempts, "telemetry", 12}, Count{CountProxyAttempts, "staff", 3}),
			counted(2, "gateway-0", Count{CountServer, "GET /", 3}, Count{CountClient, "GET staff", 3}),
			counted(2, "tracker-0", Count{CountServer, "GET /", 4}, Count{CountClient, "GET telemetry", 4}),
			counted(2, "telemetry-0", Count{CountServer, "GET /:vehicle", 15}),
			counted(2, "staff-0", Count{CountServer, "GET /driver", 3}),
		},
	}
	for i := range 10 {
		run.Requests = append(run.Requests, Request{End: Offset(i+1) * Offset(100*time.Millisecond)})
	}
	for name, test := range map[string]struct {
		caller, upstream string
		watched          Hop
		counts           HopCounts // until 0.5 s, when the samples of 2 s are not yet
		whole            HopCounts
		shared           []string
	}{
		"a hop of its own": {
			"gateway", "telemetry",
			Hop{Caller: "gateway", Upstream: "telemetry", Methods: []string{"GET", "PUT"}, Shared: true, Load: true},
			HopCounts{Requests: 5, Attempts: 5},
			HopCounts{10, 10, 12, 15},
			[]string{"gateway>telemetry", "tracker>telemetry"},
		},
		"calls of the caller's own": {
			"tracker", "telemetry",
			Hop{Caller: "tracker", Upstream: "telemetry", Methods: []string{"GET", "PUT"}, Per: []string{"GET /"}, Calls: 1, Load: true},
			HopCounts{Requests: 5, Attempts: 5},
			HopCounts{14, 14, 0, 15},
			nil,
		},
	} {
		run.Hops = FindHops(run.Samples, WholeRun, Hop{Caller: test.caller, Upstream: test.upstream, Methods: []string{"PUT", "GET"}})
		watched, _ := run.Watched()
		assert.Equal(t, test.watched, watched, name+", watched")
		assert.Equal(t, test.shared, sharedOf(run.Hops), name+", shared")
		assert.Equal(t, test.counts, run.Counters().Hop(watched, 0, Offset(500*time.Millisecond)), name)
		assert.Equal(t, test.whole, run.Counters().Hop(watched, 0, Offset(2*time.Second)), name+", the whole run")
	}
}

// polled is a fleet whose tracker asks telemetry at each report and when it is read,
// beside a load of 20 requests in 2 s.
func polled(entry string) *Run {
	run := &Run{Entry: entry, RepairAt: Offset(2 * time.Second), Samples: []Sample{
		counted(2, "ingress"+ProxySuffix, Count{CountProxyAttempts, "gateway", 20}, Count{CountProxyAttempts, "page", 0}),
		counted(2, "page-0", Count{CountServer, "GET /api", 5}, Count{CountClient, "GET gateway", 5}),
		counted(2, "gateway-0", Count{CountServer, "GET /driver/:name", 25}, Count{CountClient, "GET staff", 25}),
		counted(2, "simulator-0", Count{CountReports, "delivered", 10}, Count{CountClient, "POST tracker", 10}),
		counted(2, "tracker-0", Count{CountServer, "POST /vehicles", 10}, Count{CountServer, "GET /vehicles", 0}, Count{CountClient, "POST telemetry", 10}, Count{CountClient, "GET telemetry", 10}),
		counted(2, "telemetry-0", Count{CountServer, "GET /:vehicle", 30}, Count{CountServer, "POST /", 10}),
		counted(2, "staff-0", Count{CountServer, "GET /driver", 25}),
	}}
	for i := range 20 {
		run.Requests = append(run.Requests, Request{Intended: Offset(i) * Offset(100*time.Millisecond)})
	}
	return run
}

// TestSharedWithLoad: an upstream that the load asks too, straight or through a
// gateway, cannot count the calls of others apart.
func TestSharedWithLoad(t *testing.T) {
	for _, test := range []struct {
		entry, method string
		want          []string
	}{
		{"telemetry", "GET", []string{"tracker>telemetry"}},
		{"telemetry", "PUT", nil},
		{"tracker", "GET", nil},
		{"gateway", "GET", []string{"page>gateway"}},
		{"ingress", "GET", []string{"page>gateway"}},
		{"page", "GET", nil},
	} {
		hops := FindHops(polled(test.entry).Samples, WholeRun, Hop{Upstream: test.entry, Methods: []string{test.method}})
		assert.Equal(t, test.want, sharedOf(hops), test.method+" of "+test.entry+", shared")
	}
}

// TestLoadShare: of what a service received, only what the load sent and what follows
// from it is the load's.
func TestLoadShare(t *testing.T) {
	for _, test := range []struct {
		entry, method, service, received string
		want                             float64
	}{
		{"gateway", "GET", "gateway", "GET", .8}, // 5 of the page
		{"gateway", "GET", "staff", "GET", 1},
		{"gateway", "GET", "telemetry", "GET", 0},
		{"gateway", "GET", "tracker", "POST", 0},
		{"ingress", "GET", "gateway", "GET", .8},
		{"ingress", "GET", "staff", "GET", 1},
		{"tracker", "GET", "telemetry", "GET", 0}, // a read makes no report
		{"tracker", "POST", "telemetry", "GET", 1},
		{"tracker", "POST", "telemetry", "POST", 1},
		{"tracker", "POST", "tracker", "POST", 2. / 3}, // 10 of the simulator
		{"telemetry", "GET", "telemetry", "GET", 2. / 3},
		{"telemetry", "GET", "telemetry", "POST", 0},
		{"", "GET", "telemetry", "GET", 1}, // nothing is known of the load's path
		{"", "GET", "telemetry", "POST", 0},
	} {
		run := polled(test.entry)
		methods := []string{test.method}
		run.Hops = FindHops(run.Samples, WholeRun, Hop{Upstream: test.entry, Methods: methods})
		what := fmt.Sprintf("%s at %s: %s of %s", test.method, test.entry, test.received, test.service)
		assert.Equal(t, test.want, run.LoadShare(run.Counters(), methods, test.service, test.received, 0, run.RepairAt), what)
		if test.want > 0 {
			may, known := run.LeadsTo(run.Counters(), test.service, methods)
			assert.Equal(t, []bool{true, test.entry != ""}, []bool{may, known}, what+", leads there")
		}
	}
	run := polled("gateway")
	may, known := run.LeadsTo(run.Counters(), "telemetry", []string{"GET"})
	assert.Equal(t, []bool{false, true}, []bool{may, known}, "a load that leads elsewhere")
}

// TestSum: counts are sums over a service's pods; one that restarts begins at 0,
// and one that is away keeps what it had.
func TestSum(t *testing.T) {
	received := func(n float64) []Count {
		return []Count{{CountServer, "GET /driver/:vehicle", n}, {CountServer, "POST /x", 1000}}
	}
	c := NewCounters([]Sample{
		counted(0.01, "staff-service-0", received(100)...), counted(1.02, "staff-service-0", received(110)...), counted(3.01, "staff-service-0", received(4)...), counted(4.3, "staff-service-0", received(5)...),
		counted(0.01, "staff-service-1", received(7)...), counted(1.02, "staff-service-1", received(8)...), counted(2.01, "staff-service-1", received(9)...), counted(3.01, "staff-service-1", received(10)...),
		counted(1.02, "staff-service-x-0", received(1e6)...),
	})
	of := func(pod string) bool { return ServiceOf(pod) == "staff-service" }
	has := func(n Count) bool { return n.Of == "GET /driver/:vehicle" }
	for second, want := range map[float64]float64{0: 107, 1: 118, 2: 119, 3: 124, 4: 125, 9: 125} {
		assert.Equal(t, want, c.Sum(of, has, Offset(second*float64(time.Second))), fmt.Sprintf("until %v s", second))
	}
	for pod, want := range map[string]string{"staff-service-0": "staff-service", "api-gateway-0.envoy": "api-gateway", ControlPlane: "", "": ""} {
		assert.Equal(t, want, ServiceOf(pod), "the service of "+pod)
	}
}
