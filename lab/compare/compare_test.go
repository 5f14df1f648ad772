package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/scenario"
)

func armName(a Arm) string     { return a.Name }
func faultName(f Fault) string { return f.Name }

func TestPick(t *testing.T) {
	picked, err := Pick(Arms, armName, "library,none")
	if err != nil || len(picked) != 2 || picked[0].Name != "library" || picked[1].Name != "none" {
		t.Errorf("got %v, %v", picked, err)
	}
	for _, list := range []string{Usual, Quick, "storm"} {
		if _, err := Pick(Faults, faultName, list); err != nil {
			t.Errorf("%s: %v", list, err)
		}
	}
	for list, want := range map[string]string{
		"":          `"": must be one or more of none,library,matched,sidecars,mesh,both,ingress,retries, separated by commas`,
		"none,":     `"": must be one or more of none,library,matched,sidecars,mesh,both,ingress,retries, separated by commas`,
		"none,nobu": `"nobu": must be one or more of none,library,matched,sidecars,mesh,both,ingress,retries, separated by commas`,
		"none,none": `"none": must be there once`,
	} {
		if picked, err := Pick(Arms, armName, list); err == nil || err.Error() != want || picked != nil {
			t.Errorf("%q: got %v, %v, want %s", list, picked, err, want)
		}
	}
}

// TestPlans: the arms take turns, and every one has the same seeds.
func TestPlans(t *testing.T) {
	o := Options{Arms: Arms[:2], Faults: []Fault{Faults[0], Faults[5]}, Seeds: []uint64{7, 8}, Timing: Timing{time.Second, 10 * time.Second, 2 * time.Second}}
	var got []string
	for _, p := range o.plans() {
		got = append(got, fmt.Sprintf("%s %s %d %v", p.fault.Name, p.arm.Name, p.seed, p.timing.total()))
	}
	want := []string{
		"bad-replica none 7 13s", "bad-replica library 7 13s", "bad-replica none 8 13s", "bad-replica library 8 13s",
		"storm none 7 23s", "storm library 7 23s", "storm none 8 23s", "storm library 8 23s",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	o.OneSeedForAll = true
	if plans := o.plans(); len(plans) != 6 || plans[4].seed != 7 || plans[5].seed != 7 { // the storm is in all replicas
		t.Errorf("one seed for a fault in all replicas: got %+v", plans)
	}
}

func TestSettings(t *testing.T) {
	got := map[local.Setting]bool{}
	for _, s := range (plan{o: Options{Service: staff}, arm: Arms[1], seed: 42}).settings() {
		got[s] = true
	}
	for _, want := range []local.Setting{
		{Target: "staff-service", Name: "FAULTS_SEED", Value: "42"},
		{Target: "position-simulator", Name: "SEED", Value: "42"},
		{Target: "api-gateway", Name: "UPSTREAM_SEED", Value: "42"},
		{Target: "api-gateway", Name: "RESILIENCE", Value: "library"},
		{Target: "position-tracker", Name: "RESILIENCE", Value: "library"},
		{Target: "position-simulator", Name: "RESILIENCE", Value: "library"},
		{Target: "webapp", Name: "RESILIENCE", Value: "library"},
	} {
		if !got[want] {
			t.Errorf("no %+v", want)
		}
	}
	for _, s := range (plan{o: Options{Service: staff}, arm: Arms[0], seed: 42}).settings() {
		if s.Name == "RESILIENCE" {
			t.Errorf("without any resilience: %+v", s)
		}
	}
}

func options(t *testing.T, third int) Options {
	return Options{
		Root: "../..", Out: t.TempDir(), Environ: os.Environ(), Progress: func(line string) { t.Log(line) }, Rate: 20,
		Network: netip.MustParsePrefix(fmt.Sprintf("127.%d.%d.0/24", 100+os.Getpid()%100, third)),
		Arms:    Arms[:2], Faults: Faults[:1], Seeds: []uint64{1}, Timing: Timing{2 * time.Second, 8 * time.Second, 4 * time.Second},
		Target: Gateway, Service: staff,
	}
}

// records are those in a directory.
func records(t *testing.T, dir string) *record.Comparison {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, RecordsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read, err := record.Read(file, file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// reported is the only fault of a comparison.
func reported(t *testing.T, dir string) report.Fault {
	t.Helper()
	computed, err := report.Compute(records(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	report.Text(t.Output(), computed)
	if len(computed.Groups) != 1 || len(computed.Groups[0].Faults) != 1 {
		t.Fatalf("got %+v", computed)
	}
	return computed.Groups[0].Faults[0]
}

// TestComparison is a short one with the real services: one of two replicas is
// bad. Without resilience it shows, and the library contains it.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of load")
	}
	o := options(t, 243)
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	computed := reported(t, o.Out)
	none, library := computed.Arms[0], computed.Arms[1]
	if none.Value("failed") == 0 {
		t.Error("the fault does not show without resilience: the comparison proves nothing")
	}
	contained(t, library)
	// an attempt's time-out, and what a vehicle leaves between two reports itself
	if longest, gap := 1.0+1.5, library.Value("gap"); !(gap <= longest) {
		t.Errorf("library: a vehicle stood still for %.2f s, want at most %.1f s", gap, longest)
	}
	opened := false
	for _, e := range library.Runs[0].Timeline {
		opened = opened || e.What == "breaker open"
	}
	if !opened {
		t.Errorf("no breaker opened: %+v", library.Runs[0].Timeline)
	}
	for name, arm := range map[string]report.Arm{"none": none, "library": library} {
		run := arm.Runs[0]
		if run.Met.Requests == 0 {
			t.Errorf("%s: no request met the fault: %+v", name, run.Met)
		}
		if run.Requests != 160 || math.Abs(arm.Value("good")+arm.Value("degraded")+arm.Value("failed")-1) > 1e-5 {
			t.Errorf("%s: %+v", name, run)
		}
		for _, hop := range run.Hops {
			if hop.Requests == 0 || math.Abs(hop.Attempts-hop.Received) > 8 { // in flight at the ends
				t.Errorf("%s: the two ends disagree: %+v", name, hop)
			}
		}
	}
}

func armsNamed(t *testing.T, names string) []Arm {
	t.Helper()
	arms, err := Pick(Arms, armName, names)
	if err != nil {
		t.Fatal(err)
	}
	return arms
}

// TestProfiles: each names arms that are known.
func TestProfiles(t *testing.T) {
	for _, p := range Profiles {
		if len(armsNamed(t, p.Arms)) < 2 {
			t.Errorf("%s: %s: nothing to compare", p.Name, p.Arms)
		}
	}
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
		if got, ok := outboundTo(cluster); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", cluster, got, ok, want)
		}
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
		if got := test.proxy.entry(test.entry, pods, began); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// TestMissingParts: they are looked for once, before any run, and only for an
// arm with a mesh.
func TestMissingParts(t *testing.T) {
	calls := 0
	missing := func(context.Context) (binaries.Set, error) {
		calls++
		return binaries.Set{}, errors.New("envoy is missing: make mesh-parts")
	}
	o := options(t, 237)
	o.Arms, o.Binaries = armsNamed(t, "none,mesh"), missing
	if err := Run(t.Context(), o); err == nil || err.Error() != "envoy is missing: make mesh-parts" || calls != 1 {
		t.Errorf("%d calls: %v", calls, err)
	}
	if text, err := os.ReadFile(filepath.Join(o.Out, RecordsFile)); err != nil || len(text) != 0 {
		t.Errorf("records %q, %v", text, err)
	}
	o = options(t, 236)
	o.Arms, o.Binaries = armsNamed(t, "none"), missing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, o); !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("without a mesh: %d calls: %v", calls, err)
	}
}

// contained fails unless the answers after containment are those of an arm of
// which 99.8 % are good, at a confidence of 0.9999.
func contained(t *testing.T, arm report.Arm) {
	t.Helper()
	then := arm.Figures["goodThen"]
	if then.Value == nil {
		t.Fatalf("%s: not contained", arm.Name)
	}
	if good, least := goodOf(then.N, *then.Value); good < least {
		t.Errorf("%s: %d of %d good after containment, want %d at least", arm.Name, good, then.N, least)
	}
}

// goodOf is how many of all are good, and how few may be where 99.8 % are.
func goodOf(all int, share float64) (good, least int) {
	promised := .998
	least, _ = scenario.Count{ShareAtLeast: &promised, Confidence: .9999}.Range(all)
	return int(math.Round(share * float64(all))), least
}

// TestMeshComparison is a short one with real proxies: without a policy the bad
// replica shows, and the policies shut it out.
func TestMeshComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of load")
	}
	found := meshtest.Binaries(t)
	o := options(t, 238)
	o.Arms = armsNamed(t, "sidecars,mesh")
	o.Binaries = func(context.Context) (binaries.Set, error) { return found, nil }
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	computed := reported(t, o.Out)
	sidecars, mesh := computed.Arms[0], computed.Arms[1]
	if failed, origins := sidecars.Value("failed"), sidecars.Runs[0].Origins; failed == 0 || origins[report.FromApp] == 0 {
		t.Errorf("the fault does not show without a policy: %.3f failed, origins %v", failed, origins)
	}
	contained(t, mesh)
	if good, least := goodOf(sidecars.Runs[0].Requests, sidecars.Value("good")); good >= least {
		t.Errorf("without a policy %d of %d are good, which passes for 99.8 %%: the bound proves nothing", good, sidecars.Runs[0].Requests)
	}
	if then := sidecars.Value("goodThen"); then >= mesh.Value("goodThen") {
		t.Errorf("sidecars are as good as the mesh: %v after containment", then)
	}
	ejected := false
	for _, e := range mesh.Runs[0].Timeline {
		ejected = ejected || e.What == string(local.Ejected) && e.Who == "api-gateway-0"
	}
	if !ejected {
		t.Errorf("nothing was ejected: %+v", mesh.Runs[0].Timeline)
	}
	for name, run := range map[string]report.Run{"sidecars": sidecars.Runs[0], "mesh": mesh.Runs[0]} {
		if c := run.Cost; c.Proxies.Processes != 7 || c.Proxies.Cores <= 0 || c.Proxies.Memory < 10e6 || c.Services.Processes != 6 || c.Services.Cores <= 0 || c.ControlPlane.Processes != 1 || c.ControlPlane.Memory < 10e6 {
			t.Errorf("%s: cost %+v", name, c)
		}
		if run.Origins[report.Unknown] > 0 {
			t.Errorf("%s: origins of failures %v", name, run.Origins)
		}
		for _, hop := range run.Whole {
			// in flight at the ends, and what an upstream did not count: a
			// caller that goes away
			if hop.ProxyAttempts == 0 || math.Abs(hop.ProxyAttempts-hop.Received) > 5 {
				t.Errorf("%s: the two ends disagree: %+v", name, hop)
			}
		}
	}
}

// TestOlderRecords: those of another comparison are never overwritten.
func TestOlderRecords(t *testing.T) {
	o := options(t, 242)
	path := filepath.Join(o.Out, RecordsFile)
	if err := os.WriteFile(path, []byte("precious\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), o)
	if text, _ := os.ReadFile(path); err == nil || !strings.HasSuffix(err.Error(), "file exists: --out must be a directory without records") || string(text) != "precious\n" {
		t.Errorf("got %v, records %q", err, text)
	}
}

// TestStopped: a comparison that is ended leaves no records of the run that
// was interrupted, and no fleet.
func TestStopped(t *testing.T) {
	o := options(t, 241)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(0, cancel)
	err := Run(ctx, o)
	if want := "interrupted in none, bad-replica, seed 1: 0 of 2 runs are kept in " + o.Out + ": context canceled"; !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if text, err := os.ReadFile(filepath.Join(o.Out, RecordsFile)); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("records %q, %v: want the header only", text, err)
	}
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
		got, err := onTime(func(line string) { progress += line + "\n" }, "x", func() (*record.Run, error) {
			n++
			return run(test.lateness[n-1]), nil
		})
		if err != nil || got.Measurements != test.want || n != test.want || got.Lateness().TooLate() != test.late || progress != test.progress {
			t.Errorf("%s: %d measurements, record %d, late %v, %v\n%s", name, n, got.Measurements, got.Lateness(), err, progress)
		}
	}
	failure := errors.New("no fleet")
	if _, err := onTime(func(string) {}, "x", func() (*record.Run, error) { return nil, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// TestEventNames: the records' names are those of the fleet's events.
func TestEventNames(t *testing.T) {
	for name, kind := range map[string]local.EventKind{record.EventExited: local.Exited, record.EventEjected: local.Ejected, record.EventReturned: local.Returned} {
		if name != string(kind) {
			t.Errorf("got %s, want %s", name, kind)
		}
	}
}

// TestBusiest: the fault goes where the load went.
func TestBusiest(t *testing.T) {
	sample := func(pod string, reads, writes float64) record.Sample {
		return record.Sample{Pod: pod, Counts: []record.Count{{Name: record.CountServer, Of: "GET /driver/:vehicle", N: reads}, {Name: record.CountServer, Of: "POST /driver/:vehicle/:speed", N: writes}}}
	}
	pods := []local.Pod{{Name: "staff-service-0"}, {Name: "staff-service-1"}}
	for want, samples := range map[string][]record.Sample{
		"staff-service-0": {sample("staff-service-0", 0, 9), sample("staff-service-1", 0, 0)},
		"staff-service-1": {sample("staff-service-0", 1, 99), sample("staff-service-1", 0, 0), sample("staff-service-0", 1, 99), sample("staff-service-1", 30, 0)},
	} {
		r := &run{seen: record.Run{Samples: samples}}
		if got := r.busiest(pods); len(got) != 1 || got[0].Name != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
