package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
)

func TestReadme(t *testing.T) { envtest.CheckReadme(t, readConfig) }

func TestConfigReportsAllErrors(t *testing.T) {
	envtest.Refuses(t, map[string]string{"STAFF_SERVICE_URL": "http://a?b", "POSITION_TRACKER_URL": ":", "PROPAGATE_HEADERS": "maybe"}, readConfig,
		"STAFF_SERVICE_URL", "POSITION_TRACKER_URL", "PROPAGATE_HEADERS")
}

// upstreams serves both as tracker and as staff-service, with fixed answers by "METHOD target".
func upstreams(t *testing.T, answers map[string]string) string {
	s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
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
	})
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
		{"name with a slash", up, up, "GET", "/vehicles/a%2Fb", 400, `"message":"name: `},
		{"portrait with a slash", up, up, "GET", "/photos/a%2Fb", 400, `"message":"name: `},
		{"driver with dots", up, up, "GET", "/vehicles/driver/%2e%2e", 400, `"message":"name: `},
		{"long name", up, up, "GET", "/history/" + strings.Repeat("x", 10_000), 400, `"message":"name: `},
		{"method", up, up, "POST", "/vehicles/A", 405, `"message":"method POST not supported here"`},
		{"path", up, up, "GET", "/api/vehicles/", 404, `"message":"no such path","path":"/api/vehicles/"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := start(t, tc.tracker, tc.staff).Call(t, tc.method, tc.target, "")
			a.Has(t, tc.status, tc.body, "Access-Control-Allow-Origin", "*")
			if tc.status == 200 {
				a.Is(t, 200, tc.body)
			}
		})
	}
}

func TestTrackerFailingIsA500(t *testing.T) {
	up := upstreams(t, map[string]string{"GET /vehicles/": "fails"})
	start(t, up, up).Call(t, "GET", "/vehicles/", "").Has(t, 500, `"message":"status 502 reading position-tracker GET /vehicles/"`)
}

// If an upstream does not answer within UPSTREAM_TIMEOUT, there are no vehicles, and a single vehicle is a 500.
func TestUpstreamTooSlow(t *testing.T) {
	hang := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": hang.URL, "UPSTREAM_TIMEOUT": "20ms"})
	s.Call(t, "GET", "/vehicles/", "").Is(t, 200, "[]")
	s.Call(t, "GET", "/vehicles/A", "").Has(t, 500, `"message":"no answer in time reading position-tracker GET /vehicles/A"`)
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
	a.Is(t, 200, "", "Access-Control-Allow-Methods", "GET", "Access-Control-Allow-Headers", "x-my-header", "Access-Control-Max-Age", "1800")
}

// Replays the recordings, with upstreams that answer as those of the original's gateway did.
func TestGolden(t *testing.T) {
	recorded := func() (string, golden.Prepare) {
		u := &recordedUpstreams{answers: make(map[string]string)}
		s := servertest.Serve(t, u.ServeHTTP)
		return start(t, s.URL, s.URL).URL, u.prepare
	}
	golden.Replay(t, "gateway", recorded)
}

// recordedUpstreams serves both as tracker and as staff-service, with the recorded answers. Vehicles without a
// recorded answer are unknown.
type recordedUpstreams struct {
	mu      sync.Mutex
	answers map[string]string // by path
}

func (u *recordedUpstreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	body, ok := u.answers[r.URL.Path]
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case ok:
	case r.URL.Path == "/vehicles/":
		body = "[]"
	default:
		w.WriteHeader(http.StatusNotFound)
		body = `{"timestamp":"2026-11-22T08:05:36.288+0000","status":404,"error":"Not Found","message":"unknown","path":"` + r.URL.EscapedPath() + `"}`
	}
	_, _ = io.WriteString(w, body)
}

// prepare takes the upstreams' answers from the answer to calls[i], of the gateway or of the tracker.
func (u *recordedUpstreams) prepare(calls []golden.Call, i int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := calls[i]
	path, err := url.PathUnescape(c.Request.Target)
	switch service, _, _ := strings.Cut(c.Name, " "); {
	case c.Request.Method == "DELETE" && service == "tracker":
		clear(u.answers)
	case err != nil || c.Request.Method != "GET" || c.Status != 200: // has no upstream's answer
	case strings.Contains(c.Body, `"name":null`) || strings.HasPrefix(c.Body, "<") || strings.Contains(c.Request.Target, ";"): // our upstreams never answer so
	case service == "gateway" && strings.HasPrefix(path, "/vehicles/driver/"):
		u.answers[strings.TrimPrefix(path, "/vehicles")] = c.Body
	case service == "gateway" && strings.HasPrefix(path, "/history/"):
		u.answers[path] = newestFirst(c.Body)
	case (service == "gateway" || service == "tracker") && strings.HasPrefix(path, "/vehicles/"):
		u.answers[path] = c.Body
	}
}

// newestFirst returns the tracker's history for the gateway's answer.
func newestFirst(places string) string {
	var reports []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(places), &reports); err != nil {
		return err.Error()
	}
	slices.Reverse(reports)
	for _, r := range reports {
		r["name"], r["speed"] = []byte(`"City Truck"`), []byte("null")
	}
	text, _ := json.Marshal(reports) // never fails: it was JSON
	return string(text)
}
