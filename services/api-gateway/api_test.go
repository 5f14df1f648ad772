package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
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
	_, err := readConfig(envtest.Map(map[string]string{"STAFF_SERVICE_URL": "http://a?b", "POSITION_TRACKER_URL": ":", "PROPAGATE_HEADERS": "maybe"}))
	for _, name := range []string{"STAFF_SERVICE_URL", "POSITION_TRACKER_URL", "PROPAGATE_HEADERS"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error of %s", err, name)
		}
	}
}

// upstreams is a tracker and a staff-service in one, with fixed answers by "METHOD target".
func upstreams(t *testing.T, answers map[string]string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.Method+" "+r.RequestURI]
		w.Header().Set("Content-Type", "application/json")
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			body = `{"message":"upstream's own words"}`
		case body == "fails":
			w.WriteHeader(http.StatusBadGateway)
		case body == "breaks off":
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func start(t *testing.T, tracker, staff string) *servertest.Service {
	return servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": tracker, "STAFF_SERVICE_URL": staff})
}

const nowhere = "http://127.0.0.1:1" // refuses connections

func TestAnswers(t *testing.T) {
	const (
		vehicles = `[{"name":"A","lat":53.10,"lng":-1E-7,"timestamp":"2023-11-13T05:31:33.279+0000","speed":null}]`
		pam      = `{"name":"Pam Parry",  "photo":"1.jpg"}`
	)
	up := upstreams(t, map[string]string{
		"GET /vehicles/":             vehicles,
		"GET /vehicles/City%20Truck": vehicles[1 : len(vehicles)-1],
		"GET /history/A":             `[{"name":"A","lat":2.0,"lng":-2.00},{"name":"A","lat":1e1,"lng":-0}]`,
		"GET /history/Odd":           `{"no":"array"}`,
		"GET /driver/City%20Truck":   pam,
		"GET /driver/Failing":        "fails",
		"GET /driver/Broken":         "breaks off",
		"GET /photos/1.jpg":          "a portrait",
	})
	for _, tc := range []struct {
		name           string
		tracker, staff string
		method, target string
		status         int
		body           string // exact for 200, a part of it for an error
	}{
		{"all", up, up, "GET", "/vehicles/", 200, vehicles},
		{"all, no slash", up, up, "GET", "/vehicles", 200, vehicles},
		{"all, tracker away", nowhere, up, "GET", "/vehicles/", 200, "[]"},
		{"one", up, up, "GET", "/vehicles/City%20Truck", 200, vehicles[1 : len(vehicles)-1]},
		{"one, doubled slash", up, up, "GET", "//vehicles/City%20Truck/", 200, vehicles[1 : len(vehicles)-1]},
		{"one, with a query", up, up, "GET", "/vehicles/City%20Truck?a=b", 200, vehicles[1 : len(vehicles)-1]},
		{"one, unknown", up, up, "GET", "/vehicles/Nobody", 404, `{"message":"upstream's own words"}`},
		{"one, tracker away", nowhere, up, "GET", "/vehicles/A", 500, `"message":"connection refused reading position-tracker GET /vehicles/A","path":"/vehicles/A"`},
		{"history", up, up, "GET", "/history/A", 200, `[{"lat":1e1,"lng":-0},{"lat":2.0,"lng":-2.00}]`},
		{"history, unknown", up, up, "GET", "/history/Nobody", 404, "upstream's own words"},
		{"history, odd", up, up, "GET", "/history/Odd", 500, `"message":"internal error"`},
		{"driver", up, up, "GET", "/vehicles/driver/City%20Truck", 200, pam},
		{"driver, unknown", up, up, "GET", "/vehicles/driver/Nobody", 404, "upstream's own words"},
		{"driver, staff fails", up, up, "GET", "/vehicles/driver/Failing", 500, `"status":500,"error":"Internal Server Error","message":"status 502 reading staff-service GET /driver/Failing","path":"/vehicles/driver/Failing"`},
		{"driver, staff breaks off", up, up, "GET", "/vehicles/driver/Broken", 500, `"message":"connection closed reading staff-service GET /driver/Broken"`},
		{"driver, staff away", up, nowhere, "GET", "/vehicles/driver/A", 500, `"message":"connection refused reading staff-service GET /driver/A"`},
		{"portrait", up, up, "GET", "/photos/1.jpg", 200, "a portrait"},
		{"name with a slash", up, up, "GET", "/vehicles/a%2Fb", 400, `"message":"name: expected`},
		{"driver with dots", up, up, "GET", "/vehicles/driver/%2e%2e", 400, `"message":"name: expected`},
		{"long name", up, up, "GET", "/history/" + strings.Repeat("x", 10_000), 400, `"message":"name: expected`},
		{"method", up, up, "POST", "/vehicles/A", 405, `"message":"method POST not supported here"`},
		{"path", up, up, "GET", "/api/vehicles/", 404, `"message":"no such path","path":"/api/vehicles/"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := start(t, tc.tracker, tc.staff).Call(t, tc.method, tc.target, "")
			if a.Status != tc.status || tc.status == 200 && a.Body != tc.body || !strings.Contains(a.Body, tc.body) {
				t.Errorf("got %d %s, want %d %s", a.Status, a.Body, tc.status, tc.body)
			}
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin: %q", got)
			}
		})
	}
}

func TestTrackerFailingIsA500(t *testing.T) {
	up := upstreams(t, map[string]string{"GET /vehicles/": "fails"})
	if a := start(t, up, up).Call(t, "GET", "/vehicles/", ""); a.Status != 500 || !strings.Contains(a.Body, `"message":"status 502 reading position-tracker GET /vehicles/"`) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

// An upstream that never answers costs UPSTREAM_TIMEOUT: no vehicles, and a 500 for one.
func TestUpstreamTooSlow(t *testing.T) {
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hang.Close)
	t.Cleanup(func() { close(release) })
	s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": hang.URL, "UPSTREAM_TIMEOUT": "20ms"})
	if a := s.Call(t, "GET", "/vehicles/", ""); a.Status != 200 || a.Body != "[]" {
		t.Errorf("all: got %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, "GET", "/vehicles/A", ""); a.Status != 500 || !strings.Contains(a.Body, `"message":"no answer in time reading position-tracker GET /vehicles/A"`) {
		t.Errorf("one: got %d %s", a.Status, a.Body)
	}
}

func TestBannerAndPreflight(t *testing.T) {
	s := start(t, nowhere, nowhere)
	banner := regexp.MustCompile(`^<p>Fleetman API Gateway at [A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4}</p>$`)
	for accept, kind := range map[string]string{"*/*": "text/plain;charset=UTF-8", "text/html,*/*": "text/html;charset=UTF-8"} {
		if a := s.Call(t, "GET", "/", "", "Accept", accept); a.Status != 200 || !banner.MatchString(a.Body) || a.Header.Get("Content-Type") != kind {
			t.Errorf("%s: got %d %s %s", accept, a.Status, a.Header.Get("Content-Type"), a.Body)
		}
	}
	a := s.Call(t, "OPTIONS", "/vehicles/City%20Truck", "", "Origin", "http://example.com", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-my-header")
	if a.Status != 200 || a.Body != "" || a.Header.Get("Access-Control-Allow-Methods") != "GET" || a.Header.Get("Access-Control-Allow-Headers") != "x-my-header" || a.Header.Get("Access-Control-Max-Age") != "1800" {
		t.Errorf("preflight: got %d %v %s", a.Status, a.Header, a.Body)
	}
}

// The recordings: the driver as the original's gateway answered it, from the original's staff.
func TestGolden(t *testing.T) {
	for _, system := range []string{"head", "t6"} {
		_, staff := golden.Load(t, system+"/staff.json")
		gateway, _ := golden.Load(t, system+"/gateway.json")
		answers := make(map[string]string)
		for _, c := range staff {
			if c.Status == 200 && c.Request.Method == "GET" {
				answers["GET "+c.Request.Target] = c.Body
			}
		}
		s := start(t, nowhere, upstreams(t, answers))
		compared := 0
		for _, c := range gateway {
			target := strings.TrimSuffix(c.Request.Target, "/")
			if c.Status != 200 || c.Request.Method != "GET" || !strings.HasPrefix(target, "/vehicles/driver/") || strings.Contains(target, "Nobody") {
				continue
			}
			a := s.Call(t, "GET", c.Request.Target, "")
			if a.Status != c.Status || a.Body != c.Body {
				t.Errorf("%s %s: got %d %s, want %d %s", system, c.Name, a.Status, a.Body, c.Status, c.Body)
			}
			compared++
		}
		if compared < 5 {
			t.Errorf("%s: only %d calls compared", system, compared)
		}
	}
}
