package record

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sample() *Cell {
	const ms = Moment(time.Millisecond)
	return &Cell{
		Key: Key{Arm: "library", Fault: "bad-replica", Seed: 18446744073709551615}, Began: time.Date(2026, 11, 22, 8, 5, 36, 555e6, time.UTC),
		Rate: 10, FaultAt: 5000 * ms, RepairAt: 20_000 * ms, End: 35_000 * ms, Rules: "status=502,rate=0.5", Pods: []string{"staff-service-0"}, Curve: true, LoadUntil: 30_000 * ms,
		Requests: []Request{
			{Intended: 0, Start: 1, End: 2*ms + 3000, Vehicle: "City Truck", Status: 200, Degraded: "last-known; age=3s"},
			{
				Intended: 100 * ms, Start: 100 * ms, End: 10_100 * ms, Vehicle: "Village Truck", Error: "no answer in time", Held: true, Injected: "delay",
				Passages: []Passage{{At: 101 * ms, Proxy: "api-gateway-0", Side: Out, Status: 504, Flags: "UT", Details: "response_timeout", To: "staff-service-0", Fault: "delay"}},
			},
		},
		Events:    []Event{{At: 5000 * ms, Who: "fleetman", What: "fault set", Detail: "on staff-service-0"}, {At: -1 * ms, Who: "staff-service-0", What: "ready"}},
		Samples:   []Sample{{At: 1000 * ms, Pod: "api-gateway-0", Counts: []Count{{"client", "GET staff-service", 12}, {"cpu", "", 1.25}}, Usage: true}},
		Positions: []Position{{At: 123 * ms, Vehicle: "City Truck"}},
	}
}

func TestRoundTrip(t *testing.T) {
	other := sample()
	other.Arm, other.Requests, other.Samples = "none", nil, nil
	var file bytes.Buffer
	written := []*Cell{sample(), other}
	for _, c := range written {
		if err := Write(&file, c); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(file.String(), `{"kind":"request","arm":"library","fault":"bad-replica","seed":18446744073709551615,"intended":0,"start":0,"end":0.002003,"vehicle":"City Truck","status":200,"degraded":"last-known; age=3s"}`+"\n") {
		t.Errorf("got\n%s", file.String())
	}
	read, err := Read(&file, "records")
	if err != nil {
		t.Fatal(err)
	}
	written[0].Requests[0].Start = 0 // kept to the microsecond
	if !reflect.DeepEqual(read, written) {
		t.Errorf("got %+v, want %+v", read[0], written[0])
	}
}

func TestBadLines(t *testing.T) {
	var file bytes.Buffer
	if err := Write(&file, sample()); err != nil {
		t.Fatal(err)
	}
	whole := file.String()
	lines := strings.SplitAfter(whole, "\n")
	key := `"arm":"library","fault":"bad-replica","seed":18446744073709551615`
	for name, test := range map[string]struct{ text, want string }{
		"empty":            {"", "r.jsonl: no records"},
		"cut off":          {whole[:len(whole)-9], "r.jsonl:7: the line is cut off"},
		"cut off at }":     {strings.TrimSuffix(whole, "\n"), "r.jsonl:7: the line is cut off"},
		"garbage":          {lines[0] + "garbage\n", "r.jsonl:2: one JSON object a line is expected: invalid character 'g' looking for beginning of value"},
		"binary":           {lines[0] + "\x00\xff\n", `r.jsonl:2: one JSON object a line is expected: invalid character '\x00' looking for beginning of value`},
		"empty line":       {lines[0] + "\n" + lines[1], "r.jsonl:2: one JSON object a line is expected: unexpected end of JSON input"},
		"no cell":          {lines[1], `r.jsonl:1: kind: "request"; the first line has to be a cell`},
		"another's":        {lines[0] + strings.Replace(lines[1], "library", "none", 1), `r.jsonl:2: arm "none", fault "bad-replica", seed 18446744073709551615: not of the cell before it, library, bad-replica, seed 18446744073709551615`},
		"twice":            {whole + lines[0], "r.jsonl:8: library, bad-replica, seed 18446744073709551615: a second time"},
		"unknown kind":     {lines[0] + `{"kind":"x",` + key + "}\n", `r.jsonl:2: kind: "x"; one of cell, request, event, sample, position is expected`},
		"unknown field":    {lines[0] + `{"kind":"event",` + key + `,"when":1}` + "\n", `r.jsonl:2: json: unknown field "when"`},
		"not seconds":      {lines[0] + `{"kind":"event",` + key + `,"at":"1s"}` + "\n", `r.jsonl:2: "1s": seconds are expected`},
		"too far":          {lines[0] + `{"kind":"event",` + key + `,"at":1e300}` + "\n", `r.jsonl:2: 1e300: seconds are expected`},
		"ends before":      {lines[0] + `{"kind":"request",` + key + `,"intended":1,"start":1,"end":0.5}` + "\n", "r.jsonl:2: start, end: not before intended, and in this order, are expected"},
		"repair too early": {strings.Replace(lines[0], `"repairAt":20`, `"repairAt":5`, 1), "r.jsonl:1: faultAt, repairAt, end: moments in this order are expected"},
		"load too short":   {strings.Replace(lines[0], `"loadUntil":30`, `"loadUntil":19`, 1), "r.jsonl:1: loadUntil: a moment from repairAt to end is expected"},
		"no rate":          {strings.Replace(lines[0], `"rate":10`, `"rate":0`, 1), "r.jsonl:1: rate: 0; more than 0 is expected"},
		"too long":         {lines[0] + strings.Repeat("x", maxLine+1), "r.jsonl:2: at most 1048576 bytes are expected"},
	} {
		cells, err := Read(strings.NewReader(test.text), "r.jsonl")
		if err == nil || err.Error() != test.want || cells != nil {
			t.Errorf("%s: got %v, %v\nwant %s", name, cells, err, test.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	if err := Write(&file, sample()); err != nil {
		f.Fatal(err)
	}
	f.Add(file.String())
	f.Fuzz(func(t *testing.T, text string) {
		cells, err := Read(strings.NewReader(text), "r.jsonl")
		if (err == nil) == (cells == nil) {
			t.Fatalf("%d cells and %v", len(cells), err)
		}
		var again bytes.Buffer
		for _, c := range cells {
			if err := Write(&again, c); err != nil {
				t.Fatal(err)
			}
		}
		if read, err2 := Read(&again, "again"); err == nil && (err2 != nil || len(read) != len(cells)) {
			t.Fatalf("what was read, written again, is not read: %v", err2)
		}
	})
}
