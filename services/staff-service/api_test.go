package main

import (
	"net/http"
	"strings"
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
)

func TestReadme(t *testing.T) { envtest.CheckReadme(t, readConfig) }

func TestConfigReportsAllErrors(t *testing.T) {
	envtest.Refuses(t, map[string]string{
		"VARIANT": "worse", "DRIVER_MONITORING_URL": "ftp://x", "STAFF_FILE": "nowhere.json", "FAULTS_SEED": "x", "UPSTREAM_TIMEOUT": "0s",
	}, readConfig,
		`VARIANT: "worse": must be one of standard, placeholder, bad, fail-fast`, "DRIVER_MONITORING_URL", "STAFF_FILE", "FAULTS_SEED", "UPSTREAM_TIMEOUT")
}

func TestAnswers(t *testing.T) {
	s := servertest.Start(t, run, nil)
	const pam = `{"name":"Pam Parry","photo":"https://rac-istio-course-images.s3.amazonaws.com/1.jpg"}`
	for _, tc := range []struct {
		method, target string
		status         int
		answer         string // exact for 200, a part of it for an error
	}{
		{"GET", "/driver/City%20Truck", 200, pam},
		{"GET", "//driver/City%20Truck/", 200, pam},
		{"GET", "/driver/City%20Truck%2017", 200, pam},
		{"GET", "/driver/City%20Truck17", 404, `"message":"nobody drives \"City Truck17\"","path":"/driver/City%20Truck17"`},
		{"GET", "/driver/city%20truck", 404, "nobody drives"},
		{"GET", "/driver/City+Truck", 404, "nobody drives"},
		{"GET", "/driver/", 404, "no such path"},
		{"GET", "/driver/a%2Fb", 400, `"message":"name: `},
		{"POST", "/driver/City%20Truck/7.4770534017002185024", 200, ""},
		{"POST", "/driver/City%20Truck/-1", 200, ""},
		{"POST", "/driver/Nobody/1E+2", 200, ""},
		{"POST", "/driver/City%20Truck/fast", 400, `"message":"speed: \"fast\": must be miles per hour as a number"`},
		{"POST", "/driver/City%20Truck/NaN", 400, `"message":"speed: \"NaN\": must be`},
		{"POST", "/driver/a%2Fb/1", 400, `"message":"name: `},
		{"POST", "/driver/City%20Truck", 405, "method POST not supported here"},
		{"GET", "/driver/City%20Truck/31.7", 405, "method GET not supported here"},
		{"GET", "/photos/..%2Froster.json", 404, "no such photo"},
		{"GET", "/photos/9.jpg", 404, "no such photo"},
		{"GET", "/", 404, "no such path"},
	} {
		got := s.Call(t, tc.method, tc.target, "")
		if got.Status != tc.status || tc.status == 200 && got.Body != tc.answer || !strings.Contains(got.Body, tc.answer) {
			t.Errorf("%s %.60s: got %d %.200s, want %d %s", tc.method, tc.target, got.Status, got.Body, tc.status, tc.answer)
		}
	}
	for file, kind := range map[string]string{"1.jpg": "image/jpeg", "5.jpg": "image/jpeg", "placeholder.png": "image/png"} {
		if got := s.Call(t, "GET", "/photos/"+file, ""); got.Status != 200 || got.Header.Get("Content-Type") != kind || len(got.Body) < 500 {
			t.Errorf("%s: got %d %s, %d bytes", file, got.Status, got.Header.Get("Content-Type"), len(got.Body))
		}
	}
}

// Replays the recordings.
func TestGolden(t *testing.T) {
	start := func() (string, golden.Prepare) { return servertest.Start(t, run, nil).URL, nil }
	golden.Replay(t, "staff", start)
}

func TestSpeedGoesToDriverMonitoring(t *testing.T) {
	var got string
	status := http.StatusOK
	monitoring := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.RequestURI + " " + r.Header.Get("X-My-Header")
		w.WriteHeader(status)
	})
	s := servertest.Start(t, run, map[string]string{"DRIVER_MONITORING_URL": strings.TrimPrefix(monitoring.URL, "http://")})
	s.Call(t, "POST", "/driver/City%20Truck/31.7", "", "x-my-header", "canary").Is(t, 200, "")
	if got != "POST /driver/City%20Truck/31.7 canary" {
		t.Errorf("the system got %q", got)
	}
	status = http.StatusServiceUnavailable
	s.Call(t, "POST", "/driver/City%20Truck/31.7", "").Has(t, 500, "status 503 reading driver-monitoring POST /driver/City%20Truck/31.7")
}

func TestVariants(t *testing.T) {
	s := servertest.Start(t, run, map[string]string{"VARIANT": "placeholder", "PHOTO_BASE_URL": "/photos"})
	s.Call(t, "GET", "/driver/City%20Truck", "").Is(t, 200, `{"name":"Pam Parry","photo":"/photos/placeholder.png"}`)
	s = servertest.Start(t, run, map[string]string{"VARIANT": "bad", "FAULTS": "reset,count=1", "FAULTS_SEED": "7"})
	s.Admin(t, "GET", "/faults", "").Is(t, 200, `{"seed":7,"rules":[{"rule":"delay=0s..5s","matched":0,"fired":0},{"rule":"status=502,rate=0.5","matched":0,"fired":0},{"rule":"reset,count=1","matched":0,"fired":0}]}`+"\n")
	s = servertest.Start(t, run, map[string]string{"VARIANT": "fail-fast"})
	s.Call(t, "GET", "/driver/City%20Truck", "").Is(t, 502, "")
	s.Call(t, "POST", "/driver/City%20Truck/1", "").Is(t, 500, "", "X-Fault", "status")
}

func TestRosterFile(t *testing.T) {
	for name, tc := range map[string]struct{ text, err string }{
		"good":                {`[{"vehicle":"T","driver":"D","photo":"p.png"}]`, ""},
		"no JSON":             {`vehicle: T`, ": must be an array of"},
		"unknown field":       {`[{"vehicle":"T","driver":"D","photo":"p","age":7}]`, `unknown field "age"`},
		"bad vehicle":         {`[{"vehicle":"a/b","driver":"D","photo":"p"}]`, `entry 1: vehicle: name: "a/b": must be`},
		"twice":               {`[{"vehicle":"T","driver":"D","photo":"p"},{"vehicle":"T","driver":"E","photo":"p"}]`, `entry 2: vehicle: "T": must be in one entry only`},
		"no driver":           {`[{"vehicle":"T","photo":"p"}]`, `entry 1: driver: "": must be a name`},
		"driver of two lines": {`[{"vehicle":"T","driver":"D\nE","photo":"p"}]`, `entry 1: driver: "D\nE": must be a name of printable text`},
		"nobody":              {`[]`, "empty: must have an entry"},
		"null":                {`null`, "empty: must have an entry"},
		"a number":            {`[{"vehicle":7}]`, `a number at byte 13: must be an array of {"vehicle", "driver", "photo"}, all strings`},
		"no photo":            {`[{"vehicle":"T","driver":"D"}]`, `entry 1: photo: "": must be a file name`},
		"more":                {`[] []`, "text after the array: must be one array"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := openRoster(servertest.File(t, "staff.json", tc.text))
			if tc.err == "" {
				if d, ok := r.driver("T 2"); err != nil || !ok || d.Name != "D" {
					t.Errorf("got %v, %v", d, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %v, want %s", err, tc.err)
			}
		})
	}
}
