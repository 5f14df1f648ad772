package check

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

var update = flag.Bool("update", false, "write the golden files")

const fleetYAML = `
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: staff-service}
spec:
  selector: {matchLabels: {app: staff-service}}
  template:
    metadata: {labels: {app: staff-service, sidecar.istio.io/inject: "true"}}
    spec: {containers: [{name: c, image: fleetman/staff-service:6, env: [{name: VARIANT, value: standard}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: fleetman-staff-service}
spec: {selector: {app: staff-service}, type: NodePort, ports: [{name: http, port: 8080, nodePort: 32000}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: fleetman-staff-service}
spec: {hosts: [fleetman-staff-service], http: [{name: all, route: [{destination: {host: fleetman-staff-service}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: fleetman-staff-service}
spec: {host: fleetman-staff-service}
`

const promiseYAML = `
promises:
  - promise: everyone gets an answer
    given: {set: ["staff-service:A=1"]}
    checks:
      - requests: {from: "nodePort:32000", path: /driver/x, count: 3}
        expect:
          - answers: {status: [200]}
            count: all
    control: {without: [VirtualService fleetman-staff-service]}
`

// calledOnce makes a check wait for late calls, a second.
const calledOnce = `          - received: {by: [staff-service]}
            count: all
`

// scenarios are a directory like k8s/scenarios, with a scenario one/lesson and
// another one/plain.
func scenarios(t *testing.T, promises string) (root string, found []Scenario) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"one/lesson/fleet.yaml": fleetYAML, "one/lesson/expect.yaml": promises,
		"one/lesson/kustomization.yaml": "resources: [fleet.yaml]\n",
		"one/plain/fleet.yaml":          strings.Split(fleetYAML, "apiVersion: networking")[0],
		"one/plain/kustomization.yaml":  "resources: [fleet.yaml]\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(root, filepath.Join(root, "one"))
	if err != nil {
		t.Fatal(err)
	}
	return root, found
}

// fleet is a target whose answers a handler gives.
type fleet struct {
	*httptest.Server
	slot    int
	objects *manifest.Objects
	broken  error

	mu     sync.Mutex
	calls  map[string][]Call
	faults []string
	ended  bool
}

func (f *fleet) Route(from scenario.Origin, _ string) (Route, error) {
	if from.Ingress {
		return Route{}, errors.New("no ingress here")
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

func (f *fleet) SetFaults(_ context.Context, deployment, rules string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, deployment+" "+rules)
	if rules == "nonsense" {
		return errors.New("rule 1: nonsense")
	}
	return nil
}

func (f *fleet) Seeds(context.Context) map[string]uint64 {
	return map[string]uint64{"staff-service-0": 7}
}
func (f *fleet) Err() error { return f.broken }
func (f *fleet) Stop() {
	f.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
}

func (f *fleet) hasEnded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// fleets starts fleets, and remembers them.
type fleets struct {
	started []*fleet
	// status is what a fleet of these objects answers.
	status func(*manifest.Objects) int
	broken error
	err    error

	mu      sync.Mutex
	most    int   // fleets at once
	clashes []int // slots that two had at once
}

func (all *fleets) start(_ context.Context, slot int, objects *manifest.Objects) (Target, error) {
	if all.err != nil {
		return nil, all.err
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	f := &fleet{slot: slot, objects: objects, broken: all.broken, calls: map[string][]Call{}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls[r.Header.Get(Header)] = append(f.calls[r.Header.Get(Header)], Call{Deployment: "staff-service", Method: r.Method, Path: r.URL.Path})
		w.WriteHeader(all.status(objects))
	}))
	running := 1
	for _, other := range all.started {
		if other.hasEnded() {
			continue
		}
		running++
		if other.slot == slot {
			all.clashes = append(all.clashes, slot)
		}
	}
	all.most = max(all.most, running)
	all.started = append(all.started, f)
	return f, nil
}

func has(objects *manifest.Objects, ref string) bool {
	for _, object := range objects.All {
		if object.Ref() == ref {
			return true
		}
	}
	return false
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

// only200With answers 200 when the fleet has the object, else 500.
func only200With(ref string) func(*manifest.Objects) int {
	return func(objects *manifest.Objects) int {
		if has(objects, ref) {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	}
}

func run(t *testing.T, all *fleets, root string, found []Scenario) Result {
	t.Helper()
	var done []Result
	results, err := Runner{Start: all.start, Scenarios: root, Done: func(r Result) { done = append(done, r) }}.Run(t.Context(), found)
	if err != nil || len(results) != 1 || len(done) != 1 {
		t.Fatalf("%d results, %d told of, %v", len(results), len(done), err)
	}
	for _, f := range all.started {
		if !f.ended {
			t.Error("a fleet was not stopped")
		}
	}
	return results[0]
}

func TestAPromiseThatHoldsAndCanBeBroken(t *testing.T) {
	root, found := scenarios(t, strings.Replace(promiseYAML, "    control:", calledOnce+"    control:", 1))
	if len(found) != 1 || found[0].Name != "one/lesson" {
		t.Fatalf("found %+v", found)
	}
	all := &fleets{status: only200With("VirtualService fleetman-staff-service")}
	result := run(t, all, root, found)
	if !result.OK() || !result.Holds || !result.Control.Broken || result.Control.Change != "without VirtualService fleetman-staff-service" {
		t.Errorf("%+v, %+v", result, result.Control)
	}
	if len(all.started) != 2 || variable(all.started[0].objects, "A") != "1" || variable(all.started[1].objects, "A") != "1" {
		t.Errorf("%d fleets; given: %q", len(all.started), variable(all.started[0].objects, "A"))
	}
	if !has(all.started[1].objects, "DestinationRule fleetman-staff-service") || variable(found[0].Objects, "A") != "" {
		t.Error("more was changed than was asked for")
	}
	if result.Seeds["staff-service-0"] != 7 || len(result.Checks[0].Findings) != 2 {
		t.Errorf("%+v", result)
	}
}

func TestWhatMakesAPromiseFail(t *testing.T) {
	always := func(*manifest.Objects) int { return http.StatusOK }
	tests := []struct {
		name   string
		fleets *fleets
		change func(string) string
		want   string // in what is written
		starts int
	}{
		{"it does not hold", &fleets{status: func(*manifest.Objects) int { return 503 }}, nil, "expected 3 answers with status 200; saw 0 of 3 requests; others: 3× 503", 2},
		{"its control holds too", &fleets{status: always}, nil, "check 1 holds without VirtualService fleetman-staff-service too, so it proves nothing", 2},
		{"one of its checks holds in the control", &fleets{status: only200With("VirtualService fleetman-staff-service")}, func(s string) string {
			return strings.Replace(s, "    control:", "      - requests: {from: \"nodePort:32000\", path: /driver/x, count: 4}\n        expect: [{answers: {body: x}, count: none}]\n    control:", 1)
		}, "check 2 holds without VirtualService fleetman-staff-service too, so it proves nothing\n       there, 4× GET /driver/x from node port 32000: expected 0 answers with body /x/; saw 0 of 4 requests", 2},
		{"a guard does not hold in the control", &fleets{status: only200With("VirtualService fleetman-staff-service")}, func(s string) string {
			return strings.Replace(s, "    control:", "      - guard: true\n        requests: {from: \"nodePort:32000\", path: /driver/x, count: 4}\n        expect: [{answers: {status: [200]}, count: all}]\n    control:", 1)
		}, "check 2 is a guard and does not hold without VirtualService fleetman-staff-service: more is broken there than the promise", 2},
		{"the run is worthless", &fleets{status: always, broken: errors.New("a proxy rejected an update")}, nil, "what was seen is worth nothing: a proxy rejected an update", 2},
		{"no fleet", &fleets{err: errors.New("port in use")}, nil, "starting the fleet: port in use", 0},
		{"no way in", &fleets{status: always}, func(s string) string {
			return strings.Replace(s, `"nodePort:32000"`, "ingress", 1)
		}, "check 1, 3× GET /driver/x from the ingress: no ingress here", 2},
		{"faults that are refused", &fleets{status: always}, func(s string) string {
			return strings.Replace(s, "        expect:", "        actions: [{after: 0s, workload: staff-service, faults: nonsense}]\n        expect:", 1)
		}, `giving staff-service the faults "nonsense": rule 1: nonsense`, 2},
		{"a control that cannot be run", &fleets{status: always}, func(s string) string {
			return strings.Replace(s, "{without: [VirtualService fleetman-staff-service]}", "{scenario: nowhere}", 1)
		}, "its control, in the scenario nowhere, could not be run", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := promiseYAML
			if test.change != nil {
				text = test.change(text)
			}
			var root string
			var found []Scenario
			if strings.Contains(text, "from: ingress") {
				root, found = scenarios(t, promiseYAML)
				found[0].File.Promises[0].Checks[0].Requests.From = scenario.Origin{Ingress: true}
			} else {
				root, found = scenarios(t, text)
			}
			result := run(t, test.fleets, root, found)
			var out bytes.Buffer
			if err := WriteLine(&out, result); err != nil {
				t.Fatal(err)
			}
			if result.OK() || !strings.HasPrefix(out.String(), "FAIL one/lesson: everyone gets an answer (") || !strings.Contains(out.String(), test.want) {
				t.Errorf("want %q in:\n%s", test.want, out.String())
			}
			if len(test.fleets.started) != test.starts {
				t.Errorf("%d fleets were started, not %d", len(test.fleets.started), test.starts)
			}
		})
	}
}

func TestControlsOfOtherKinds(t *testing.T) {
	injected := func(objects *manifest.Objects) bool {
		for _, namespace := range manifest.Of[*corev1.Namespace](objects) {
			if namespace.Labels["istio-injection"] == "enabled" {
				return true
			}
		}
		return false
	}
	tests := []struct {
		control string
		good    func(*manifest.Objects) bool
		check   func(*manifest.Objects) bool // of the control's objects
	}{
		{"{without: [rules]}", func(o *manifest.Objects) bool { return has(o, "DestinationRule fleetman-staff-service") }, func(o *manifest.Objects) bool {
			return injected(o) && !has(o, "VirtualService fleetman-staff-service") && NeedsMesh(o)
		}},
		{"{without: [sidecars]}", injected, func(o *manifest.Objects) bool {
			return !NeedsMesh(o) && has(o, "Deployment staff-service")
		}},
		{`{set: ["staff-service:VARIANT=bad"]}`, func(o *manifest.Objects) bool { return variable(o, "VARIANT") == "standard" }, func(o *manifest.Objects) bool {
			return variable(o, "VARIANT") == "bad" && has(o, "VirtualService fleetman-staff-service")
		}},
		{"{with: [{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: fleetman-staff-service}, spec: {hosts: [other]}}, {apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g}}]}", func(o *manifest.Objects) bool {
			return !has(o, "Gateway g")
		}, func(o *manifest.Objects) bool {
			var hosts []string
			for _, object := range o.All {
				if object.Kind == "VirtualService" {
					hosts = append(hosts, string(object.JSON))
				}
			}
			return len(hosts) == 1 && strings.Contains(hosts[0], "other") && has(o, "DestinationRule fleetman-staff-service")
		}},
		{"{scenario: one/plain}", func(o *manifest.Objects) bool { return has(o, "VirtualService fleetman-staff-service") }, func(o *manifest.Objects) bool {
			return variable(o, "A") == "1" && !has(o, "VirtualService fleetman-staff-service")
		}},
	}
	for _, test := range tests {
		t.Run(test.control, func(t *testing.T) {
			root, found := scenarios(t, strings.Replace(promiseYAML, "{without: [VirtualService fleetman-staff-service]}", test.control, 1))
			all := &fleets{status: func(o *manifest.Objects) int {
				if test.good(o) {
					return http.StatusOK
				}
				return http.StatusBadGateway
			}}
			if result := run(t, all, root, found); !result.OK() {
				t.Errorf("%+v", result)
			}
			if len(all.started) != 2 || !test.check(all.started[1].objects) {
				t.Errorf("the control's fleet is not as it should be")
			}
			// what the launcher reads later has to say the same
			for _, object := range all.started[1].objects.All {
				if object.Typed != nil && !json.Valid(object.JSON) {
					t.Errorf("%s: %s", object.Ref(), object.JSON)
				}
			}
		})
	}
}

func TestActionsHappenInTheirOrderWhileRequestsRun(t *testing.T) {
	root, found := scenarios(t, strings.Replace(promiseYAML, `path: /driver/x, count: 3}
        expect:`, `path: /driver/x, count: 60, rate: 200}
        actions:
          - {after: 100ms, workload: staff-service, faults: none}
          - {after: 0s, workload: staff-service, faults: "status=502,rate=1"}
        expect:
          - recovers: {good: {status: [200]}, within: 5s, run: 5}
          - answers: {status: [502]}
            count: {atLeast: 1}`, 1))
	promise := &found[0].File.Promises[0]
	promise.Checks[0].Expect = promise.Checks[0].Expect[:2] // without that all are good
	var all *fleets
	all = &fleets{status: func(o *manifest.Objects) int {
		f := all.started[len(all.started)-1]
		if len(f.faults) == 1 || !has(o, "VirtualService fleetman-staff-service") {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}}
	result := run(t, all, root, found)
	if !result.OK() {
		var out bytes.Buffer
		_ = WriteLine(&out, result)
		t.Errorf("%s", out.String())
	}
	if got := fmt.Sprint(all.started[0].faults); got != "[staff-service status=502,rate=1 staff-service none]" {
		t.Errorf("faults %s", got)
	}
}

// A control ends when nothing that is still to come can make a check hold.
func TestAControlGoesOnOnlyWhileItMayHold(t *testing.T) {
	root, found := scenarios(t, strings.Replace(promiseYAML, "count: 3}", "count: 500}", 1))
	all := &fleets{status: only200With("VirtualService fleetman-staff-service")}
	result := run(t, all, root, found)
	if !result.OK() || result.Control.Checks[0].Sent == 0 || result.Control.Checks[0].Sent > 3 || result.Checks[0].Sent != 0 {
		t.Errorf("%+v, %+v", result.Checks, result.Control)
	}
	if got := result.Control.Checks[0].Findings[0]; !strings.HasPrefix(got.Expected, "500 answers") {
		t.Errorf("%+v: the bounds are those of all requests", got)
	}
}

func TestDecided(t *testing.T) {
	for _, test := range []struct {
		expect, letters string
		at              int // the record that decides; -1: none
	}{
		{"{answers: {status: [200]}, count: all}", "ggbg", 2},
		{"{answers: {status: [200]}, count: all}", "gggg", -1},
		{"{answers: {status: [5xx]}, count: none}", "ggbg", 2},
		{"{answers: {status: [200]}, count: {atLeast: 3}}", "gbgbb", 4},
		{"{answers: {status: [5xx]}, count: {atMost: 1}}", "bgbg", 2},
		{"{answers: {status: [5xx]}, count: {share: 0.5, confidence: 0.99}}", "bgbgbgbg", -1},
		{"{answers: {status: [200]}, afterFirst: 2, count: all}", "bbgbg", 3},
		{"{settles: {good: {status: [200]}, afterAtMost: 1, run: 2}}", "bgbgb", 2},
		{"{settles: {good: {status: [200]}, afterAtMost: 1, run: 2}}", "bggbb", -1},
		{`{distinct: {capture: "<(.*)>"}, count: {atLeast: 2}}`, "bbbb", -1},
		{"{received: {by: [other]}, count: none}", "bbbb", -1},
	} {
		records := answers(test.letters)
		c := &scenario.Check{Requests: scenario.Requests{Count: len(records)}, Expect: []scenario.Expect{*expectation(t, test.expect)}}
		enough, at := decided(c), -1
		for i, record := range records {
			if enough(i, record) {
				at = i
				break
			}
		}
		if at != test.at {
			t.Errorf("%s of %s: decided at %d, not %d", test.expect, test.letters, at, test.at)
		}
	}
	// what comes out of turn is not held against the run that it interrupts
	settles := expectation(t, "{settles: {good: {status: [200]}, afterAtMost: 0, run: 2}}")
	enough := decided(&scenario.Check{Requests: scenario.Requests{Count: 3}, Expect: []scenario.Expect{*settles}})
	for _, i := range []int{2, 0, 1} {
		if enough(i, answers("ggb")[i]) {
			t.Errorf("decided at %d", i)
		}
	}
}

func TestFleetsAtOnce(t *testing.T) {
	var text strings.Builder
	text.WriteString("promises:\n")
	for i := range 5 {
		one := strings.Replace(strings.TrimPrefix(promiseYAML, "\npromises:\n"), "everyone", fmt.Sprintf("number %d", i), 1)
		if i == 0 {
			one = strings.Replace(one, "    checks:", "    alone: true\n    checks:", 1)
		}
		if i == 3 { // half a second
			one = strings.Replace(one, "count: 3}", "count: 50, rate: 100}", 1)
		}
		text.WriteString(one)
	}
	root, found := scenarios(t, text.String())
	all := &fleets{status: only200With("VirtualService fleetman-staff-service")}
	var done []string
	results, err := Runner{
		Start: all.start, Scenarios: root, Jobs: 3, Progress: func(string) {}, Done: func(r Result) { done = append(done, r.Promise) },
	}.Run(t.Context(), found)
	if err != nil || len(results) != 5 || len(done) != 5 {
		t.Fatalf("%d results, %q, %v", len(results), done, err)
	}
	for i, r := range results {
		if !r.OK() || r.Promise != fmt.Sprintf("number %d gets an answer", i) {
			t.Errorf("result %d is %+v", i, r)
		}
	}
	if all.most > 3 || len(all.clashes) > 0 || len(all.started) != 10 {
		t.Errorf("%d fleets, %d at once, slots %v twice", len(all.started), all.most, all.clashes)
	}
	if done[4] != "number 0 gets an answer" {
		t.Errorf("done in the order %q: what must be alone comes last", done)
	}
	for _, f := range all.started[8:] {
		if f.slot != 0 {
			t.Errorf("alone, in slot %d", f.slot)
		}
	}
}

func TestSeeds(t *testing.T) {
	root, found := scenarios(t, promiseYAML)
	seeds := func(seed uint64) map[string]string {
		all := &fleets{status: func(*manifest.Objects) int { return http.StatusOK }}
		results, err := Runner{Start: all.start, Scenarios: root, Seed: seed}.Run(t.Context(), found)
		if err != nil || results[0].Seed != seed {
			t.Fatalf("%+v, %v", results, err)
		}
		var data map[string]string
		for i, f := range all.started {
			maps := manifest.Of[*corev1.ConfigMap](f.objects)
			from := manifest.Of[*appsv1.Deployment](f.objects)[0].Spec.Template.Spec.Containers[0].EnvFrom
			if len(maps) != 1 || len(from) != 1 || from[0].ConfigMapRef.Name != maps[0].Name {
				t.Fatalf("%v of %v", from, maps)
			}
			if i > 0 && fmt.Sprint(data) != fmt.Sprint(maps[0].Data) {
				t.Errorf("the control draws from %v, not %v", maps[0].Data, data)
			}
			data = maps[0].Data
		}
		return data
	}
	one, again, other := seeds(1), seeds(1), seeds(2)
	if fmt.Sprint(one) != fmt.Sprint(again) {
		t.Errorf("seed 1 gives %v and %v", one, again)
	}
	for _, name := range []string{"FAULTS_SEED", "UPSTREAM_SEED", "SEED"} {
		value, err := strconv.ParseUint(one[name], 10, 62)
		if err != nil || value == 0 || one[name] == other[name] {
			t.Errorf("%s is %q, with another seed %q: %v", name, one[name], other[name], err)
		}
	}
	if one["SEED"] == one["FAULTS_SEED"] {
		t.Error("one seed for all")
	}
}

// Variables of a later source win over an earlier one's, and those of env over
// all: what a manifest says itself comes after the seeds.
func TestAManifestsOwnSeedWins(t *testing.T) {
	own := strings.Replace(fleetYAML, "env: [", "envFrom: [{configMapRef: {name: own}}], env: [", 1)
	objects, err := manifest.Decode("fleet.yaml", []byte(own))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := withSeeds(&manifest.Objects{All: objects}, 1)
	if err != nil {
		t.Fatal(err)
	}
	container := manifest.Of[*appsv1.Deployment](changed)[0].Spec.Template.Spec.Containers[0]
	if from := container.EnvFrom; len(from) != 2 || from[0].ConfigMapRef.Name != "staff-service-seeds" || from[1].ConfigMapRef.Name != "own" || len(container.Env) != 1 {
		t.Errorf("%+v", container)
	}
	if before := objects[1].Typed.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].EnvFrom; len(before) != 1 {
		t.Errorf("the scenario's own objects were changed: %v", before)
	}
}

func TestOnlyAndNoControl(t *testing.T) {
	root, found := scenarios(t, promiseYAML)
	all := &fleets{status: func(*manifest.Objects) int { return http.StatusOK }}
	results, err := Runner{Start: all.start, Scenarios: root, NoControl: true, Only: regexp.MustCompile("^one/lesson: every")}.Run(t.Context(), found)
	if err != nil || len(results) != 1 || !results[0].OK() || results[0].Control != nil || len(all.started) != 1 {
		t.Errorf("%+v, %v", results, err)
	}
	results, err = Runner{Start: all.start, Scenarios: root, Only: regexp.MustCompile("nobody")}.Run(t.Context(), found)
	if err != nil || len(results) != 0 {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestFindRefuses(t *testing.T) {
	root, _ := scenarios(t, promiseYAML)
	if _, err := Find(root, filepath.Join(root, "one", "plain")); err == nil || !strings.Contains(err.Error(), "no expect.yaml in") {
		t.Errorf("without promises: %v", err)
	}
	if _, err := Find(root, filepath.Join(root, "nowhere")); err == nil || !strings.Contains(err.Error(), "finding scenarios") {
		t.Errorf("no directory: %v", err)
	}
	path := filepath.Join(root, "one", "lesson", "expect.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(promiseYAML, "staff-service:A=1", "nobody:A=1", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(root, root); err == nil || !strings.Contains(err.Error(), `no Deployment "nobody"`) {
		t.Errorf("a workload that is not there: %v", err)
	}
	if twice, err := Find(root, filepath.Dir(path), filepath.Dir(path)); err == nil {
		t.Errorf("%+v", twice)
	}
}

func reported() []Result {
	holds := CheckResult{Requests: "3× GET / from the ingress", Seconds: 0.5, Findings: []Finding{{Holds: true, Expected: "3 answers with status 200", Saw: "3 of 3 requests"}}}
	broken := CheckResult{Requests: "3× GET / from the ingress", Seconds: 0.5, Findings: []Finding{{Expected: "3 answers with status 200", Saw: "1 of 3 requests; others: 2× 503"}}}
	guard := holds
	guard.Guard, broken.Sent = true, 3
	return []Result{
		{
			Scenario: "plain", Promise: "the page <b>&</b> is served", Holds: true, Seconds: 3.25, Checks: []CheckResult{holds},
			Control: &ControlResult{Change: "without rules", Broken: true, Checks: []CheckResult{broken}}, Seed: 42, Seeds: map[string]uint64{"webapp-0": 1 << 63},
		},
		{
			Scenario: "plain", Promise: "the door stays open", Holds: true, Seconds: 5, Checks: []CheckResult{holds, guard},
			Control: &ControlResult{Change: "without rules", Broken: true, Checks: []CheckResult{broken, guard}}, Seed: 42,
		},
		{Scenario: "plain", Promise: "nothing fails", Seconds: 2, Checks: []CheckResult{holds, broken}, Seed: 42},
		{
			Scenario: "resilience/mesh", Promise: "it is contained", Holds: true, Seconds: 4, Checks: []CheckResult{holds},
			Control: &ControlResult{Change: "without rules", Checks: []CheckResult{holds}}, Seed: 42,
		},
		{Scenario: "resilience/mesh", Promise: "it starts", Seconds: 1, Error: "starting the fleet: port in use", Seed: 42},
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
		"report.json": func(b *bytes.Buffer) error { return WriteJSON(b, reported()) },
		"report.xml":  func(b *bytes.Buffer) error { return WriteJUnit(b, reported()) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s differs (go test -update writes it):\n%s", golden, got.String())
		}
		switch filepath.Ext(name) {
		case ".json":
			if !json.Valid(got.Bytes()) {
				t.Error("not JSON")
			}
		case ".xml":
			if err := xml.Unmarshal(got.Bytes(), new(struct{})); err != nil {
				t.Errorf("not XML: %v", err)
			}
		}
	}
}

// Calls that come late are waited for, and only while they come.
func TestSettledWaitsForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		calls, err := settled(t.Context(), &lateTarget{fleet: &fleet{}, until: began.Add(800 * time.Millisecond)}, "x")
		if err != nil || len(calls) != 2 || time.Since(began) != 1800*time.Millisecond {
			t.Errorf("%d calls after %v, %v", len(calls), time.Since(began), err)
		}
		calls, err = settled(t.Context(), &lateTarget{fleet: &fleet{}, every: true}, "x")
		if err == nil || !strings.Contains(err.Error(), "after 20s there are still more coming") {
			t.Errorf("%d calls of a stream that does not end, %v", len(calls), err)
		}
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
