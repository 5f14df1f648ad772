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

func TestReadme(t *testing.T) {
	cfg, err := readConfig(envtest.Map(nil))
	if err != nil {
		t.Fatal(err)
	}
	envtest.CheckReadme(t, "README.md", cfg.table)
}

func TestConfigReportsEverythingAtOnce(t *testing.T) {
	_, err := readConfig(envtest.Map(map[string]string{"STAFF_SERVICE_URL": "http://", "VEHICLE_TELEMETRY_URL": "x y", "HISTORY_LIMIT": "0"}))
	for _, name := range []string{"STAFF_SERVICE_URL", "VEHICLE_TELEMETRY_URL", "HISTORY_LIMIT"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error of %s", err, name)
		}
	}
}

// upstreams is a telemetry and a staff-service in one, which note what they are asked.
type upstreams struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	header http.Header
	answer func(w http.ResponseWriter, r *http.Request) // nil: 200 and nothing
}

func newUpstreams(t *testing.T) *upstreams {
	u := new(upstreams)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.asked = append(u.asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		u.header = r.Header
		answer := u.answer
		u.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

// take answers what was asked since the last time.
func (u *upstreams) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	asked := u.asked
	u.asked = nil
	return asked
}

func (u *upstreams) answers(f func(w http.ResponseWriter, r *http.Request)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = f
}

func startWith(t *testing.T, telemetry, staff string) *servertest.Service {
	return servertest.Start(t, run, map[string]string{"VEHICLE_TELEMETRY_URL": telemetry, "STAFF_SERVICE_URL": staff})
}

const first = `{"name":"City Truck","lat":53.37262733839452266693115234375,"lng":-1.484639234840869903564453125,"timestamp":"2023-11-13T05:31:33.279+0000","speed":12.5}`

func TestReport(t *testing.T) {
	u := newUpstreams(t)
	s := startWith(t, u.URL, u.URL)
	speed := func(text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				_, _ = io.WriteString(w, text)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		speed  string // as kept and told to staff-service
		told   string
	}{
		{"known", speed("7.4770534017002185024"), "7.4770534017002185024", "7.4770534017002185024"},
		{"not yet known", speed(""), "null", "0"},
		{"nonsense: the sender's own", speed("fast"), "12.5", "12.5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u.answers(tc.answer)
			s.Call(t, "DELETE", "/vehicles/", "")
			if a := s.Call(t, "POST", "/vehicles/", first, "x-my-header", "canary", "X-Fault", "delay"); a.Status != 200 || a.Body != "" {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			want := []string{"GET /vehicles/City%20Truck", "POST /vehicles/ " + first, "POST /driver/City%20Truck/" + tc.told}
			if got := u.take(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("asked %q, want %q", got, want)
			}
			if u.header.Get("x-my-header") != "canary" || u.header.Get("x-fault") != "" {
				t.Errorf("headers passed on: %v", u.header)
			}
			a := s.Call(t, "GET", "/vehicles/City%20Truck", "")
			if prefix, suffix := first[:strings.Index(first, `"timestamp"`)], `,"speed":`+tc.speed+`}`; a.Status != 200 || !strings.HasPrefix(a.Body, prefix) || !strings.HasSuffix(a.Body, suffix) {
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
	u := newUpstreams(t)
	s := startWith(t, "127.0.0.1:1", u.URL) // telemetry away: costs only the speed
	u.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for range 2 { // repeated, the report is kept once
		a := s.Call(t, "POST", "/vehicles/", first)
		if a.Status != 500 || !strings.Contains(a.Body, `"message":"status 502 reading staff-service POST /driver/City%20Truck/12.5","path":"/vehicles/"`) {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	}
	if a := s.Call(t, "GET", "/history/City%20Truck", ""); a.Status != 200 || strings.Count(a.Body, `"name"`) != 1 {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

func TestHeadersStayWhenPropagationIsOff(t *testing.T) {
	u := newUpstreams(t)
	s := servertest.Start(t, run, map[string]string{"VEHICLE_TELEMETRY_URL": u.URL, "STAFF_SERVICE_URL": u.URL, "PROPAGATE_HEADERS": "false"})
	s.Call(t, "POST", "/vehicles/", first, "x-my-header", "canary", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(u.take()) != 3 || u.header.Get("x-my-header") != "" || u.header.Get("traceparent") != "" {
		t.Errorf("headers passed on: %v", u.header)
	}
}

func TestAnswers(t *testing.T) {
	u := newUpstreams(t)
	s := startWith(t, u.URL, u.URL)
	post := func(name, lat string) {
		if a := s.Call(t, "POST", "/vehicles", `{"name":"`+name+`","lat":`+lat+`,"lng":-1.4}`); a.Status != 200 {
			t.Fatalf("%s: got %d %s", name, a.Status, a.Body)
		}
	}
	if a := s.Call(t, "GET", "/vehicles/", ""); a.Status != 200 || a.Body != "[]" {
		t.Errorf("got %d %s, want []", a.Status, a.Body)
	}
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
		{"GET", "/vehicles/a%2Fb", "", 400, "name: expected"},
		{"GET", "/history/%2e%2e", "", 400, "name: expected"},
		{"GET", "/vehicles/x%0Ay", "", 400, "name: expected"},
		{"GET", "/vehicles/" + strings.Repeat("x", 10_000), "", 400, "name: expected"},
		{"POST", "/vehicles/", `{"name":`, 400, "body: expected a JSON object"},
		{"POST", "/vehicles/", `{"name":"A","lat":NaN,"lng":1}`, 400, "body: expected a JSON object"},
		{"POST", "/vehicles/", `{"name":"A","lat":90.1,"lng":1}`, 400, "lat: expected degrees from -90 to 90"},
		{"POST", "/vehicles/", `{"name":"A","lat":1,"lng":1,"timestamp":"9999-12-31T00:00:00Z"}`, 400, "timestamp: expected"},
		{"POST", "/vehicles/", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, "body: expected at most 65536 bytes"},
		{"PUT", "/vehicles/", `{}`, 405, "method PUT not supported here"},
		{"DELETE", "/vehicles/A", "", 405, "method DELETE not supported here"},
		{"GET", "/history/", "", 404, "no such path"},
	} {
		a := s.Call(t, tc.method, tc.target, tc.body)
		if a.Status != tc.status || !strings.Contains(a.Body, `"message":"`+tc.message) {
			t.Errorf("%s %.60s %.60s: got %d %.200s, want %d %s", tc.method, tc.target, tc.body, a.Status, a.Body, tc.status, tc.message)
		}
	}
	if after := s.Call(t, "GET", "/vehicles/", "").Body; after != before {
		t.Errorf("bad input changed the state: %s, then %s", before, after)
	}
	if a := s.Call(t, "DELETE", "/vehicles/", ""); a.Status != 200 || a.Body != "" {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, "GET", "/vehicles/", ""); a.Body != "[]" {
		t.Errorf("after DELETE: %s", a.Body)
	}
}

// The recordings: every report the contract accepts comes back digit for digit.
func TestGolden(t *testing.T) {
	calls, _ := golden.Load(t, "head/tracker.json")
	u := newUpstreams(t)
	s := startWith(t, u.URL, u.URL)
	compared := 0
	for _, c := range calls {
		r := c.Request
		isReport := r.Method == "POST" && r.Target == "/vehicles/" && c.Status == 200 && r.Body != nil
		if !isReport {
			continue
		}
		var sent struct {
			Name     string
			Lat, Lng json.RawMessage
		}
		decodes := json.Unmarshal([]byte(*r.Body), &sent) == nil
		a := s.Call(t, r.Method, r.Target, *r.Body)
		if a.Status >= 500 {
			t.Errorf("%s: got %d %s", c.Name, a.Status, a.Body)
		}
		if a.Status != 200 || !decodes {
			continue // where we differ on purpose: refused
		}
		a = s.Call(t, "GET", "/vehicles/", "")
		for _, number := range []string{strings.Trim(string(sent.Lat), `"`), strings.Trim(string(sent.Lng), `"`)} {
			if !strings.Contains(a.Body, `:`+number+`,`) {
				t.Errorf("%s: %s not in %s", c.Name, number, a.Body)
			}
		}
		s.Call(t, "DELETE", "/vehicles/", "")
		compared++
	}
	if compared < 20 {
		t.Errorf("only %d reports compared", compared)
	}
}
