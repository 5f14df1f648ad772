package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"fleetman.example/kit/server/servertest"
)

// TestFallbacks checks the answers to the page while an upstream answers, fails and answers 404: the last known
// answer with its age, then a placeholder, each marked as degraded.
func TestFallbacks(t *testing.T) {
	var status atomic.Int64
	status.Store(200)
	up := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if status.Load() == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, map[bool]string{true: `[{"lat":2,"lng":3},{"lat":1,"lng":0}]`, false: `{"name":"Pam Parry","photo":"1.jpg"}`}[strings.HasPrefix(r.URL.Path, "/history")])
	})
	s := servertest.Start(t, run, map[string]string{
		"POSITION_TRACKER_URL": up.URL, "STAFF_SERVICE_URL": up.URL,
		"RESILIENCE": "library", "BREAKER_FAILURES": "0", "RETRY_ATTEMPTS": "0",
		"UPSTREAM_TIMEOUT": "2m", "ATTEMPT_TIMEOUT": "1m", // longer than any pause of a busy machine
	})
	const pam, unknown = `{"name":"Pam Parry","photo":"1.jpg"}`, `{"name":"Unknown driver","photo":"placeholder.png"}`
	is := func(target string, wantStatus int, body, fallback string) {
		t.Helper()
		a := s.Call(t, "GET", target, "")
		if a.Status != wantStatus || a.Body != body && wantStatus == 200 || !regexp.MustCompile("^"+fallback+"$").MatchString(a.Header.Get("X-Fallback")) {
			t.Errorf("%s: got %d %s, X-Fallback: %q; want %d %s, %q", target, a.Status, a.Body, a.Header.Get("X-Fallback"), wantStatus, body, fallback)
		}
	}
	const lastKnown = `last-known; age=\d+s`
	is("/vehicles/driver/x", 200, pam, "")
	is("/history/x", 200, `[{"lat":1,"lng":0},{"lat":2,"lng":3}]`, "")
	for _, failing := range []int64{502, 0} {
		status.Store(failing)
		is("/vehicles/driver/x", 200, pam, lastKnown)
		is("/vehicles/driver/y", 200, unknown, "placeholder")
		is("/history/x", 200, `[{"lat":1,"lng":0},{"lat":2,"lng":3}]`, lastKnown)
		is("/history/y", 500, "", "")
		is("/photos/1.jpg", 500, "", "")
		is("/vehicles/", 200, "[]", "placeholder")
	}
	status.Store(404)
	is("/vehicles/driver/x", 404, "", "")
	status.Store(502)
	is("/vehicles/driver/x", 200, unknown, "placeholder") // the 404 has deleted the last known answer
	status.Store(200)
	is("/vehicles/driver/x", 200, pam, "")

	metrics := s.Admin(t, "GET", "/metrics", "").Body
	for _, want := range []string{
		`fleetman_upstream_fallbacks_total\{.*fleetman_fallback="last-known".*server_address="staff-service".*\} 2\n`,
		`fleetman_upstream_fallbacks_total\{.*fleetman_fallback="placeholder".*server_address="staff-service".*\} 3\n`,
		`fleetman_upstream_fallbacks_total\{.*fleetman_fallback="placeholder".*server_address="position-tracker".*\} 2\n`,
	} {
		if !regexp.MustCompile(want).MatchString(metrics) {
			t.Errorf("no %s in the metrics:\n%s", want, metrics)
		}
	}
}

// With RESILIENCE=off there is no fallback, as in the original.
func TestNoFallbacksWhenOff(t *testing.T) {
	up := upstreams(t, map[string]string{"GET /driver/x": "fails"})
	start(t, up, up).Call(t, "GET", "/vehicles/driver/x", "").Has(t, 500, "", "X-Fallback", "")
	start(t, nowhere, up).Call(t, "GET", "/vehicles/", "").Is(t, 200, "[]", "X-Fallback", "")
}
