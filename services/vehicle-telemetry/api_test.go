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
		{"GET", "/vehicles/%2e%2e", "", 400, `"message":"name: `},
		{"GET", "/vehicles/a%0Ab", "", 400, `"message":"name: `},
		{"GET", "/vehicles/" + strings.Repeat("x", 10_000), "", 400, `"message":"name: `},
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
	golden.Replay(t, "telemetry", start, append([]golden.Difference{
		{`telemetry speed, time runs backwards.*`, `200 Content-Type=application/json -`, `200$`, "time running backwards is unknown, not a negative speed"},
		{`telemetry speed over 70 mph.*|telemetry Pair (?:4|5|17) speed`, `200 Content-Type=application/json [0-9.]+$`, `200$`, "a speed over 70 mph is unknown, not a random one"},
		{`telemetry Pair 3 speed`, `200 Content-Type=application/json 0.00024893\d+$`, `200 Content-Type=application/json 0.00024893\d+$`, "distances of a tenth of a millimetre: ours have no rounding of their own"},
		{`telemetry Pair 9 speed`, `200 Content-Type=application/json 1.3\d+E-9$`, `200 Content-Type=application/json 0$`, "the pole is one place"},
		{`telemetry Pair 1[34] speed`, `200 Content-Type=application/json 12.3\d+$`, `200 Content-Type=application/json 12.(?:4298|3927)\d+$`, "the original's formula does not converge half around the earth"},
		{`telemetry speed, a report without timestamp`, `500 `, `200$`, "a report without a timestamp was made now"},
		{`telemetry no lat 1|telemetry no name|telemetry empty object|telemetry POST (?:lat null|name is a number)`, `200$`, `400 Content-Type=application/json 400 Bad Request /vehicles/$`, "a report without a name or a place is refused"},
		{`telemetry speed, a report without lat`, `500 `, `200$`, "a report without a name or a place is refused"},
		{`telemetry POST lat out of range`, `200$`, `400 Content-Type=application/json 400 Bad Request /vehicles/$`, "a latitude over 90 is refused"},
		{`telemetry POST timestamp .*`, `400 `, `200$`, "any RFC 3339 time is accepted"},
		{`telemetry POST trailing garbage`, `200$`, `400 Content-Type=application/json 400 Bad Request /vehicles/$`, "what is no JSON is refused to its last byte"},
		{`telemetry POST no body at all`, `400 `, `415 Content-Type=application/json 415 Unsupported Media Type /vehicles/$`, "the Content-Type is checked before the body"},
		{`t6 telemetry POST xml`, `200$`, `415 Content-Type=application/json 415 Unsupported Media Type /vehicles/$`, "reports are JSON"},
		{`telemetry GET /vehicles`, `404 `, `405 Content-Type=application/json Allow=POST 405 Method Not Allowed /vehicles$`, "/vehicles is /vehicles/"},
		{`telemetry POST (?:path without trailing|doubled leading) slash`, `404 `, `200$`, "the same handler with and without a final slash"},
		{`telemetry known path, preflight`, `403 .*Invalid CORS request$`, `200 Allow=GET$`, "a preflight is answered by what it lacks, not by 403"},
		{`telemetry odd name speed unescaped a;b`, `200$`, `200 Content-Type=application/json 12.447`, "a semicolon is part of the name"},
	}, golden.Everywhere...))
}
