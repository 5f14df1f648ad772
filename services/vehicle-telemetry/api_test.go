package main

import (
	"strings"
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
)

func TestReadme(t *testing.T) { envtest.CheckReadme(t, readConfig) }

func TestConfigReportsAllErrors(t *testing.T) {
	envtest.Refuses(t, map[string]string{"LISTEN_ADDR": "8080", "MAX_BODY_BYTES": "-1", "DRAIN_DELAY": "soon"}, readConfig,
		"LISTEN_ADDR", "MAX_BODY_BYTES", "DRAIN_DELAY")
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
		{"POST", "/vehicles/", "{", 400, `"message":"body: unexpected end of JSON input: must be a JSON object`},
		{"POST", "/vehicles/", `{"name":"X"}`, 400, `"message":"lat: missing: must be degrees`},
		{"POST", "/vehicles/", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, `"message":"body: too large: must be at most 65536 bytes"`},
		{"GET", "/vehicles/a%2Fb", "", 400, `"message":"name: `},
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

// Replays the recordings.
func TestGolden(t *testing.T) {
	start := func() (string, golden.Prepare) { return servertest.Start(t, run, nil).URL, nil }
	golden.Replay(t, "telemetry", start)
}
