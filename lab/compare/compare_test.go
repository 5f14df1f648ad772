package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/trial"
	"fleetman.example/lab/wants"
)

// shipped is one of the repository's experiments.
func shipped(t testing.TB, name string) *experiment.Experiment {
	t.Helper()
	e, err := experiment.Read(filepath.Join("../../experiments", name+".yaml"), report.Figures())
	require.NoError(t, err)
	return e
}

// decode returns the experiment of a text. Beside it, fleet.yaml has the manifests of
// stand-ins in a row, each of which calls the next one.
func decode(t testing.TB, text string, standIns ...string) *experiment.Experiment {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", standInFleet(standIns...))
	e, err := experiment.Decode(filepath.Join(dir, "x.yaml"), []byte(text), report.Figures())
	require.NoError(t, err)
	return e
}

// testdata returns the text of a file of testdata.
func testdata(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(text)
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

// options are those of a comparison that runs beside others. A load that is late is
// not measured again: the machine is busy with the other fleets.
func options(t testing.TB) Options {
	t.Helper()
	return Options{
		Command: "fleetman compare x", Root: "../..", Out: t.TempDir(), Environ: os.Environ(),
		Progress: func(line string) { t.Log(line) }, Measurements: 1,
		Network: nettest.Network(t),
	}
}

// short is a short form of a published experiment, with some of its arms and
// faults.
func short(t testing.TB, name, arms, faults string, lasts experiment.Phases) Options {
	t.Helper()
	o := options(t)
	o.Experiment, o.Bin = shipped(t, name), services(t)
	o.Experiment.Phases = lasts
	selectFrom(t, o.Experiment, arms, faults)
	return o
}

// services returns the directory of the repository's.
func services(t testing.TB) string {
	t.Helper()
	bin, err := build()
	require.NoError(t, err)
	return bin
}

// build builds the services once for all tests.
var build = sync.OnceValues(func() (bin string, err error) {
	paths, err := filepath.Glob("../../services/*/go.mod")
	if err != nil {
		return "", err
	}
	for i := range paths {
		paths[i] = filepath.Base(filepath.Dir(paths[i]))
	}
	return local.Build(context.Background(), "../..", paths, func(string) {})
})

func phases(healthy, fault, after time.Duration) experiment.Phases {
	return experiment.Phases{Healthy: experiment.Duration(healthy), Fault: experiment.Duration(fault), After: experiment.Duration(after)}
}

func selectFrom(t testing.TB, e *experiment.Experiment, arms, faults string) {
	t.Helper()
	names := func(text string) []string { return strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) }
	require.NoError(t, e.Select(names(arms), names(faults)))
}

func comparison(t testing.TB, o Options) *Comparison {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	return c
}

func run(t testing.TB, o Options) {
	t.Helper()
	require.NoError(t, comparison(t, o).Run(t.Context()))
}

// records are those in a directory.
func records(t testing.TB, dir string) *record.Comparison {
	t.Helper()
	read, err := record.ReadDir(dir)
	require.NoError(t, err)
	return read
}

// reportOf is the report of a comparison.
func reportOf(t testing.TB, dir string) report.Report {
	t.Helper()
	r, err := report.Compute(records(t, dir))
	require.NoError(t, err)
	report.Text(t.Output(), r)
	return r
}

// reported is the only fault of a comparison.
func reported(t testing.TB, dir string) report.Fault {
	t.Helper()
	computed := reportOf(t, dir)
	require.Len(t, computed.Groups, 1)
	require.Len(t, computed.Groups[0].Faults, 1)
	return computed.Groups[0].Faults[0]
}

// ofMesh matches the names of published arms with a mesh.
var ofMesh = regexp.MustCompile(`mesh|sidecars|both|twice|^mine|^ingress$|^before$|^ejection$`)

// TestShipped: the manifests of every published experiment have what it names, and
// its first line is its question.
func TestShipped(t *testing.T) { // not beside the fleets: kustomize may take 30 s, and is slow with the race detector
	paths, err := filepath.Glob("../../experiments/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 5, "experiments")
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			e := shipped(t, strings.TrimSuffix(filepath.Base(path), ".yaml"))
			assert.Regexp(t, "^# "+regexp.QuoteMeta(e.Question)+"\n", string(e.Text), "first line")
			assert.Regexp(t, `\?$`, e.Question, "question")
			assert.NotEmpty(t, e.Seeds, "seeds")
			c := comparison(t, Options{Experiment: e, Root: "../..", Out: t.TempDir()})
			for _, p := range c.plans { // the manifests say which arms have a mesh
				assert.Equal(t, ofMesh.MatchString(p.arm.Of), p.mesh, p.arm.Name+": mesh")
			}
		})
	}
}

// TestExample: the README's experiment is the published one, but for comments and
// the name of the rule's file.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(text), "```yaml\n")
	for i, path := range []string{"telemetry-ejection/istio.yaml", "telemetry-ejection.yaml"} {
		published, err := os.ReadFile(filepath.Join("../../experiments", path))
		require.NoError(t, err)
		block, _, _ := strings.Cut(blocks[i+1], "```")
		block = strings.ReplaceAll(block, ", telemetry.yaml]", ", telemetry-ejection/istio.yaml]")
		var got, want any
		require.NoError(t, errors.Join(yaml.Unmarshal([]byte(block), &got), yaml.Unmarshal(published, &want)))
		assert.Equal(t, want, got, path)
		assert.Equal(t, strings.SplitN(string(published), "\n", 2)[0], strings.SplitN(block, "\n", 2)[0], path+", first line")
	}
}

// TestPlans: every arm meets every fault once for each seed, in an order that the
// seed draws.
func TestPlans(t *testing.T) {
	e := decode(t, `# q?
arms: [{name: a, manifests: x}, {name: b, manifests: x}, {name: c, manifests: x}, {name: d, manifests: x}]
faults: [{name: f, inject: [{service: s, rules: reset}]}, {name: g, inject: [{service: s, rules: "rate=${p}"}]}]
sweep: [{name: p, values: [0.1, 0.2]}]
phases: {healthy: 1s, fault: 10s, after: 2s}
seeds: [7, 8]
repeats: 2
`)
	order := func() (orders []string) {
		plans := Options{Experiment: e}.plans()
		for block := range slices.Chunk(plans, 4) {
			names := ""
			for _, p := range block {
				assert.Equal(t, []any{block[0].fault.Name, block[0].seed, 13 * time.Second}, []any{p.fault.Name, p.seed, p.lasts()}, "fault, seed and length in a block")
				names += p.arm.Name
			}
			orders = append(orders, names)
		}
		return orders
	}
	orders := order()
	assert.Len(t, orders, 12)
	assert.Equal(t, orders, order(), "the same again")
	different := map[string]bool{}
	for _, names := range orders {
		different[names] = true
		assert.ElementsMatch(t, []rune("abcd"), []rune(names), "arms")
	}
	assert.GreaterOrEqual(t, len(different), 4, "orders that the seed draws: %q", orders)
}

// TestSeventhService: an experiment on a fleet that this repository does not have,
// with a victim of another name. The record has its hops and its entry.
func TestSeventhService(t *testing.T) {
	t.Parallel()
	trial.Run(t, func(t *trial.T) {
		o := standIns(t, testdata(t, "seventh-service.yaml"), "front", "middle", "seventh")
		run(t, o)
		comparison := records(t, o.Out)
		bad, hang, gone := comparison.Runs[0], comparison.Runs[1], comparison.Runs[2]
		var hops []string
		for _, hop := range bad.Hops {
			hops = append(hops, hop.Name())
		}
		assert.ElementsMatch(t, []string{"front>middle", "middle>seventh"}, hops, "hops")
		assert.Equal(t, "front", bad.Entry, "entry")
		assert.Len(t, bad.Pods, 1, "pods with the fault")
		assert.Equal(t, 2, bad.Replicas, "replicas")
		failedAfter(t, bad)
		failed := 0
		for _, r := range bad.Requests {
			during := r.Intended >= bad.FaultAt && r.Intended < bad.RepairAt
			if r.Failed() && during {
				failed++
			}
		}
		assert.InDelta(t, 50, failed, 30, "failed, of 100, half of which go to the bad replica")
		set := slices.IndexFunc(hang.Events, func(e record.Event) bool { return e.What == record.EventFaultSet })
		for _, r := range hang.Requests { // the connection is accepted, and never answered
			if during := r.Start > hang.Events[set].At && r.Start < hang.RepairAt-record.Offset(time.Second); during && (!r.Failed() || r.End-r.Start < record.Offset(time.Second)) {
				t.Errorf("answered through a connection that hangs: %+v", r)
				break
			}
		}
		exited := 0
		for _, e := range gone.Events {
			if e.What == record.EventExited && strings.HasPrefix(e.Who, "seventh-") {
				exited++
			}
		}
		assert.Equal(t, 2, exited, "exited: %+v", gone.Events)
		assert.ElementsMatch(t, []string{"seventh-0", "seventh-1", "middle-0"}, gone.Pods, "pods that were killed or stopped")
		computed := reportOf(t, o.Out)
		assert.Equal(t, report.ExitMissed, computed.ExitCode(), "exit code: %+v", computed.Goals)
	})
}

// TestComparison is a short one with the real services, in processes and with real
// proxies: one of two replicas is bad. These two fleets have the machine for
// themselves.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of load")
	}
	for name, compares := range map[string]func(*trial.T){"library": comparesLibrary, "mesh": comparesMesh} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial.Run(t, compares)
		})
	}
}

// comparesLibrary: without resilience the bad replica shows, and the library
// contains it.
func comparesLibrary(t *trial.T) {
	o := short(t, "comparison", "none,library", "bad-replica", phases(2*time.Second, 8*time.Second, 200*time.Millisecond))
	o.Experiment.Load.Rate = 20
	run(t, o)
	computed := reported(t, o.Out)
	none, library := armOf(t, computed, "none"), armOf(t, computed, "library")
	assert.Positive(t, none.Value("failed"), "without resilience the fault must show, or the comparison proves nothing")
	contained(t, library)
	assert.LessOrEqual(t, library.Value("gap"), 1.0+1.5, "seconds that a vehicle stood still: an attempt's time-out, and what it leaves between two reports itself")
	assert.True(t, slices.ContainsFunc(library.Runs[0].Timeline, func(e report.Event) bool { return e.What == "breaker open" }), "no breaker opened: %+v", library.Runs[0].Timeline)
	for _, arm := range []report.Arm{none, library} {
		run := arm.Runs[0]
		assert.Positive(t, run.Met.Requests, "%s: requests that met the fault: %+v", arm.Name, run.Met)
		assert.Equal(t, 160, run.Requests, arm.Name+", requests")
		assert.InDelta(t, 1, arm.Value("good")+arm.Value("degraded")+arm.Value("failed"), 1e-5, arm.Name+", outcomes")
		for _, hop := range run.Whole {
			assert.Positive(t, hop.Requests, "%s: %+v", arm.Name, hop)
			assert.InDelta(t, hop.Attempts, hop.Received, 5, "%s: but for reports in flight at the ends, both ends must agree: %+v", arm.Name, hop)
		}
	}
}

func armOf(t testing.TB, f report.Fault, name string) report.Arm {
	t.Helper()
	i := slices.IndexFunc(f.Arms, func(a report.Arm) bool { return a.Name == name })
	require.NotEqual(t, -1, i, "no arm "+name)
	return f.Arms[i]
}

// TestMissingBinaries: they are looked for once, before any run, and only for an
// arm with a mesh; no records are begun without them.
func TestMissingBinaries(t *testing.T) {
	t.Parallel()
	calls := 0
	o := short(t, "comparison", "none,mesh", "bad-replica", phases(0, time.Second, 0))
	o.Binaries = func(context.Context) (binaries.Set, error) {
		calls++
		return binaries.Set{}, errors.New("envoy is missing: make mesh-parts")
	}
	assert.EqualError(t, comparison(t, o).Run(t.Context()), "envoy is missing: make mesh-parts")
	assert.Equal(t, 1, calls, "calls")
	assert.NoFileExists(t, filepath.Join(o.Out, record.FileName))
	selectFrom(t, o.Experiment, "none", "bad-replica")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, comparison(t, o).Run(ctx), context.Canceled, "without a mesh")
	assert.Equal(t, 1, calls, "calls, without a mesh")
}

// long skips the test if only short ones run, and runs it beside others.
func long(t *testing.T, takes string) {
	t.Helper()
	if testing.Short() {
		t.Skip(takes)
	}
	t.Parallel()
}

// withMesh adds the real binaries of a mesh, or skips the test.
func withMesh(t testing.TB, o Options) Options {
	t.Helper()
	found := meshtest.Binaries(t)
	o.Binaries = func(context.Context) (binaries.Set, error) { return found, nil }
	return o
}

// contained fails unless the answers after containment are those of an arm of
// which 99.8 % are good, at a confidence of 0.9999.
func contained(t testing.TB, arm report.Arm) {
	t.Helper()
	then := arm.Figures["goodThen"]
	require.NotNil(t, then.Value, arm.Name+": not contained")
	good, least := goodOf(then.N, *then.Value)
	assert.GreaterOrEqual(t, good, least, "%s: good after containment, of %d", arm.Name, then.N)
}

// goodOf is how many of all are good, and how few may be where 99.8 % are.
func goodOf(all int, share float64) (good, least int) {
	promised := .998
	least, _ = scenario.Count{ShareAtLeast: &promised, Confidence: .9999}.Range(all)
	return int(math.Round(share * float64(all))), least
}

// comparesMesh: without a policy the bad replica shows, and the policies eject it.
func comparesMesh(t *trial.T) {
	o := withMesh(t, short(t, "comparison", "sidecars,mesh", "bad-replica", phases(2*time.Second, 8*time.Second, 200*time.Millisecond)))
	o.Experiment.Load.Rate = 20
	run(t, o)
	computed := reported(t, o.Out)
	sidecars, mesh := armOf(t, computed, "sidecars"), armOf(t, computed, "mesh")
	assert.Positive(t, sidecars.Runs[0].Origins[report.FromApp], "without a policy the fault must show: origins %v", sidecars.Runs[0].Origins)
	contained(t, mesh)
	good, least := goodOf(sidecars.Runs[0].Requests, sidecars.Value("good"))
	assert.Less(t, good, least, "good without a policy: must not pass for 99.8 %, or the bound proves nothing")
	assert.True(t, slices.ContainsFunc(mesh.Runs[0].Timeline, func(e report.Event) bool { return e.What == record.EventEjected && e.Who == "api-gateway-0" }), "nothing was ejected: %+v", mesh.Runs[0].Timeline)
	assert.NotContains(t, strings.Join(computed.Notes, "\n"), "changes no proxy", "notes")
	for _, arm := range []report.Arm{sidecars, mesh} {
		run := arm.Runs[0]
		c := run.Cost
		assert.Equal(t, []int{7, 6, 1}, []int{c.Proxies.Processes, c.Services.Processes, c.ControlPlane.Processes}, arm.Name+", proxies, services, istiods")
		assert.Positive(t, min(c.Proxies.Cores, c.Services.Cores), "%s: cost %+v", arm.Name, c)
		assert.Greater(t, min(c.Proxies.Memory, c.ControlPlane.Memory), 10e6, "%s: cost %+v", arm.Name, c)
		assert.Zero(t, run.Origins[report.Unknown], "%s: origins of failures %v", arm.Name, run.Origins)
		for _, hop := range run.Whole {
			// in flight at the ends, and what an upstream did not count: a
			// caller that goes away
			assert.Positive(t, hop.ProxyAttempts, "%s: %+v", arm.Name, hop)
			assert.InDelta(t, hop.ProxyAttempts, hop.Received, 5, "%s: both ends must agree: %+v", arm.Name, hop)
		}
	}
}

// TestMeshNotes: an object that changes no proxy is printed once for its arm, and
// is in the record of every run. The load's requests, which a service sends through
// its proxy, are the first hop: its proxy and its target count as many.
func TestMeshNotes(t *testing.T) {
	t.Parallel()
	o := withMesh(t, standIns(t, testdata(t, "mesh-notes.yaml"), "front", "seventh"))
	write(t, filepath.Dir(o.Experiment.Source), "rule.yaml", testdata(t, "idle-rule.yaml"))
	var lines []string
	o.Progress = func(line string) { lines = append(lines, line) }
	run(t, o)
	has := func(text string) bool { return strings.HasSuffix(text, "(istioctl analyze, IST0174)") }
	printed := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !has(line) || !strings.HasPrefix(line, "mine: ") })
	assert.Len(t, printed, 1, "printed: %q", lines)
	for _, r := range records(t, o.Out).Runs {
		assert.True(t, slices.ContainsFunc(r.Notes, has), "%s: notes %q", r.Name(), r.Notes)
		n := float64(len(r.Requests))
		assert.NotZero(t, n, r.Name()+", requests")
		hop, _ := r.Watched()
		assert.Equal(t, "front>seventh", hop.Name(), r.Name()+", watched")
		assert.Equal(t, record.HopCounts{Requests: n, Attempts: n, ProxyAttempts: n, Received: n}, r.Counters().Hop(hop, 0, r.Counters().Last()), r.Name()+", counts")
	}
}

// TestRefusedByIstio: all arms are validated before the first run.
func TestRefusedByIstio(t *testing.T) {
	t.Parallel()
	o := withMesh(t, standIns(t, testdata(t, "refused-by-istio.yaml"), "front"))
	const rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: fleetman-front}\n"
	write(t, filepath.Dir(o.Experiment.Source), "rule.yaml", rule)
	err := comparison(t, o).Run(t.Context())
	assert.ErrorAs(t, err, new(experiment.Problems))
	wants.Error(t, "an object that Istio refuses", err, o.Experiment.Source+`:4: arms[1]: bad: …refused by Istio: …"outliers"…`)
	assert.NoFileExists(t, filepath.Join(o.Out, record.FileName))
}

// TestRefusedByPrograms: values that the fleet's programs refuse are mistakes of the experiment, those of all arms before
// the first run.
func TestRefusedByPrograms(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Bin, o.Experiment = services(t), decode(t, testdata(t, "refused-by-programs.yaml"))
	o.Experiment.Source = "x.yaml"
	err := comparison(t, o).Run(t.Context())
	assert.ErrorAs(t, err, new(experiment.Problems))
	assert.EqualError(t, err, `x.yaml:6: arms[0].env.all.RETRY_ATTEMPTS: "x": must be a whole number from 0 to 10
x.yaml:8: arms[0].env.staff-service.RESILIENCE: "lib": must be one of off, library
x.yaml:13: arms[2].env.webapp.DRAIN_TIMEOUT: "4": must be a duration from 0s to 1h, such as 1m5s
x.yaml:13: arms[2].env.webapp.DRAIN_TIMEOUT: "5": must be a duration from 0s to 1h, such as 1m5s`)
	assert.NoFileExists(t, filepath.Join(o.Out, record.FileName))
}

// TestTaken: beside another fleet on its addresses, a comparison names them before
// anything is built or written.
func TestTaken(t *testing.T) {
	t.Parallel()
	o := standIns(t, "# q?\narms: [{name: a, manifests: fleet.yaml}]\nload: {target: front, streams: [{path: /}]}\nseeds: [1]\n", "front")
	claim, err := net.Listen("tcp", netip.AddrPortFrom(o.Network.Addr(), 65535).String()) // as a fleet does
	require.NoError(t, err)
	defer claim.Close()
	assert.EqualError(t, comparison(t, o).Run(t.Context()), fmt.Sprintf("--network %v: %v is another fleet's: must be a network that is free; fleetman down ends a fleet", o.Network, o.Network.Addr()))
	assert.NoFileExists(t, filepath.Join(o.Out, record.FileName))
}
