package scenario

import (
	_ "embed"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/wants"
)

// good is a valid file that uses every field.
//
//go:embed testdata/good.yaml
var good string

func TestDecode(t *testing.T) {
	file, err := Decode("expect.yaml", []byte(good))
	require.NoError(t, err)
	p := file.Promises[0]
	c := p.Checks[0]
	r := c.Requests
	assert.Equal(t, []any{"one in ten", Setting{"staff-service", "VARIANT", "bad"}, "rules", "expect.yaml"}, []any{p.Promise, p.Given.Set[0], p.Control.Without[0], file.Source}, "promise")
	assert.Equal(t, []any{Origin{Workload: "webapp"}, 2.5, 5 * time.Second, 20, uint64(7), "/driver/City%20Truck?a=b"},
		[]any{r.From, r.Rate, r.Timeout.Duration, r.EachHeader.Values, r.Seed, r.Path}, "requests")
	a := c.Expect[0].Answers
	assert.True(t, a.Status[0].Is(200) && !a.Status[0].Is(201) && a.Status[1].Is(503) && !a.Status[1].Is(404), "statuses %+v", a.Status)
	assert.True(t, a.Body.MatchString("caat") && a.SlowerThan.Duration == time.Second, "answers %+v", a)
	settles := c.Expect[4].Settles
	assert.Equal(t, []any{10, 100, 65 * time.Second}, []any{settles.AfterAtMost, settles.Run, settles.LastsAtMost.Duration}, "settles")
	returns := c.Expect[6].Returns
	assert.Equal(t, []any{time.Second, "risky", 15 * time.Second, 0.3}, []any{returns.Away.Duration, returns.Replica.Body.String(), returns.Shares[1].To.Duration, *returns.Shares[0].Count.ShareAtMost}, "returns")
	assert.True(t, c.Actions[0].After.Duration == 5*time.Second && !c.Actions[0].Kill && c.Actions[1].Kill, "actions %+v", c.Actions)
	assert.True(t, *c.Expect[1].Count.PerRequest == 9 && c.Expect[2].Count.All, "check %+v", c)
}

func TestDecodeBadInput(t *testing.T) {
	const check = "expect.yaml: promises[0].checks[0]"
	for _, test := range []struct{ name, old, replacement, want string }{
		{"a misspelt field", "promise: one", "promises: one", `expect.yaml: unknown field "promises[0].promises"`},
		{"a misspelt field far in", "afterAtMost: 10", "after: 10", `expect.yaml: unknown field "promises[0].checks[0].expect[4].settles.after"`},
		{"a second document", "promises:", "promises: []\n--- # more\npromises:", "expect.yaml:3: a second document: must be one alone"},
		{"a field twice", "count: 1000", "count: 1000\n          count: 10", `expect.yaml: not YAML: line 16: key "count" already set in map`},
		{"no YAML", "promises:", "promises: [", "expect.yaml: not YAML: "},
		{"no sentence", "promise: one in ten", `promise: ""`, `expect.yaml: promises[0].promise: "": must be a sentence in one line`},
		{"no control", "control: {without: [rules]}", "", "expect.yaml: promises[0].control: 0 of without, with, set and scenario: must be exactly one: a promise that no control breaks proves nothing"},
		{"two controls", "without: [rules]", "without: [rules], scenario: plain", "expect.yaml: promises[0].control: 2 of without, with, set and scenario: must be exactly one: a promise that no control breaks proves nothing"},
		{"a control of nothing", "without: [rules]", "without: [rulez]", `expect.yaml: promises[0].control.without[0]: "rulez": must be rules, sidecars, or an object such as "ServiceEntry driver-monitoring"`},
		{"a file elsewhere", "without: [rules]", "with: ../other.yaml", `expect.yaml: promises[0].control.with: "../other.yaml": must be the name of a file beside expect.yaml`},
		{"a control elsewhere", "without: [rules]", "scenario: ../../etc", `expect.yaml: promises[0].control.scenario: "../../etc": must be a directory below k8s/scenarios, such as mtls-strict`},
		{"an unknown origin", "from: workload:webapp", "from: pod:webapp", `expect.yaml: "pod:webapp": must be ingress, nodePort:PORT or workload:DEPLOYMENT`},
		{"an invalid node port", "from: workload:webapp", "from: nodePort:80800", `expect.yaml: "nodePort:80800": must be ingress, nodePort:PORT or workload:DEPLOYMENT`},
		{"no origin", "from: workload:webapp", "", check + ".requests.from: missing: must be ingress, nodePort:PORT or workload:DEPLOYMENT"},
		{"a target for the ingress", "from: workload:webapp", "from: ingress", check + `.requests.to: "fleetman-staff-service:8080": must be unset unless from is a workload`},
		{"no target", "to: fleetman-staff-service:8080", "", check + `.requests.to: "": must be the host:port that the workload calls`},
		{"a target without port", "service:8080", "service", check + `.requests.to: "fleetman-staff-service": must be the host:port that the workload calls`},
		{"a target's port that is none", "service:8080", "service:65536", check + `.requests.to: "fleetman-staff-service:65536": must be the host:port that the workload calls`},
		{"a target's port of 0", "service:8080", "service:0", check + `.requests.to: "fleetman-staff-service:0": must be the host:port that the workload calls`},
		{"a path with a space", "City%20Truck", "City Truck", check + `.requests.path: "/driver/City Truck?a=b": must be an escaped path such as /driver/City%20Truck`},
		{"a bad escape", "City%20Truck", "City%2", check + `.requests.path: "/driver/City%2?a=b": must be an escaped path such as /driver/City%20Truck`},
		{"a method in lower case", "method: POST", "method: post", check + `.requests.method: "post": must be a method such as GET`},
		{"an invalid header", "x-my-header: canary", `"x my": canary`, check + `.requests.headers: "x my": "canary": must be a valid header`},
		{"no requests", "count: 1000", "count: 0", check + ".requests.count: 0: must be between 1 and 100000"},
		{"too many requests", "count: 1000", "count: 1000000000", check + ".requests.count: 1000000000: must be between 1 and 100000"},
		{"text as a number", "count: 1000", "count: many", "expect.yaml: cannot unmarshal string into Go struct field "},
		{"rate and concurrency", "rate: 2.5", "rate: 2.5\n          concurrency: 5", check + ".requests.rate: 2.5: must be unset with concurrency"},
		{"a rate below zero", "rate: 2.5", "rate: -1", check + ".requests.rate: -1: must be more than 0 and at most 10000 requests per second"},
		{"too many values", "values: 20", "values: 900", check + ".requests.eachHeader.values: 900: must be at least 2 and at most half of count"},
		{"header and source", "rate: 2.5", "eachSource: 5", check + ".requests.eachSource: 5: must be unset with eachHeader"},
		{"header and visitor", "rate: 2.5", "eachVisitor: 5", check + ".requests.eachVisitor: 5: must be unset with eachHeader"},
		{"too few visitors", "eachHeader: {name: x-myval, values: 20}", "eachVisitor: 1", check + ".requests.eachVisitor: 1: must be at least 2 and at most half of count, and unset with eachSource"},
		{"source and visitor", "eachHeader: {name: x-myval, values: 20}", "eachVisitor: 2\n          eachSource: 2", check + ".requests.eachVisitor: 2: must be at least 2 and at most half of count, and unset with eachSource"},
		{"a token elsewhere", "bearer: user.jwt", "bearer: ../user.jwt", check + `.requests.bearer: "../user.jwt": must be the name of a file beside expect.yaml`},
		{"a time-out without unit", "timeout: 5s", "timeout: 5", "expect.yaml: 5: must be a duration such as 1.5s"},
		{"a time-out below zero", "timeout: 5s", "timeout: -5s", `expect.yaml: "-5s": must be a duration such as 1.5s, between 0 and 1h`},
		{"a setting without a name", "staff-service:VARIANT=bad", "staff-service=bad", `expect.yaml: "staff-service=bad": must be DEPLOYMENT:NAME=VALUE, such as staff-service:VARIANT=bad`},
		{"an invalid status", "[200, 5xx]", "[2000]", `expect.yaml: "2000": must be a status such as 200 or 5xx`},
		{"an invalid class", "[200, 5xx]", "[9xx]", `expect.yaml: "9xx": must be a status such as 200 or 5xx`},
		{"a pattern that does not close", "body: a+", `body: "(a"`, "expect.yaml: error parsing regexp: missing closing ): `(a`"},
		{"two observations in one", "- distinct: {", "- answers: {status: [200]}\n            distinct: {", check + ".expect[3]: 2 of answers, received, consistent, distinct, settles, recovers, returns and proxies: must be exactly one"},
		{"proxies of nothing", "of: [webapp], ", "", check + ".expect[7].proxies.of: missing: must be a list of Deployments"},
		{"no revision", ", revision: next", "", check + `.expect[7].proxies.revision: "": must be the name of a revision, such as default`},
		{"a revision with a space", "revision: next", "revision: a b", check + `.expect[7].proxies.revision: "a b": must be the name of a revision, such as default`},
		{"some proxies", "revision: next}\n            count: all", "revision: next}\n            count: {atLeast: 1}", check + ".expect[7].count: must be all or none with proxies"},
		{"an answer without fields", "{status: [200, 5xx], body: a+, header: {x-fallback: \"^$\"}, slowerThan: 1s, fasterThan: 2s}", "{}", check + ".expect[0].answers: must have some of status, body, header, fasterThan and slowerThan, or reset alone"},
		{"slower than faster", "fasterThan: 2s", "fasterThan: 1s", check + ".expect[0].answers: slowerThan 1s: must be less than fasterThan 1s"},
		{"no bound", "</title>\"}\n            count: all\n", "</title>\"}\n", check + ".expect[2].count: missing: must be all, none, or bounds"},
		{"an unknown bound", "count: all", "count: most", `expect.yaml: "most": cannot unmarshal string into Go value`},
		{"a bound misspelt", "atLeast: 2", "atleats: 2", `expect.yaml: {"atMost":2,"atleats":2}: unknown field "atleats": must be all, none, or one of atLeast, atMost, perRequest, share, shareAtLeast and shareAtMost`},
		{"a share without confidence", ", confidence: 0.9999", "", check + ".expect[0].count.confidence: 0: must be at least 0.9 and less than 1 with a share"},
		{"too little confidence", "confidence: 0.9999", "confidence: 0.5", check + ".expect[0].count.confidence: 0.5: must be at least 0.9 and less than 1 with a share"},
		{"a share above one", "share: 0.1", "share: 10", check + ".expect[0].count: share 10: must be between 0 and 1"},
		{"a bound that holds always", "count: {share: 0.1, confidence: 0.9999}", "count: {atMost: 1000}", check + ".expect[0].count: every number from 0 to 1000 passes: must exclude some"},
		{"a bound that never holds", "count: {share: 0.1, confidence: 0.9999}", "count: {atLeast: 1001}", check + ".expect[0].count: at least 1001: must be at most 1000"},
		{"bounds the wrong way", "{atLeast: 2, atMost: 2}", "{atLeast: 3, atMost: 2}", check + ".expect[3].count: atLeast 3: must be at most atMost 2"},
		{"a run that does not fit", "run: 100,", "run: 1000,", check + ".expect[4].settles: afterAtMost 10 and run 1000: must be at least 0 and 1, and at most 1000 requests together"},
		{"nothing to recover from", "        actions:\n          - {after: 5s, workload: staff-service, faults: none}\n          - {after: 6s, workload: staff-service, kill: true}\n", "", check + ".expect[5].recovers: must be unset without actions"},
		{"an action that does nothing", "faults: none", "kill: false", check + ".actions[0]: must have workload, and either faults or kill"},
		{"an action that does two things", "kill: true", "kill: true, faults: none", check + ".actions[1]: must have workload, and either faults or kill"},
		{"a replica that is never away", "away: 1s", "away: 0s", check + ".expect[6].returns.away: 0s: must be more than 0"},
		{"a replica that is every response", "replica: {body: risky}", "replica: {}", check + ".expect[6].returns.replica: must have some of status, body, header, fasterThan and slowerThan, or reset alone"},
		{"a window the wrong way", "to: 4s", "to: 0s", check + ".expect[6].returns.shares[0].to: 0s: must be more than from 0s"},
		{"a number in a window", "{shareAtMost: 0.3, confidence: 0.99}", "{atMost: 3}", check + ".expect[6].returns.shares[0].count: must be share, shareAtLeast or shareAtMost"},
		{"a share in a window without confidence", "{shareAtMost: 0.3, confidence: 0.99}", "{shareAtMost: 0.3}", check + ".expect[6].returns.shares[0].count.confidence: 0: must be at least 0.9 and less than 1 with a share"},
		{"a number for each response", "count: {share: 0.1, confidence: 0.9999}", "count: {perRequest: 1}", check + ".expect[0].count.perRequest: must be unset unless the observation is received"},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Contains(t, good, test.old)
			_, err := Decode("expect.yaml", []byte(strings.Replace(good, test.old, test.replacement, 1)))
			wants.Error(t, test.name, err, test.want+"…")
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "expect.yaml")
	write := func(path, text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write(path, good)
	token := filepath.Join(filepath.Dir(path), "user.jwt")
	const field = ": promises[0].checks[0].requests.bearer: "
	_, err := Load(path)
	wants.Error(t, "no token", err, path+field+"open "+token+"…")
	write(token, "two\nlines")
	_, err = Load(path)
	wants.Error(t, "a token of two lines", err, path+field+"user.jwt: must be a token in one line")
	write(token, "a.b.c\n")
	file, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, path, file.Source, "source")
	require.Len(t, file.Promises, 1)
	assert.Equal(t, "Bearer a.b.c", file.Promises[0].Checks[0].Requests.Headers["Authorization"], "Authorization")
	_, err = Load(filepath.Dir(path))
	wants.Error(t, "a directory", err, "…: a directory: must be a file")
	_, err = Load(path + ".none")
	wants.Error(t, "nothing", err, "read a scenario's promises: stat …")
}

// The expected bounds are quantiles of the binomial distribution, computed with exact fractions.
func TestRange(t *testing.T) {
	share := func(p, confidence float64) Count { return Count{Share: &p, Confidence: confidence} }
	atLeast := func(p, confidence float64) Count { return Count{ShareAtLeast: &p, Confidence: confidence} }
	atMost := func(p, confidence float64) Count { return Count{ShareAtMost: &p, Confidence: confidence} }
	two, nine := 2, 9
	for _, test := range []struct {
		name      string
		count     Count
		n         int
		low, high int
	}{
		{"nine of ten in a thousand", share(0.1, 0.9999), 1000, 65, 139},
		{"half of ten", share(0.5, 0.95), 10, 2, 8},
		{"a fair coin, twenty times", share(0.5, 0.99), 20, 4, 16},
		{"never", share(0, 0.99), 50, 0, 0},
		{"always", share(1, 0.99), 50, 50, 50},
		{"nearly all", atLeast(0.998, 0.9999), 300, 295, 300},
		{"nearly none", atMost(0.002, 0.9999), 20, 0, 2},
		{"all", Count{All: true}, 7, 7, 7},
		{"none", Count{None: true}, 7, 0, 0},
		{"at least two", Count{AtLeast: &two}, 7, 2, math.MaxInt},
		{"at most two", Count{AtMost: &two}, 7, 0, 2},
		{"nine each", Count{PerRequest: &nine}, 20, 180, 180},
	} {
		low, high := test.count.Range(test.n)
		assert.Equal(t, []int{test.low, test.high}, []int{low, high}, test.name)
	}
}

func TestCheckAgainst(t *testing.T) {
	objects, err := manifest.Load("../../k8s/scenarios/mtls-strict")
	require.NoError(t, err)
	const head = "promises: [{promise: p, control: {CONTROL}, checks: [{requests: {REQUESTS, count: 1}, expect: [{EXPECT}]}]}]"
	file := func(control, requests, expect string) string {
		return strings.NewReplacer("CONTROL", control, "REQUESTS", requests, "EXPECT", expect).Replace(head)
	}
	const (
		control  = "without: [PeerAuthentication default]"
		requests = `from: "nodePort:32000", path: /`
		expect   = "answers: {status: [200]}, count: all"
	)
	for _, test := range []struct{ name, text, want string }{
		{"everything exists", file(control, requests, expect), ""},
		{"a workload's call", file("without: [sidecars]", `from: "workload:webapp", to: "fleetman-staff-service.default:8080", path: /`, "received: {by: [staff-service], identity: a}, count: all"), ""},
		{"an unknown node port", file(control, `from: "nodePort:32001", path: /`, expect), "promises[0].checks[0].requests.from: nodePort:32001: must be a node port of a Service of the manifests"},
		{"an unknown workload", file(control, `from: "workload:web", to: "a:1", path: /`, expect), `promises[0].checks[0].requests.from: "web": must be a Deployment of the manifests: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"an unknown Service", file(control, `from: "workload:webapp", to: "staff:8080", path: /`, expect), "promises[0].checks[0].requests.to: staff: must be a Service of the manifests"},
		{"an unknown receiver", file(control, requests, "received: {by: [staff]}, count: all"), `promises[0].checks[0].expect[0].received.by: "staff": must be a Deployment of the manifests: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"proxies", file(control, requests, "proxies: {of: [webapp], revision: next}, count: all"), ""},
		{"proxies of an unknown workload", file(control, requests, "proxies: {of: [web], revision: next}, count: all"), `promises[0].checks[0].expect[0].proxies.of: "web": must be a Deployment of the manifests: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"an unknown object", file("without: [PeerAuthentication other]", requests, expect), "promises[0].control.without[0]: PeerAuthentication other: must be in the manifests"},
		{"a setting of an unknown Deployment", file(`set: ["staff:A=b"]`, requests, expect), `promises[0].control.set[0]: "staff": must be a Deployment of the manifests: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Decode("expect.yaml", []byte(test.text))
			require.NoError(t, err)
			if err = f.CheckAgainst(objects); test.want != "" {
				test.want = "expect.yaml: " + test.want
			}
			wants.Error(t, test.name, err, test.want)
		})
	}
	plain, err := manifest.Load("../../k8s/base")
	require.NoError(t, err)
	for _, test := range []struct{ text, want string }{
		{file("without: [rules]", `from: ingress, path: /`, expect), "promises[0].checks[0].requests.from: ingress: must be nodePort or workload when the manifests have no Gateway"},
		{file("without: [sidecars]", `from: "nodePort:30080", path: /`, expect), "promises[0].control.without[0]: sidecars: must be in the manifests"},
		{file("scenario: plain", `from: "nodePort:30080", path: /`, "proxies: {of: [webapp], revision: next}, count: all"), "promises[0].checks[0].expect[0].proxies: must be unset when the manifests have no sidecars"},
		{file("scenario: plain", `from: "nodePort:30080", path: /`, "received: {by: [webapp], identity: a}, count: all"), "promises[0].checks[0].expect[0].received.identity: must be unset when the manifests have no sidecars"},
	} {
		f, err := Decode("expect.yaml", []byte(test.text))
		require.NoError(t, err)
		wants.Error(t, "plain", f.CheckAgainst(plain), "expect.yaml: "+test.want)
	}
}

// TestList checks the order of the scenarios: by steps.yaml, then by name.
func TestList(t *testing.T) {
	root := t.TempDir()
	files := fstest.MapFS{}
	for _, name := range []string{"a", "b", "c/d", "e"} {
		files[name+"/kustomization.yaml"], files[name+"/README.md"] = &fstest.MapFile{}, &fstest.MapFile{Data: []byte("# The " + name + "\n")}
	}
	require.NoError(t, os.CopyFS(root, files))
	list := func() (text string) {
		all, err := List(root)
		if err != nil {
			return strings.ReplaceAll(err.Error(), root, "ROOT")
		}
		for _, s := range all {
			text += fmt.Sprintf("%d %s %s %s; ", s.Step, s.Name, s.Title, s.Why)
		}
		return text
	}
	for _, test := range []struct{ steps, want string }{
		{"", "0 a The a ; 0 b The b ; 0 c/d The c/d ; 0 e The e ; "},
		{"steps: [{scenario: c/d, why: first}, {scenario: b, why: second}]", "1 c/d The c/d first; 2 b The b second; 0 a The a ; 0 e The e ; "},
		{"steps: [{name: c/d}]", `ROOT/steps.yaml: error unmarshaling JSON: while decoding JSON: unknown field "name"`},
	} {
		if test.steps != "" {
			require.NoError(t, os.WriteFile(filepath.Join(root, "steps.yaml"), []byte(test.steps), 0o644))
		}
		assert.Equal(t, test.want, list(), test.steps)
	}
}
