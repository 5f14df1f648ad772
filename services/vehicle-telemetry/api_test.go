package main

import (
	"strconv"
	"strings"
	"testing"

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
	_, err := readConfig(envtest.Map(map[string]string{"LISTEN_ADDR": "8080", "MAX_BODY_BYTES": "-1", "DRAIN_DELAY": "soon"}))
	for _, name := range []string{"LISTEN_ADDR", "MAX_BODY_BYTES", "DRAIN_DELAY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error of %s", err, name)
		}
	}
}

func TestAnswers(t *testing.T) {
	s := servertest.Start(t, run, nil)
	const first = `{"name":"City Truck","lat":53.3798165805637836456298828125,"lng":-1.46622528322041034698486328125,"timestamp":"2023-11-13T05:31:33.000+0000"}`
	const second = `{"name":"City Truck","lat":53.37980275042355060577392578125,"lng":-1.4662347547709941864013671875,"timestamp":"2023-11-13T05:31:34Z"}`
	for _, tc := range []struct {
		method, target, body string
		status               int
		answer               string // exact, or a part of it for an error
	}{
		{"GET", "/vehicles/City%20Truck", "", 200, ""},
		{"POST", "/vehicles/", first, 200, ""},
		{"GET", "/vehicles/City%20Truck", "", 200, ""},
		{"POST", "/vehicles", second, 200, ""},
		{"POST", "//vehicles/", second, 200, ""},
		{"GET", "/vehicles/City%20Truck/", "", 200, "3.72060032"},
		{"HEAD", "/vehicles/City%20Truck", "", 200, ""},
		{"POST", "/vehicles/", "{", 400, `"message":"body: expected a JSON object`},
		{"POST", "/vehicles/", `{"name":"X"}`, 400, `"message":"lat: expected degrees`},
		{"POST", "/vehicles/", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, `"message":"body: expected at most 65536 bytes"`},
		{"GET", "/vehicles/a%2Fb", "", 400, `"message":"name: expected`},
		{"GET", "/vehicles/%2e%2e", "", 400, `"message":"name: expected`},
		{"GET", "/vehicles/a%0Ab", "", 400, `"message":"name: expected`},
		{"GET", "/vehicles/" + strings.Repeat("x", 10_000), "", 400, `"message":"name: expected`},
		{"DELETE", "/vehicles/City%20Truck", "", 405, `"message":"method DELETE not supported here","path":"/vehicles/City%20Truck"`},
		{"GET", "/nosuch", "", 404, `"status":404,"error":"Not Found","message":"no such path","path":"/nosuch"`},
		{"GET", "/", "", 404, `"message":"no such path"`},
	} {
		got := s.Call(t, tc.method, tc.target, tc.body)
		if got.Status != tc.status || (tc.answer == "") != (got.Body == "") || !strings.Contains(got.Body, tc.answer) {
			t.Errorf("%s %.60s: got %d %.200s, want %d %s", tc.method, tc.target, got.Status, got.Body, tc.status, tc.answer)
		}
	}
	if got := s.Call(t, "POST", "/vehicles/", "{}", "Content-Type", "text/plain"); got.Status != 415 && got.Status != 400 {
		t.Errorf("text/plain: got %d %s", got.Status, got.Body)
	}
}

// The recordings, call by call, where the contract wants the original's answer.
func TestGolden(t *testing.T) {
	calls, _ := golden.Load(t, "head/telemetry.json")
	s := servertest.Start(t, run, nil)
	same := 0
	for _, c := range calls {
		body := ""
		if c.Request.Body != nil {
			body = *c.Request.Body
		}
		isReport := c.Request.Method == "POST" && c.Request.Target == "/vehicles/" && c.Status == 200
		isSpeed := c.Request.Method == "GET" && strings.HasPrefix(c.Request.Target, "/vehicles/") && c.Status == 200
		if !isReport && !isSpeed || strings.Contains(c.Request.Target, ";") {
			continue
		}
		got := s.Call(t, c.Request.Method, c.Request.Target, body)
		if !isSpeed || got.Status != 200 || got.Body == "" {
			continue // refused reports and unknown speeds are where we differ on purpose
		}
		want, err := strconv.ParseFloat(c.Body, 64)
		mph, ours := strconv.ParseFloat(got.Body, 64)
		if strings.HasPrefix(c.Name, "telemetry Pair 13 ") || strings.HasPrefix(c.Name, "telemetry Pair 14 ") {
			continue // half around the earth: see farthest
		}
		if err != nil || ours != nil || !near(mph, want) {
			t.Errorf("%s: got %s, want %s", c.Name, got.Body, c.Body)
		}
		same++
	}
	if same < 20 {
		t.Errorf("only %d speeds compared", same)
	}
}
