package record

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func header() *Comparison {
	return &Comparison{
		Began: time.Date(2026, 11, 22, 8, 5, 36, 555e6, time.UTC), Command: "fleetman compare --arms none",
		Conditions: Conditions{
			Seeds: []uint64{18446744073709551615}, Rate: 10, Target: "gateway", Machine: "2 cores", SLO: Offset(1500 * time.Millisecond),
			Versions: map[string]string{"fleetman": "0123456789ab"}, Healthy: Offset(3 * time.Second), Fault: Offset(15 * time.Second), After: Offset(13200 * time.Millisecond),
		},
	}
}

func sample() *Run {
	const ms = Offset(time.Millisecond)
	return &Run{
		Key: Key{Arm: "library", Fault: "bad-replica", Seed: 18446744073709551615}, Began: time.Date(2026, 11, 22, 8, 5, 36, 555e6, time.UTC),
		Rate: 10, FaultAt: 5000 * ms, RepairAt: 20_000 * ms, End: 35_000 * ms, Rules: "status=502,rate=0.5", Pods: []string{"staff-service-0"}, Replicas: 2, Curve: true, LoadUntil: 30_000 * ms,
		Settings: []string{"k8s/base", "api-gateway RESILIENCE=library"}, Measurements: 1, Entry: "api-gateway",
		Hops:  []Hop{{Caller: "api-gateway", Upstream: "staff-service", Methods: []string{"GET"}, Per: []string{"GET /vehicles/driver/:name"}, Calls: 1}},
		ArmOf: "library", FaultOf: "bad-replica", Point: map[string]string{"attempts": "3"},
		Requests: []Request{
			{Intended: 0, Start: 1, End: 2*ms + 3000, Route: RouteDriver, Vehicle: "City Truck", Status: 200, Degraded: "last-known; age=3s"},
			{
				Intended: 100 * ms, Start: 100 * ms, End: 10_100 * ms, Route: RouteDriver, Vehicle: "Village Truck", Error: "no answer in time", Delayed: true, Injected: "delay", Origin: "timeout; service=api-gateway",
				AccessLog: []AccessLogEntry{{At: 101 * ms, Proxy: "api-gateway-0", Side: Out, Status: 504, Flags: "UT", Details: "response_timeout", To: "staff-service-0", Fault: "delay"}},
			},
		},
		Events:    []Event{{At: 5000 * ms, Who: Launcher, What: EventFaultSet, Detail: "on staff-service-0"}, {At: -1 * ms, Who: "staff-service-0", What: "ready"}},
		Samples:   []Sample{{At: 1000 * ms, Pod: "api-gateway-0", Counts: []Count{{CountClient, "GET staff-service", 12}, {CountCPU, "", 1.25}}, UsageOnly: true}},
		Positions: []Position{{At: 123 * ms, Vehicle: "City Truck"}},
	}
}

// text is a whole file.
func text(t testing.TB, c *Comparison) string {
	t.Helper()
	var file bytes.Buffer
	require.NoError(t, WriteHeader(&file, c))
	for _, r := range c.Runs {
		require.NoError(t, Write(&file, r))
	}
	return file.String()
}

func TestRoundTrip(t *testing.T) {
	other := sample()
	other.Arm, other.Requests, other.Samples = "none", nil, nil
	written := header()
	written.Runs = []*Run{sample(), other}
	file := text(t, written)
	assert.Contains(t, file, `{"kind":"request","arm":"library","fault":"bad-replica","seed":18446744073709551615,"intended":0,"start":0,"end":0.002003,"route":"driver","vehicle":"City Truck","status":200,"degraded":"last-known; age=3s"}`+"\n", "file")
	read, err := Read(strings.NewReader(file), "records")
	require.NoError(t, err)
	written.Runs[0].Requests[0].Start = 0 // kept to the microsecond
	assert.Equal(t, written, read, "what is read")
}

func TestBadLines(t *testing.T) {
	c := header()
	c.Runs = []*Run{sample()}
	whole := text(t, c)
	lines := strings.SplitAfter(whole, "\n")
	first, run := lines[0], lines[0]+lines[1]
	key := `"arm":"library","fault":"bad-replica","seed":18446744073709551615`
	for name, test := range map[string]struct{ text, want string }{
		"empty":            {"", "r.jsonl: no runs"},
		"no run":           {first, "r.jsonl: no runs"},
		"cut off":          {whole[:len(whole)-9], "r.jsonl:8: RUN: the line is cut off"},
		"cut off at }":     {strings.TrimSuffix(whole, "\n"), "r.jsonl:8: RUN: the line is cut off"},
		"garbage":          {first + "garbage\n", "r.jsonl:2: not a JSON object: invalid character 'g' looking for beginning of value"},
		"garbage first":    {"garbage\n", "r.jsonl:1: not a JSON object: invalid character 'g' looking for beginning of value"},
		"binary":           {first + "\x00\xff\n", `r.jsonl:2: not a JSON object: invalid character '\x00' looking for beginning of value`},
		"empty line":       {whole + "\n", "r.jsonl:9: not a JSON object: unexpected end of JSON input"},
		"no header":        {lines[1], `r.jsonl:1: kind: "run": must be comparison in the first line; records of an older fleetman are not read`},
		"older records":    {`{"kind":"requests","arm":"none"}` + "\n", `r.jsonl:1: kind: "requests": must be comparison in the first line; records of an older fleetman are not read`},
		"another format":   {strings.Replace(first, `"format":3`, `"format":2`, 1), "r.jsonl:1: format: 2: must be 3; make the comparison again, or read it with the fleetman that made it"},
		"no seeds":         {strings.Replace(first, `[18446744073709551615]`, `[]`, 1), "r.jsonl:1: seeds: none: must be at least one"},
		"no command":       {strings.Replace(first, `"fleetman compare`, `"rm`, 1), `r.jsonl:1: command: "rm --arms none": must be a command line of fleetman`},
		"no SLO":           {strings.Replace(first, `"sloSeconds":1.5`, `"sloSeconds":0`, 1), "r.jsonl:1: sloSeconds: 0: must be more than 0"},
		"a hop to nowhere": {first + strings.Replace(lines[1], `"upstream":"staff-service"`, `"upstream":""`, 1), "r.jsonl:2: RUN: hops: must have a caller, an upstream and calls"},
		"header rate":      {strings.Replace(first, `"rate":10`, `"rate":-1`, 1), "r.jsonl:1: rate: -1: must be more than 0"},
		"no run's line":    {first + lines[2], `r.jsonl:2: RUN: kind: "request": must come after the run line of its run`},
		"unknown kind":     {run + `{"kind":"x",` + key + "}\n", `r.jsonl:3: RUN: kind: "x": must be one of run, request, event, sample, position`},
		"a second header":  {run + `{"kind":"comparison",` + key + "}\n", `r.jsonl:3: RUN: kind: "comparison": must be one of run, request, event, sample, position`},
		"unknown field":    {run + `{"kind":"event",` + key + `,"when":1}` + "\n", `r.jsonl:3: RUN: json: unknown field "when"`},
		"not seconds":      {run + `{"kind":"event",` + key + `,"at":"1s"}` + "\n", `r.jsonl:3: RUN: offset: "1s": must be seconds`},
		"too far":          {run + `{"kind":"event",` + key + `,"at":1e300}` + "\n", `r.jsonl:3: RUN: offset: 1e300: must be seconds`},
		"ends before":      {run + `{"kind":"request",` + key + `,"intended":1,"start":1,"end":0.5}` + "\n", "r.jsonl:3: RUN: intended, start, end: must be in this order"},
		"repair too early": {first + strings.Replace(lines[1], `"repairAt":20`, `"repairAt":5`, 1), "r.jsonl:2: RUN: faultAt, repairAt, end: must be in this order"},
		"load too short":   {first + strings.Replace(lines[1], `"loadUntil":30`, `"loadUntil":19`, 1), "r.jsonl:2: RUN: loadUntil: must be between repairAt and end"},
		"no rate":          {first + strings.Replace(lines[1], `"rate":10`, `"rate":0`, 1), "r.jsonl:2: RUN: rate: 0: must be more than 0"},
		"too long":         {first + strings.Repeat("x", maxLine+1), "r.jsonl:2: the line is too long: must be at most 1048576 bytes"},
	} {
		read, err := Read(strings.NewReader(test.text), "r.jsonl")
		wants.Error(t, name, err, strings.ReplaceAll(test.want, "RUN", sample().Name()))
		assert.Nil(t, read, name)
	}
}

// TestReadWhole: what is wrong with one run leaves the others, wherever it is in the
// file. Each run that is not whole has one defect.
func TestReadWhole(t *testing.T) {
	c := header()
	for _, arm := range []string{"none", "library", "mesh"} {
		run := sample()
		run.Arm = arm
		c.Runs = append(c.Runs, run)
	}
	whole := text(t, c)
	lines := strings.SplitAfter(whole, "\n") // the runs are the lines 2 to 8, 9 to 15, 16 to 22
	change := func(number int, line string) string {
		changed := slices.Clone(lines)
		changed[number-1] = line
		return strings.Join(changed, "")
	}
	const seed = "bad-replica, seed 18446744073709551615: "
	for name, test := range map[string]struct {
		text, arms string
		defects    []string
	}{
		"whole":                   {whole, "none library mesh", nil},
		"a line missing":          {change(4, ""), "library mesh", []string{"r.jsonl:2: none, " + seed + "lines: 5: must be 6: some are missing"}},
		"a line twice":            {change(4, lines[3]+lines[3]), "library mesh", []string{"r.jsonl:2: none, " + seed + "lines: 7: must be 6: there are more than the run has"}},
		"garbage":                 {change(11, "x\n"), "none mesh", []string{"r.jsonl:11: library, " + seed + "not a JSON object: invalid character 'x' looking for beginning of value"}},
		"garbage between":         {change(8, lines[7]+"x\n"), "none library mesh", []string{"r.jsonl:9: not a JSON object: invalid character 'x' looking for beginning of value"}},
		"no run's line":           {change(9, ""), "none mesh", []string{"r.jsonl:9: library, " + seed + `kind: "request": must come after the run line of its run`}},
		"a bad run's line":        {change(9, strings.Replace(lines[8], `"rate":10`, `"rate":0`, 1)), "none mesh", []string{"r.jsonl:9: library, " + seed + "rate: 0: must be more than 0"}},
		"a line of another":       {change(11, lines[3]), "mesh", []string{"r.jsonl:9: library, " + seed + "lines: 5: must be 6: some are missing", "r.jsonl:11: none, " + seed + `kind: "request": must come after the run line of its run`}},
		"a run twice":             {whole + strings.Join(lines[1:8], ""), "library mesh", []string{"r.jsonl:23: none, " + seed + "must be there once"}},
		"cut off, the first line": {whole[:20], "", nil},
		"cut off, in a line":      {whole[:len(whole)-9], "none library", []string{"r.jsonl:22: mesh, " + seed + "the line is cut off"}},
		"cut off, after a line":   {strings.Join(lines[:20], ""), "none library", []string{"r.jsonl:16: mesh, " + seed + "lines: 4: must be 6: some are missing"}},
		"cut off, a run's line":   {strings.Join(lines[:15], "") + lines[15][:40], "none library", []string{"r.jsonl:16: the line is cut off"}},
	} {
		read, defects, err := ReadWhole(strings.NewReader(test.text), "r.jsonl")
		require.NoError(t, err, name)
		var arms, got []string
		if read != nil {
			for _, r := range read.Runs {
				arms = append(arms, r.Arm)
			}
		}
		for _, d := range defects {
			got = append(got, d.String())
		}
		assert.Equal(t, test.arms, strings.Join(arms, " "), name+", whole runs")
		assert.Equal(t, test.defects, got, name+", defects")
	}
}

// TestDifference compares every field of the conditions.
func TestDifference(t *testing.T) {
	assert.Equal(t, "", header().Difference(header().Conditions), "the same")
	for want, change := range map[string]func(*Conditions){
		"rate: 10 and 20":                                            func(c *Conditions) { c.Rate = 20 },
		"seeds: [18446744073709551615] and [1]":                      func(c *Conditions) { c.Seeds = []uint64{1} },
		`machine: "2 cores" and "4 cores"`:                           func(c *Conditions) { c.Machine = "4 cores" },
		`versions: {"fleetman":"0123456789ab"} and {"fleetman":"b"}`: func(c *Conditions) { c.Versions = map[string]string{"fleetman": "b"} },
		"faultSeconds: 15 and 16":                                    func(c *Conditions) { c.Fault = Offset(16 * time.Second) },
		`target: "gateway" and "page"`:                               func(c *Conditions) { c.Target = "page" },
	} {
		other := header().Conditions
		change(&other)
		assert.Equal(t, want, header().Difference(other), "difference")
	}
}

// TestLateness: with the generator stopped for 4 s, the requests that were due
// meanwhile start late; those that wait for answers do not count.
func TestLateness(t *testing.T) {
	requests := func(lateness func(n int) time.Duration, delayed bool) *Run {
		r := new(Run)
		for n := range 300 {
			intended := Offset(n) * Offset(100*time.Millisecond)
			r.Requests = append(r.Requests, Request{Intended: intended, Start: intended + Offset(lateness(n)), Delayed: delayed})
		}
		return r
	}
	stopped := func(n int) time.Duration {
		if n >= 100 && n < 140 {
			return time.Duration(140-n) * 100 * time.Millisecond
		}
		return time.Millisecond
	}
	for name, test := range map[string]struct {
		run  *Run
		want Lateness
		late bool
	}{
		"none":             {new(Run), Lateness{}, false},
		"on time":          {requests(func(int) time.Duration { return time.Millisecond }, false), Lateness{time.Millisecond, time.Millisecond}, false},
		"stopped":          {requests(stopped, false), Lateness{3700 * time.Millisecond, 4 * time.Second}, true},
		"in flight":        {requests(stopped, true), Lateness{}, false},
		"busy for a while": {requests(func(n int) time.Duration { return time.Duration(n/297) * 200 * time.Millisecond }, false), Lateness{0, 200 * time.Millisecond}, false},
		"one too late":     {requests(func(n int) time.Duration { return time.Duration(n/299) * 251 * time.Millisecond }, false), Lateness{0, 251 * time.Millisecond}, true},
		"always late":      {requests(func(int) time.Duration { return 11 * time.Millisecond }, false), Lateness{11 * time.Millisecond, 11 * time.Millisecond}, true},
	} {
		got := test.run.Lateness()
		assert.Equal(t, test.want, got, name)
		assert.Equal(t, test.late, got.TooLate(), name+", too late")
	}
}

func TestGoodAndFailed(t *testing.T) {
	for name, test := range map[string]struct {
		request      Request
		good, failed bool
	}{
		"200":            {Request{Status: 200}, true, false},
		"201":            {Request{Status: 201}, true, false},
		"204":            {Request{Status: 204}, true, false},
		"degraded":       {Request{Status: 200, Degraded: "placeholder"}, false, false},
		"broken off":     {Request{Status: 200, Error: "connection reset"}, false, true},
		"redirected":     {Request{Status: 302}, false, true},
		"not found":      {Request{Status: 404}, false, true},
		"without answer": {Request{Error: "no answer in time"}, false, true},
	} {
		assert.Equal(t, test.good, test.request.Good(), name+", good")
		assert.Equal(t, test.failed, test.request.Failed(), name+", failed")
	}
}

func TestLastKnown(t *testing.T) {
	for degraded, want := range map[string]time.Duration{"last-known; age=12s": 12 * time.Second, "last-known; age=0s": 0, "placeholder": -1, "": -1, "last-known": -1, "speed": -1, "last-known; age=x": -1} {
		age, ok := Request{Degraded: degraded}.LastKnown()
		assert.Equal(t, want >= 0, ok, degraded)
		assert.Equal(t, max(want, 0), age, degraded+", age")
	}
}

func FuzzRead(f *testing.F) {
	c := header()
	c.Runs = []*Run{sample()}
	f.Add(text(f, c))
	f.Fuzz(func(t *testing.T, input string) {
		read, err := Read(strings.NewReader(input), "r.jsonl")
		if (err == nil) == (read == nil) {
			t.Fatalf("%v and %v", read, err)
		}
		if err != nil {
			return
		}
		again, err := Read(strings.NewReader(text(t, read)), "again")
		require.NoError(t, err)
		assert.Equal(t, len(read.Runs), len(again.Runs), "runs, written and read again")
	})
}
