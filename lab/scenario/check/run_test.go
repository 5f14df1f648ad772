package check

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/wants"
)

//go:embed testdata/scenarios/one/lesson/expect.yaml
var promiseYAML string

// calledOnce is an expectation of received calls, which makes a check wait a second for late ones.
const calledOnce = `          - received: {by: [staff-service]}
            count: all
`

// scenarios makes a copy of testdata/scenarios in which the scenario one/lesson has other promises.
func scenarios(t *testing.T, promises string) (root string, found []Scenario) {
	t.Helper()
	root = t.TempDir()
	require.NoError(t, os.CopyFS(root, os.DirFS("testdata/scenarios")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "one", "lesson", "expect.yaml"), []byte(promises), 0o644))
	found, err := Find(root, filepath.Join(root, "one"))
	require.NoError(t, err)
	return root, found
}

// fleet is a target whose responses come from a handler.
type fleet struct {
	*httptest.Server
	objects *manifest.Objects
	place   int
	broken  error

	proxies   []Proxy
	noProxies error // of Proxies

	mu     sync.Mutex
	calls  map[string][]Call
	faults []string
	ended  bool
}

func (f *fleet) Route(_ context.Context, r *scenario.Requests) (Route, error) {
	if r.Path == "/nowhere" {
		return Route{}, errors.New("no way there")
	}
	return Route{Host: "fleet", Dial: func(ctx context.Context, _ int) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", f.Listener.Addr().String())
	}}, nil
}

func (f *fleet) Received(_ context.Context, check string) ([]Call, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[check], nil
}

func (f *fleet) Proxies(context.Context) ([]Proxy, error) { return f.proxies, f.noProxies }

func (f *fleet) SetFaults(_ context.Context, deployment, rules string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, deployment+" "+rules)
	if rules == "nonsense" {
		return errors.New("rule 1: nonsense")
	}
	return nil
}

func (f *fleet) Kill(_ context.Context, deployment string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, deployment+" killed")
	return f.broken
}

func (f *fleet) Err(context.Context) error { return f.broken }
func (f *fleet) Stop() {
	f.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
}

// fleets starts fleets and records them.
type fleets struct {
	mu      sync.Mutex
	started []*fleet
	// status returns the status of the responses of a fleet with the given objects.
	status func(*manifest.Objects) int
	broken error
	err    error
	// proxies returns the proxies of a fleet with the given objects. Nil means none.
	proxies   func(*manifest.Objects) []Proxy
	noProxies error
}

func (all *fleets) start(_ context.Context, place int, objects *manifest.Objects) (Target, error) {
	if all.err != nil {
		return nil, all.err
	}
	f := &fleet{objects: objects, broken: all.broken, calls: map[string][]Call{}, noProxies: all.noProxies}
	if all.proxies != nil {
		f.proxies = all.proxies(objects)
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls[r.Header.Get(Header)] = append(f.calls[r.Header.Get(Header)], Call{Deployment: "staff-service", Method: r.Method, Path: r.URL.Path})
		w.WriteHeader(all.status(objects))
	}))
	f.place = place
	all.mu.Lock()
	defer all.mu.Unlock()
	all.started = append(all.started, f)
	return f, nil
}

func has(objects *manifest.Objects, ref string) bool {
	return slices.ContainsFunc(objects.All, func(object manifest.Object) bool { return object.Ref() == ref })
}

func variable(objects *manifest.Objects, name string) string {
	for _, d := range manifest.Of[*appsv1.Deployment](objects) {
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if e.Name == name {
				return e.Value
			}
		}
	}
	return ""
}

// only200With returns 200 when the fleet has the object, else 500.
func only200With(ref string) func(*manifest.Objects) int {
	return func(objects *manifest.Objects) int {
		if has(objects, ref) {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	}
}

// runText runs the only promise of an expect.yaml.
func runText(t *testing.T, all *fleets, promises string) Result {
	t.Helper()
	root, found := scenarios(t, promises)
	return run(t, all, root, found)
}

// lines returns what the command writes of a result.
func lines(t *testing.T, result Result) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, WriteLine(&out, result))
	return out.String()
}

func run(t *testing.T, all *fleets, root string, found []Scenario) Result {
	t.Helper()
	var done []Result
	results, err := Runner{Start: all.start, Scenarios: root, Seed: 7, Done: func(r Result) { done = append(done, r) }}.Run(t.Context(), found)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{len(results), len(done)}, "results, and calls of Done")
	for _, f := range all.started {
		assert.True(t, f.ended, "a fleet was stopped")
	}
	return results[0]
}

func TestAPromiseThatHoldsAndCanBeBroken(t *testing.T) {
	root, found := scenarios(t, strings.Replace(promiseYAML, "    control:", calledOnce+"    control:", 1))
	require.Len(t, found, 1, "scenarios")
	assert.Equal(t, "one/lesson", found[0].Name)
	all := &fleets{status: only200With("VirtualService fleetman-staff-service")}
	result := run(t, all, root, found)
	assert.True(t, result.OK() && result.Holds && result.Control.Broken, "%+v, %+v", result, result.Control)
	assert.Equal(t, "without VirtualService fleetman-staff-service", result.Control.Change)
	require.Len(t, all.started, 2, "fleets")
	for _, f := range all.started {
		assert.Equal(t, "1", variable(f.objects, "A"), "given")
	}
	assert.True(t, has(all.started[1].objects, "DestinationRule fleetman-staff-service"), "the control keeps other objects")
	assert.Empty(t, variable(found[0].Objects, "A"), "given, in the scenario itself")
	assert.NotEmpty(t, variable(all.started[1].objects, "FAULTS_SEED"), "FAULTS_SEED")
	assert.Equal(t, []any{uint64(7), 2}, []any{result.Seed, len(result.Checks[0].Findings)}, "seed and findings")
}

// TestControlEnds checks that a control sends no more requests when those so far decide that the check cannot hold,
// and that the promise's own fleet gets all.
func TestControlEnds(t *testing.T) {
	all := &fleets{status: only200With("VirtualService fleetman-staff-service")}
	result := runText(t, all, strings.NewReplacer("count: 3}", "count: 1000}", "count: all", "count: {shareAtLeast: 0.9, confidence: 0.99}").Replace(promiseYAML))
	var sent [2]int
	for i, f := range all.started {
		for _, calls := range f.calls {
			sent[i] += len(calls)
		}
	}
	// more than 100 of 1000 must fail, and chance may have a part in some more
	assert.True(t, result.OK() && sent[0] == 1000 && sent[1] >= 101 && sent[1] <= 200, "%+v; sent %v", result, sent)
	saw := result.Control.Checks[0].Findings[0].Saw
	assert.Equal(t, fmt.Sprintf("0 of 1000 requests; %d not sent, as the first ones decide; others: %d× 500", 1000-sent[1], sent[1]), saw, "saw")
}

// TestAgain checks that a promise that failed is checked again, and that one that always fails is given up.
func TestAgain(t *testing.T) {
	root, found := scenarios(t, promiseYAML)
	for name, test := range map[string]struct{ fails, starts, again int }{
		"never fails":  {0, 2, 0}, // with its control
		"fails once":   {1, 3, 1},
		"fails twice":  {2, 4, 2},
		"always fails": {9, 3, 2},
	} {
		starts, lines := 0, 0
		all := &fleets{}
		all.status = func(objects *manifest.Objects) int {
			if !has(objects, "VirtualService fleetman-staff-service") || starts <= test.fails {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		}
		start := func(ctx context.Context, place int, objects *manifest.Objects) (Target, error) {
			starts++
			return all.start(ctx, place, objects)
		}
		results, err := Runner{Start: start, Scenarios: root, Again: 2, Done: func(Result) { lines++ }}.Run(t.Context(), found)
		require.NoError(t, err)
		require.Len(t, results, 1, name)
		assert.Equal(t, test.fails <= 2, results[0].OK(), "%s: %+v", name, results[0])
		assert.Equal(t, []int{test.again, test.starts, 1 + test.again}, []int{results[0].Again, starts, lines}, "%s: repetitions, fleets and results", name)
	}
}

func TestWhatMakesAPromiseFail(t *testing.T) {
	always := func(*manifest.Objects) int { return http.StatusOK }
	const expect = "        expect:"
	tests := []struct {
		name             string
		fleets           fleets
		old, replacement string // in the file
		want             string // in the output
		starts           int
	}{
		{"it does not hold", fleets{status: func(*manifest.Objects) int { return 503 }}, "", "", "expected 3 responses with status 200; saw 0 of 3 requests; others: 3× 503", 1},
		{"its control holds too", fleets{status: always}, "", "", "3× GET /driver/x from node port 32000: holds without VirtualService fleetman-staff-service, too, so it proves nothing", 2},
		{"invalid observations", fleets{status: always, broken: errors.New("a proxy rejected an update")}, "", "", "the observations are invalid: a proxy rejected an update", 1},
		{"no fleet", fleets{err: errors.New("port in use")}, "", "", "start the fleet: port in use", 0},
		{"no way in", fleets{status: always}, "/driver/x", "/nowhere", "check 1, 3× GET /nowhere from node port 32000: no way there", 1},
		{"faults that are refused", fleets{status: always}, expect, "        actions: [{after: 0s, workload: staff-service, faults: nonsense}]\n" + expect, `set the faults of staff-service to "nonsense": rule 1: nonsense`, 1},
		{"pods that cannot be killed", fleets{status: always, broken: errors.New("no pods")}, expect, "        actions: [{after: 0s, workload: staff-service, kill: true}]\n" + expect, "kill the pods of staff-service: no pods", 1},
		{"a control that cannot be run", fleets{status: always}, "{without: [VirtualService fleetman-staff-service]}", "{scenario: nowhere}", "run the control, in the scenario nowhere: ", 1},
	}
	for i := range tests {
		test := &tests[i]
		t.Run(test.name, func(t *testing.T) {
			result := runText(t, &test.fleets, strings.Replace(promiseYAML, test.old, test.replacement, 1))
			out := lines(t, result)
			assert.False(t, result.OK(), out)
			wants.Text(t, "the first line", strings.SplitAfter(out, "\n")[0], "FAIL one/lesson: everyone gets an answer (…\n")
			assert.Contains(t, out, test.want)
			assert.Equal(t, test.starts, len(test.fleets.started), "fleets started")
		})
	}
}

func TestControlsOfOtherKinds(t *testing.T) {
	injected := func(objects *manifest.Objects) bool {
		return slices.ContainsFunc(manifest.Of[*corev1.Namespace](objects), func(n *corev1.Namespace) bool { return n.Labels["istio-injection"] == "enabled" })
	}
	tests := []struct {
		control string
		good    func(*manifest.Objects) bool
		check   func(*manifest.Objects) bool // of the control's objects
	}{
		{"{without: [rules]}", func(o *manifest.Objects) bool { return has(o, "DestinationRule fleetman-staff-service") }, func(o *manifest.Objects) bool {
			return injected(o) && !has(o, "VirtualService fleetman-staff-service") && o.NeedsMesh()
		}},
		{"{with: other.yaml}", func(o *manifest.Objects) bool { return !has(o, "PeerAuthentication default") }, func(o *manifest.Objects) bool {
			return has(o, "PeerAuthentication default") && has(o, "VirtualService fleetman-staff-service") && len(o.All) == 6
		}},
		{"{without: [sidecars]}", injected, func(o *manifest.Objects) bool {
			return !o.NeedsMesh() && has(o, "Deployment staff-service")
		}},
		{`{set: ["staff-service:VARIANT=bad"]}`, func(o *manifest.Objects) bool { return variable(o, "VARIANT") == "standard" }, func(o *manifest.Objects) bool {
			return variable(o, "VARIANT") == "bad" && has(o, "VirtualService fleetman-staff-service")
		}},
		{"{scenario: one/plain}", func(o *manifest.Objects) bool { return has(o, "VirtualService fleetman-staff-service") }, func(o *manifest.Objects) bool {
			return variable(o, "A") == "1" && !has(o, "VirtualService fleetman-staff-service")
		}},
	}
	for _, test := range tests {
		t.Run(test.control, func(t *testing.T) {
			all := &fleets{status: func(o *manifest.Objects) int {
				if test.good(o) {
					return http.StatusOK
				}
				return http.StatusBadGateway
			}}
			result := runText(t, all, strings.Replace(promiseYAML, "{without: [VirtualService fleetman-staff-service]}", test.control, 1))
			assert.True(t, result.OK(), "%+v", result)
			require.Len(t, all.started, 2, "fleets")
			assert.True(t, test.check(all.started[1].objects), "the control's objects")
			// the JSON, which the launcher reads, has the same content
			for _, object := range all.started[1].objects.All {
				if object.Typed != nil && !json.Valid(object.JSON) {
					t.Errorf("%s: %s", object.Ref(), object.JSON)
				}
			}
		})
	}
}

//go:embed testdata/guards.yaml
var twoChecksYAML string

// The proxies of an expectation are those of its own fleet; an error in reading them is one of the promise.
func TestProxies(t *testing.T) {
	const promise = `
promises:
  - promise: staff-service is under next
    checks:
      - requests: {from: nodePort:32000, path: /, count: 1}
        expect: [{proxies: {of: [staff-service], revision: next}, count: all}]
    control: {without: [VirtualService fleetman-staff-service]}
`
	for _, test := range []struct {
		failure error
		want    string
	}{
		{nil, ""},
		{errors.New("istiod: refused"), "check 1, 1× GET / from node port 32000: read the proxies' control planes: istiod: refused"},
	} {
		all := &fleets{status: func(*manifest.Objects) int { return 200 }, noProxies: test.failure, proxies: func(objects *manifest.Objects) []Proxy {
			if has(objects, "VirtualService fleetman-staff-service") {
				return []Proxy{{"staff-service", "next"}}
			}
			return []Proxy{{"staff-service", "default"}}
		}}
		result := runText(t, all, promise)
		assert.Equal(t, test.want, result.Error)
		assert.Equal(t, test.want == "", result.OK(), "%+v, control %+v", result, result.Control)
	}
}

// With the control every check must fail, including those after a failed one, except guards.
func TestGuards(t *testing.T) {
	for guard, ok := range map[string]bool{"guard: false": false, "guard: true": true} {
		result := runText(t, &fleets{status: only200With("VirtualService fleetman-staff-service")}, strings.Replace(twoChecksYAML, "guard: false", guard, 1))
		assert.Equal(t, ok, result.OK(), "%q: %+v", guard, result)
		assert.Len(t, result.Control.Checks, 2, "checks with the control")
		for _, line := range []string{"/b from node port 32000: holds without VirtualService fleetman-staff-service, too", "--seed 7 --run '^one/lesson: the rule decides$'"} {
			assert.Equal(t, !ok, strings.Contains(lines(t, result), line), "%q: %s", guard, line)
		}
	}
}

// Fleets that run at the same time have different places, and results have the order of the promises.
func TestJobs(t *testing.T) {
	text := "promises:\n"
	for i := range 6 { // the last takes longest, and so comes first
		text += strings.Replace(strings.TrimPrefix(promiseYAML, "promises:\n"), "everyone gets an answer", fmt.Sprint("promise ", i), 1)
		text = strings.Replace(text, "path: /driver/x, count: 3}", fmt.Sprintf("path: /driver/x, count: 3, rate: %d}", 100-10*i), 1)
	}
	root, found := scenarios(t, text)
	running := map[int]int{}
	all := &fleets{status: only200With("VirtualService fleetman-staff-service")}
	results, err := Runner{Jobs: 3, Seed: 1, Scenarios: root, Start: func(ctx context.Context, place int, objects *manifest.Objects) (Target, error) {
		target, err := all.start(ctx, place, objects)
		all.mu.Lock()
		defer all.mu.Unlock()
		if running[place]++; running[place] > 1 {
			t.Errorf("two fleets at once in place %d", place)
		}
		return placed{target, func() { all.mu.Lock(); running[place]--; all.mu.Unlock() }}, err
	}}.Run(t.Context(), found)
	require.NoError(t, err)
	require.Equal(t, []int{6, 3}, []int{len(results), len(running)}, "results and places")
	for i, result := range results {
		assert.Equal(t, fmt.Sprint("promise ", i), result.Promise)
		assert.True(t, result.OK(), "%+v", result)
	}
}

// placed is a target that reports its end.
type placed struct {
	Target
	ended func()
}

func (p placed) Stop() { p.Target.Stop(); p.ended() }

func TestSeeds(t *testing.T) {
	_, found := scenarios(t, promiseYAML)
	objects := found[0].Objects
	env := func(seed uint64, name string) string { return variable(withSeed(objects, seed), name) }
	assert.NotEmpty(t, env(1, "FAULTS_SEED"), "seed")
	assert.Equal(t, env(1, "FAULTS_SEED"), env(1, "FAULTS_SEED"), "seed of the same number")
	assert.NotEqual(t, env(1, "FAULTS_SEED"), env(2, "FAULTS_SEED"), "seed of another number")
	objects, err := withSettings(objects, []scenario.Setting{{Target: "staff-service", Name: "SEED", Value: "5"}}, false)
	require.NoError(t, err)
	assert.Equal(t, "5", env(1, "SEED"), "the manifest's own seed")
}

func TestActionsHappenInTheirOrderWhileRequestsRun(t *testing.T) {
	root, found := scenarios(t, strings.Replace(promiseYAML, `path: /driver/x, count: 3}
        expect:`, `path: /driver/x, count: 60, rate: 200}
        actions:
          - {after: 100ms, workload: staff-service, faults: none}
          - {after: 50ms, workload: staff-service, kill: true}
          - {after: 0s, workload: staff-service, faults: "status=502,rate=1"}
        expect:
          - recovers: {good: {status: [200]}, within: 5s, run: 5}
          - answers: {status: [502]}
            count: {atLeast: 1}`, 1))
	check := &found[0].File.Promises[0].Checks[0]
	check.Expect = check.Expect[:2] // without the third expectation all hold
	var all *fleets
	all = &fleets{status: func(o *manifest.Objects) int {
		f := all.started[len(all.started)-1]
		if len(f.faults) < 3 || !has(o, "VirtualService fleetman-staff-service") {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}}
	result := run(t, all, root, found)
	assert.True(t, result.OK(), lines(t, result))
	assert.Equal(t, []string{"staff-service status=502,rate=1", "staff-service killed", "staff-service none"}, all.started[0].faults, "faults")
}

// TestInterrupted checks that no promise is begun after Ctrl-C.
func TestInterrupted(t *testing.T) {
	root, found := scenarios(t, promiseYAML)
	ctx, stop := context.WithCancel(t.Context())
	var begun []string
	results, err := Runner{Scenarios: root, Seed: 1, Progress: func(line string) { begun = append(begun, line) }, Start: func(ctx context.Context, _ int, _ *manifest.Objects) (Target, error) {
		stop()
		return nil, ctx.Err()
	}}.Run(ctx, slices.Repeat(found, 3))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, results, "results")
	assert.Len(t, begun, 2, "the seed, and one promise")
}

func TestOnlyAndNoControl(t *testing.T) {
	root, found := scenarios(t, promiseYAML)
	all := &fleets{status: func(*manifest.Objects) int { return http.StatusOK }}
	results, err := Runner{Start: all.start, Scenarios: root, NoControl: true, Only: regexp.MustCompile("^one/lesson: every")}.Run(t.Context(), found)
	require.NoError(t, err)
	require.Len(t, results, 1, "results")
	assert.True(t, results[0].OK() && results[0].Control == nil && len(all.started) == 1, "%+v, %d fleets", results[0], len(all.started))
	results, err = Runner{Start: all.start, Scenarios: root, Only: regexp.MustCompile("nobody")}.Run(t.Context(), found)
	require.NoError(t, err)
	assert.Empty(t, results, "results")
}

func TestFindRefuses(t *testing.T) {
	root, _ := scenarios(t, promiseYAML)
	_, err := Find(root, filepath.Join(root, "one", "plain"))
	wants.Error(t, "without promises", err, "…no expect.yaml in…")
	_, err = Find(root, filepath.Join(root, "nowhere"))
	wants.Error(t, "no directory", err, "…find scenarios…")
	path := filepath.Join(root, "one", "lesson", "expect.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(promiseYAML, "staff-service:A=1", "nobody:A=1", 1)), 0o644))
	_, err = Find(root, root)
	wants.Error(t, "an unknown workload", err, `…"nobody": must be a Deployment of the manifests…`)
	_, err = Find(root, filepath.Dir(path), filepath.Dir(path))
	assert.Error(t, err, "a scenario twice")
}

func reported() []Result {
	holds := CheckResult{Requests: "3× GET / from the ingress", Seconds: 0.5, Findings: []Finding{{Holds: true, Expected: "3 responses with status 200", Saw: "3 of 3 requests"}}}
	broken := CheckResult{Requests: "3× GET / from the ingress", Seconds: 0.5, Findings: []Finding{{Expected: "3 responses with status 200", Saw: "1 of 3 requests; others: 2× 503"}}}
	return []Result{
		{
			Scenario: "plain", Promise: "the page <b>&</b> is served", Holds: true, Seconds: 3.25, Checks: []CheckResult{holds},
			Control: &ControlResult{Change: "without rules", Broken: true, Checks: []CheckResult{broken}}, Seed: 1 << 63,
		},
		{Scenario: "plain", Promise: "nothing fails", Seconds: 2, Checks: []CheckResult{holds, broken}},
		{
			Scenario: "resilience/mesh", Promise: "it is contained", Holds: true, Seconds: 4, Checks: []CheckResult{holds},
			Control: &ControlResult{Change: "without rules", Checks: []CheckResult{holds}},
		},
		{Scenario: "resilience/mesh", Promise: "it's started", Seconds: 1, Error: "start the fleet: port in use"},
	}
}

func TestReports(t *testing.T) {
	for name, write := range map[string]func(*bytes.Buffer) error{
		"report.txt": func(b *bytes.Buffer) (err error) {
			for _, r := range reported() {
				err = errors.Join(err, WriteLine(b, r))
			}
			return err
		},
		"report.json": func(b *bytes.Buffer) error {
			encoder := json.NewEncoder(b)
			encoder.SetIndent("", "  ")
			return encoder.Encode(Report(reported()))
		},
		"report.xml": func(b *bytes.Buffer) error { return WriteJUnit(b, reported()) },
	} {
		var got bytes.Buffer
		require.NoError(t, write(&got))
		golden.Compare(t, filepath.Join("testdata", name), got.String())
		switch filepath.Ext(name) {
		case ".json":
			if !json.Valid(got.Bytes()) {
				t.Error("not JSON")
			}
		case ".xml":
			require.NoError(t, xml.Unmarshal(got.Bytes(), new(struct{})))
		}
	}
}

// settled waits for late calls, but not forever.
func TestSettledWaitsForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		calls, err := settled(t.Context(), &lateTarget{fleet: &fleet{}, until: began.Add(800 * time.Millisecond)}, "x")
		require.NoError(t, err)
		assert.Len(t, calls, 2, "calls")
		assert.Equal(t, 1800*time.Millisecond, time.Since(began), "time until they are settled")
		_, err = settled(t.Context(), &lateTarget{fleet: &fleet{}, every: true}, "x")
		assert.ErrorContains(t, err, "still changes after 20s", "a stream that does not end")
	})
}

type lateTarget struct {
	*fleet
	until time.Time
	every bool // one more each time
	n     int
}

func (l *lateTarget) Received(context.Context, string) ([]Call, error) {
	if l.every {
		l.n++
		return make([]Call, l.n), nil
	}
	if time.Now().Before(l.until) {
		return make([]Call, 1), nil
	}
	return make([]Call, 2), nil
}
