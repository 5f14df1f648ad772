package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
)

func TestReadme(t *testing.T) { envtest.CheckReadme(t, readConfig) }

func TestConfigReportsAllErrors(t *testing.T) {
	envtest.Refuses(t, map[string]string{"STAFF_SERVICE_URL": "http://", "VEHICLE_TELEMETRY_URL": "x y", "HISTORY_LIMIT": "0"}, readConfig,
		"STAFF_SERVICE_URL", "VEHICLE_TELEMETRY_URL", "HISTORY_LIMIT")
}

// upstreams serves both as vehicle-telemetry and as staff-service, and records the requests.
type upstreams struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	header   http.Header
	answer   func(w http.ResponseWriter, r *http.Request) // nil: 200 with an empty body
}

func newUpstreams(t *testing.T) *upstreams {
	u := new(upstreams)
	u.Server = servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.requests = append(u.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		u.header = r.Header
		answer := u.answer
		u.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	})
	return u
}

// take returns the requests since its last call.
func (u *upstreams) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	requests := u.requests
	u.requests = nil
	return requests
}

func (u *upstreams) answers(f func(w http.ResponseWriter, r *http.Request)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = f
}

// speed returns the answers of a vehicle-telemetry that has computed a speed.
func speed(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, text)
		}
	}
}

// startWith starts the tracker with upstreams, and with changes of its environment, given as pairs of name and
// value.
func startWith(t *testing.T, changes ...string) (*servertest.Service, *upstreams) {
	u := newUpstreams(t)
	environment := map[string]string{"VEHICLE_TELEMETRY_URL": u.URL, "STAFF_SERVICE_URL": u.URL}
	for i := 0; i+1 < len(changes); i += 2 {
		environment[changes[i]] = changes[i+1]
	}
	return servertest.Start(t, run, environment), u
}

const first = `{"name":"City Truck","lat":53.37262733839452266693115234375,"lng":-1.484639234840869903564453125,"timestamp":"2023-11-13T05:31:33.279+0000","speed":12.5}`

func TestReport(t *testing.T) {
	s, u := startWith(t)
	for _, tc := range []struct{ name, answer, stored, posted string }{
		{"known", "7.4770534017002185024", "7.4770534017002185024", "7.4770534017002185024"},
		{"not yet known", "", "null", "0"},
		{"nonsense: the sender's own", "fast", "12.5", "12.5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u.answers(speed(tc.answer))
			s.Call(t, "DELETE", "/vehicles/", "")
			s.Call(t, "POST", "/vehicles/", first, "x-my-header", "canary", "X-Fault", "delay").Is(t, 200, "")
			want := []string{"GET /vehicles/City%20Truck", "POST /vehicles/ " + first, "POST /driver/City%20Truck/" + tc.posted}
			if got := u.take(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got requests %q, want %q", got, want)
			}
			if u.header.Get("x-my-header") != "canary" || u.header.Get("x-fault") != "" {
				t.Errorf("propagated headers: %v", u.header)
			}
			a := s.Call(t, "GET", "/vehicles/City%20Truck", "")
			if prefix, suffix := first[:strings.Index(first, `"timestamp"`)], `,"speed":`+tc.stored+`}`; a.Status != 200 || !strings.HasPrefix(a.Body, prefix) || !strings.HasSuffix(a.Body, suffix) {
				t.Errorf("got %d %s, want %s…%s", a.Status, a.Body, prefix, suffix)
			}
			var p struct{ Timestamp string }
			if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
				t.Fatal(err)
			}
			if received, err := time.Parse("2006-01-02T15:04:05.000+0000", p.Timestamp); err != nil || time.Since(received) > time.Minute {
				t.Errorf("time of receipt: %s", p.Timestamp)
			}
		})
	}
}

func TestStaffFailingIsA500WithTheReportKept(t *testing.T) {
	s, u := startWith(t, "VEHICLE_TELEMETRY_URL", "127.0.0.1:1") // without vehicle-telemetry only the speed is missing
	u.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for range 2 { // a repeated report is stored once
		s.Call(t, "POST", "/vehicles/", first).Has(t, 500, `"message":"status 502 reading staff-service POST /driver/City%20Truck/12.5","path":"/vehicles/"`)
	}
	if a := s.Call(t, "GET", "/history/City%20Truck", ""); a.Status != 200 || strings.Count(a.Body, `"name"`) != 1 {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

func TestHeadersWithoutPropagation(t *testing.T) {
	s, u := startWith(t, "PROPAGATE_HEADERS", "false")
	s.Call(t, "POST", "/vehicles/", first, "x-my-header", "canary", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(u.take()) != 3 || u.header.Get("x-my-header") != "" || u.header.Get("traceparent") != "" {
		t.Errorf("propagated headers: %v", u.header)
	}
}

func TestAnswers(t *testing.T) {
	s, _ := startWith(t)
	post := func(name, lat string) {
		s.Call(t, "POST", "/vehicles", `{"name":"`+name+`","lat":`+lat+`,"lng":-1.4}`).Has(t, 200, "")
	}
	s.Call(t, "GET", "/vehicles/", "").Is(t, 200, "[]")
	post("B", "53.10")
	post("A", "53.1")
	post("A", "53.2")
	a := s.Call(t, "GET", "//vehicles", "")
	if names := strings.Count(a.Body, `"name"`); a.Status != 200 || names != 2 || !strings.HasPrefix(a.Body, `[{"name":"A","lat":53.2,`) || !strings.Contains(a.Body, `,{"name":"B","lat":53.10,`) || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s %s", a.Status, a.Header, a.Body)
	}
	if a := s.Call(t, "GET", "/history/A/", ""); a.Status != 200 || !strings.HasPrefix(a.Body, `[{"name":"A","lat":53.2,`) || !strings.Contains(a.Body, `,{"name":"A","lat":53.1,`) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	before := s.Call(t, "GET", "/vehicles/", "").Body
	for _, tc := range []struct {
		method, target, body string
		status               int
		message              string
	}{
		{"GET", "/vehicles/Nobody", "", 404, `vehicle \"Nobody\" never seen","path":"/vehicles/Nobody"`},
		{"GET", "/history/Nobody", "", 404, `vehicle \"Nobody\" never seen`},
		{"GET", "/vehicles/a%2Fb", "", 400, "name: "},
		{"GET", "/history/%2e%2e", "", 400, "name: "},
		{"POST", "/vehicles/", `{"name":`, 400, "body: "},
		{"POST", "/vehicles/", `{"name":"A","lat":NaN,"lng":1}`, 400, "body: "},
		{"POST", "/vehicles/", `{"name":"A","lat":90.1,"lng":1}`, 400, "lat: 90.1: must be degrees from -90 to 90"},
		{"POST", "/vehicles/", `{"name":"A","lat":1,"lng":1,"timestamp":"9999-12-31T00:00:00Z"}`, 400, "timestamp: \\\"9999-12-31T00:00:00Z\\\": must be a time from the year 2000"},
		{"POST", "/vehicles/", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, "body: too large: must be at most 65536 bytes"},
		{"PUT", "/vehicles/", `{}`, 405, "method PUT not supported here"},
		{"DELETE", "/history/A", "", 405, "method DELETE not supported here"},
		{"DELETE", "/vehicles/a%2Fb", "", 400, "name: "},
		{"GET", "/history/", "", 404, "no such path"},
	} {
		s.Call(t, tc.method, tc.target, tc.body).Has(t, tc.status, `"message":"`+tc.message)
	}
	if after := s.Call(t, "GET", "/vehicles/", "").Body; after != before {
		t.Errorf("bad input changed the state: %s, then %s", before, after)
	}
	s.Call(t, "DELETE", "/vehicles/", "").Is(t, 200, "")
	s.Call(t, "GET", "/vehicles/", "").Is(t, 200, "[]")
}

// A sender that restarts deletes its own vehicles, and no others.
func TestForgetOneVehicle(t *testing.T) {
	s, _ := startWith(t)
	for _, name := range []string{"A", "B c"} {
		s.Call(t, "POST", "/vehicles/", `{"name":"`+name+`","lat":1,"lng":2}`).Has(t, 200, "")
	}
	for _, target := range []string{"/vehicles/B%20c", "/vehicles/B%20c", "/vehicles/nobody/"} {
		s.Call(t, "DELETE", target, "").Is(t, 200, "")
	}
	for target, want := range map[string]int{"/vehicles/A": 200, "/history/A": 200, "/vehicles/B%20c": 404, "/history/B%20c": 404} {
		s.Call(t, "GET", target, "").Has(t, want, "")
	}
	if a := s.Call(t, "GET", "/vehicles/", ""); strings.Count(a.Body, `"name"`) != 1 {
		t.Errorf("got %s", a.Body)
	}
}

func TestTooManyVehicles(t *testing.T) {
	s, _ := startWith(t, "MAX_VEHICLES", "1")
	for _, tc := range []struct {
		method, target, body string
		status               int
		answer               string
	}{
		{"POST", "/vehicles/", `{"name":"A","lat":1,"lng":2}`, 200, ""},
		{"POST", "/vehicles/", `{"name":"B","lat":1,"lng":2}`, 409, `"message":"name: \"B\": must be one of the 1 vehicles known (MAX_VEHICLES)"`},
		{"POST", "/vehicles/", `{"name":"A","lat":1,"lng":2}`, 200, ""},
		{"DELETE", "/vehicles/A", "", 200, ""},
		{"POST", "/vehicles/", `{"name":"B","lat":1,"lng":2}`, 200, ""},
	} {
		s.Call(t, tc.method, tc.target, tc.body).Has(t, tc.status, tc.answer)
	}
}

// Replays the recordings, with a vehicle-telemetry that answers as the original's did.
func TestGolden(t *testing.T) {
	recorded := func() (string, golden.Prepare) {
		s, u := startWith(t)
		return s.URL, func(calls []golden.Call, i int) {
			if c := calls[i]; c.Request.Method == "POST" && strings.HasPrefix(c.Name, "tracker digits ") {
				s.Call(t, "DELETE", "/vehicles/", "") // the reports have the same timestamp: a second one would be a repetition
			}
			u.answers(speed(speedAfter(calls, i)))
		}
	}
	golden.Replay(t, "tracker", recorded)
}

// recordedReport is a report in a recorded request or answer.
type recordedReport struct {
	Name     string
	Lat, Lng float64
	Speed    json.RawMessage
}

// speedAfter returns the speed in the first answer with the report of calls[i], which is that of the recorded
// vehicle-telemetry; "" if there is none.
func speedAfter(calls []golden.Call, i int) string {
	var sent recordedReport
	if c := calls[i]; c.Request.Body == nil || json.Unmarshal([]byte(*c.Request.Body), &sent) != nil {
		return ""
	}
	for _, c := range calls[i+1:] {
		reports := make([]recordedReport, 1)
		if json.Unmarshal([]byte(c.Body), &reports[0]) != nil && json.Unmarshal([]byte(c.Body), &reports) != nil {
			continue
		}
		for _, r := range reports {
			if r.Name == sent.Name && r.Lat == sent.Lat && r.Lng == sent.Lng {
				return strings.TrimPrefix(string(r.Speed), "null")
			}
		}
	}
	return ""
}
