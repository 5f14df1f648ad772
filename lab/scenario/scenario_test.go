package scenario

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fleetman.example/lab/manifest"
)

// good is a file with everything in it.
const good = `
promises:
  - promise: one in ten
    given: {set: ["staff-service:VARIANT=bad"]}
    checks:
      - requests:
          from: workload:webapp
          to: fleetman-staff-service:8080
          host: fleetman.localhost
          method: POST
          path: /driver/City%20Truck?a=b
          headers: {x-my-header: canary}
          eachHeader: {name: x-myval, values: 20}
          count: 1000
          rate: 2.5
          timeout: 5s
          seed: 7
        actions:
          - {after: 5s, workload: staff-service, faults: none}
        expect:
          - answers: {status: [200, 5xx], body: a+, header: {x-fallback: "^$"}, slowerThan: 1s, fasterThan: 2s}
            count: {share: 0.1, confidence: 0.9999}
          - received: {by: [staff-service], method: GET, path: ^/driver/, identity: ^spiffe}
            count: {perRequest: 9}
          - consistent: {capture: "<title>(.*)</title>"}
            count: all
          - distinct: {capture: photo}
            count: {atLeast: 2, atMost: 2}
          - settles: {good: {status: [200]}, afterAtMost: 10, run: 100, lastsAtLeast: 25s, lastsAtMost: 65s}
          - recovers: {good: {status: [200]}, within: 11s, run: 10}
    control: {without: [rules]}
`

func TestDecode(t *testing.T) {
	file, err := Decode("expect.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	p := file.Promises[0]
	c := p.Checks[0]
	r := c.Requests
	if p.Promise != "one in ten" || p.Given.Set[0] != (Setting{"staff-service", "VARIANT", "bad"}) || p.Control.Without[0] != "rules" || file.Source != "expect.yaml" {
		t.Errorf("promise %+v", p)
	}
	if r.From != (Origin{Workload: "webapp"}) || r.Rate != 2.5 || r.Timeout.Duration != 5*time.Second || r.EachHeader.Values != 20 || r.Seed != 7 || r.Path != "/driver/City%20Truck?a=b" {
		t.Errorf("requests %+v", r)
	}
	a := c.Expect[0].Answers
	if !a.Status[0].Is(200) || a.Status[0].Is(201) || !a.Status[1].Is(503) || a.Status[1].Is(404) || !a.Body.MatchString("caat") || a.SlowerThan.Duration != time.Second {
		t.Errorf("answers %+v", a)
	}
	if got := c.Expect[4].Settles; got.AfterAtMost != 10 || got.Run != 100 || got.LastsAtMost.Duration != 65*time.Second {
		t.Errorf("settles %+v", got)
	}
	if c.Actions[0].After.Duration != 5*time.Second || *c.Expect[1].Count.PerRequest != 9 || !c.Expect[2].Count.All {
		t.Errorf("check %+v", c)
	}
}

func TestDecodeBadInput(t *testing.T) {
	const check = "expect.yaml: promises[0].checks[0]"
	for _, test := range []struct{ name, old, replacement, want string }{
		{"a misspelt field", "promise: one", "promises: one", `expect.yaml: unknown field "promises[0].promises"`},
		{"a misspelt field far in", "afterAtMost: 10", "after: 10", `expect.yaml: unknown field "promises[0].checks[0].expect[4].settles.after"`},
		{"a second document", "promises:", "promises: []\n--- # more\npromises:", "expect.yaml:1: a second document: must be one alone"},
		{"a field twice", "count: 1000", "count: 1000\n          count: 10", `expect.yaml: not YAML: line 15: key "count" already set in map`},
		{"no YAML", "promises:", "promises: [", "expect.yaml: not YAML: "},
		{"no sentence", "promise: one in ten", `promise: ""`, `expect.yaml: promises[0].promise: ""; a sentence in one line is expected`},
		{"no control", "control: {without: [rules]}", "", "expect.yaml: promises[0].control: 0 of without, with, set and scenario; exactly one is expected: a promise that nothing breaks proves nothing"},
		{"two controls", "without: [rules]", "without: [rules], scenario: plain", "expect.yaml: promises[0].control: 2 of without, with, set and scenario; exactly one is expected: a promise that nothing breaks proves nothing"},
		{"a control of nothing", "without: [rules]", "without: [rulez]", `expect.yaml: promises[0].control.without[0]: "rulez"; rules, sidecars, or an object such as "ServiceEntry driver-monitoring" is expected`},
		{"a file elsewhere", "without: [rules]", "with: ../other.yaml", `expect.yaml: promises[0].control.with: "../other.yaml"; the name of a file beside expect.yaml is expected`},
		{"a control elsewhere", "without: [rules]", "scenario: ../../etc", `expect.yaml: promises[0].control.scenario: "../../etc"; a directory below k8s/scenarios, such as mtls-strict, is expected`},
		{"an origin nobody knows", "from: workload:webapp", "from: pod:webapp", `expect.yaml: "pod:webapp"; ingress, nodePort:PORT or workload:DEPLOYMENT is expected`},
		{"a node port of nowhere", "from: workload:webapp", "from: nodePort:80800", `expect.yaml: "nodePort:80800"; ingress, nodePort:PORT or workload:DEPLOYMENT is expected`},
		{"no origin", "from: workload:webapp", "", check + ".requests.from: missing; ingress, nodePort:PORT or workload:DEPLOYMENT is expected"},
		{"a target for the ingress", "from: workload:webapp", "from: ingress", check + `.requests.to: "fleetman-staff-service:8080"; only a workload chooses whom it calls`},
		{"no target", "to: fleetman-staff-service:8080", "", check + `.requests.to: ""; host:port is expected of a workload's call`},
		{"a target without port", "service:8080", "service", check + `.requests.to: "fleetman-staff-service"; host:port is expected of a workload's call`},
		{"a path with a space", "City%20Truck", "City Truck", check + `.requests.path: "/driver/City Truck?a=b"; an escaped path such as /driver/City%20Truck is expected`},
		{"a bad escape", "City%20Truck", "City%2", check + `.requests.path: "/driver/City%2?a=b"; an escaped path such as /driver/City%20Truck is expected`},
		{"a method of small letters", "method: POST", "method: post", check + `.requests.method: "post"; a method such as GET is expected`},
		{"a header that is none", "x-my-header: canary", `"x my": canary`, check + `.requests.headers: "x my": "canary"; a header is expected`},
		{"no requests", "count: 1000", "count: 0", check + ".requests.count: 0; 1 to 100000 is expected"},
		{"a day of requests", "count: 1000", "count: 1000000000", check + ".requests.count: 1000000000; 1 to 100000 is expected"},
		{"a number that is none", "count: 1000", "count: many", "expect.yaml: cannot unmarshal string into Go struct field "},
		{"rate and concurrency", "rate: 2.5", "rate: 2.5\n          concurrency: 5", check + ".requests.rate: there is a concurrency too; one of the two is expected"},
		{"a rate below zero", "rate: 2.5", "rate: -1", check + ".requests.rate: -1; more than 0, and at most 10000 a second, is expected"},
		{"too many values", "values: 20", "values: 900", check + ".requests.eachHeader.values: 900; 2 at least, and two requests for each, are expected"},
		{"header and source", "rate: 2.5", "eachSource: 5", check + ".requests.eachSource: there is an eachHeader too; one of the two is expected"},
		{"a time-out without unit", "timeout: 5s", "timeout: 5", "expect.yaml: 5; a duration such as 1.5s is expected"},
		{"a time-out below zero", "timeout: 5s", "timeout: -5s", `expect.yaml: "-5s"; a duration such as 1.5s, an hour at most, is expected`},
		{"a setting without a name", "staff-service:VARIANT=bad", "staff-service=bad", `expect.yaml: "staff-service=bad"; DEPLOYMENT:NAME=VALUE, such as staff-service:VARIANT=bad, is expected`},
		{"a status that is none", "[200, 5xx]", "[2000]", `expect.yaml: "2000"; a status such as 200 or 5xx is expected`},
		{"a class that is none", "[200, 5xx]", "[9xx]", `expect.yaml: "9xx"; a status such as 200 or 5xx is expected`},
		{"a pattern that does not close", "body: a+", `body: "(a"`, "expect.yaml: error parsing regexp: missing closing ): `(a`"},
		{"two observations in one", "- distinct: {", "- answers: {status: [200]}\n            distinct: {", check + ".expect[3]: 2 of answers, received, consistent, distinct, settles and recovers; exactly one is expected"},
		{"an answer of nothing", "{status: [200, 5xx], body: a+, header: {x-fallback: \"^$\"}, slowerThan: 1s, fasterThan: 2s}", "{}", check + ".expect[0].answers: some of status, body, header, fasterThan and slowerThan, or reset alone, are expected"},
		{"slower than faster", "fasterThan: 2s", "fasterThan: 1s", check + ".expect[0].answers: slowerThan 1s and fasterThan 1s leave nothing between them"},
		{"no bound", "            count: all\n", "", check + ".expect[2].count: missing; all, none, or bounds are expected"},
		{"a bound nobody knows", "count: all", "count: most", `expect.yaml: "most": cannot unmarshal string into Go value`},
		{"a bound misspelt", "atLeast: 2", "atleats: 2", `expect.yaml: {"atMost":2,"atleats":2}: unknown field "atleats"; all, none, or one of atLeast, atMost, perRequest, share, shareAtLeast and shareAtMost is expected`},
		{"a share without confidence", ", confidence: 0.9999", "", check + ".expect[0].count.confidence: 0; with a share, 0.9 up to below 1 is expected"},
		{"a feeling", "confidence: 0.9999", "confidence: 0.5", check + ".expect[0].count.confidence: 0.5; with a share, 0.9 up to below 1 is expected"},
		{"a share above one", "share: 0.1", "share: 10", check + ".expect[0].count: a share of 10; 0 to 1 is expected"},
		{"a bound that holds always", "count: {share: 0.1, confidence: 0.9999}", "count: {atMost: 1000}", check + ".expect[0].count: every number of 1000 passes, from 0 on; bounds that can be broken are expected"},
		{"a bound that never holds", "count: {share: 0.1, confidence: 0.9999}", "count: {atLeast: 1001}", check + ".expect[0].count: at least 1001 of 1000"},
		{"bounds the wrong way", "{atLeast: 2, atMost: 2}", "{atLeast: 3, atMost: 2}", check + ".expect[3].count: from 3 to 2"},
		{"a run that does not fit", "run: 100,", "run: 1000,", check + ".expect[4].settles: 10 others and then 1000 good ones do not fit into 1000 requests"},
		{"nothing to recover from", "        actions:\n          - {after: 5s, workload: staff-service, faults: none}\n", "", check + ".expect[5].recovers: no actions to recover from"},
		{"tries for each answer", "count: {share: 0.1, confidence: 0.9999}", "count: {perRequest: 1}", check + ".expect[0].count.perRequest: only calls that were received are counted for each request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("no %q in the good file", test.old)
			}
			_, err := Decode("expect.yaml", []byte(strings.Replace(good, test.old, test.replacement, 1)))
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); !strings.HasPrefix(got, test.want) || strings.Contains(got, "\n") {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "expect.yaml")
	if err := os.WriteFile(path, []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	if file, err := Load(path); err != nil || file.Source != path || len(file.Promises) != 1 {
		t.Errorf("%+v, %v", file, err)
	}
	if _, err := Load(filepath.Dir(path)); err == nil || !strings.HasSuffix(err.Error(), ": not a file of at most 1048576 bytes") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Load(path + ".none"); err == nil || !strings.HasPrefix(err.Error(), "reading a scenario's promises: stat ") {
		t.Errorf("nothing: %v", err)
	}
}

// TestRange holds the bounds against the binomial distribution's own
// quantiles, computed with exact fractions.
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
		if low, high := test.count.Range(test.n); low != test.low || high != test.high {
			t.Errorf("%s: %d to %d, want %d to %d", test.name, low, high, test.low, test.high)
		}
	}
}

func TestCheckAgainst(t *testing.T) {
	objects, err := manifest.Load("../../k8s/scenarios/mtls-strict")
	if err != nil {
		t.Fatal(err)
	}
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
		{"what is there", file(control, requests, expect), ""},
		{"a workload's call", file("without: [sidecars]", `from: "workload:webapp", to: "fleetman-staff-service.default:8080", path: /`, "received: {by: [staff-service], identity: a}, count: all"), ""},
		{"a node port that is not there", file(control, `from: "nodePort:32001", path: /`, expect), "promises[0].checks[0].requests.from: no Service has the node port 32001"},
		{"a workload that is not there", file(control, `from: "workload:web", to: "a:1", path: /`, expect), `promises[0].checks[0].requests.from: no Deployment "web"; there are api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"a Service that is not there", file(control, `from: "workload:webapp", to: "staff:8080", path: /`, expect), "promises[0].checks[0].requests.to: no Service staff in the manifests"},
		{"a receiver that is not there", file(control, requests, "received: {by: [staff]}, count: all"), `promises[0].checks[0].expect[0].received.by: no Deployment "staff"; there are api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"an object that is not there", file("without: [PeerAuthentication other]", requests, expect), "promises[0].control.without[0]: the manifests have no PeerAuthentication other to leave out"},
		{"a setting of nobody", file(`set: ["staff:A=b"]`, requests, expect), `promises[0].control.set[0]: no Deployment "staff"; there are api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Decode("expect.yaml", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := f.CheckAgainst(objects); err != nil {
				got = strings.TrimPrefix(err.Error(), "expect.yaml: ")
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	plain, err := manifest.Load("../../k8s/base")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ text, want string }{
		{file("without: [rules]", `from: ingress, path: /`, expect), "promises[0].checks[0].requests.from: ingress, but the manifests have no Gateway"},
		{file("without: [sidecars]", `from: "nodePort:30080", path: /`, expect), "promises[0].control.without[0]: the manifests have no sidecars to leave out"},
		{file("scenario: plain", `from: "nodePort:30080", path: /`, "received: {by: [webapp], identity: a}, count: all"), "promises[0].checks[0].expect[0].received.identity: without sidecars nobody has one"},
	} {
		f, err := Decode("expect.yaml", []byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.CheckAgainst(plain); err == nil || err.Error() != "expect.yaml: "+test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
