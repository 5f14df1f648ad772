package control

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fleetman.example/lab/local"
)

// TestBadRequests sends requests that the commands never send.
func TestBadRequests(t *testing.T) {
	handler := routes("state", Fleet{Fleet: &local.Fleet{}}) // without pods
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/kill?pod=a", 400, `{"error":"signal: \"\": must be a number from 1 to 64"}`},
		{"POST", "/kill?pod=a&signal=0", 400, `{"error":"signal: \"0\": must be a number from 1 to 64"}`},
		{"POST", "/kill?pod=a&signal=65", 400, `{"error":"signal: \"65\": must be a number from 1 to 64"}`},
		{"POST", "/kill?pod=a&signal=9", 404, `{"error":"no pod \"a\"; there are "}`},
		{"GET", "/logs?pod=a", 404, `{"error":"no pod \"a\"; there are "}`},
		{"GET", "/logs?pod=a&tail=-1", 400, `{"error":"tail: \"-1\": must be a number of lines"}`},
		{"GET", "/logs?pod=a&since=1h", 400, `{"error":"since: \"1h\": must be a time in RFC 3339 format"}`},
		{"POST", "/apply", 404, `{"error":"the running fleet has no mesh: start it with fleetman up --mesh"}`},
		{"GET", "/kill", 405, "Method Not Allowed"},
		{"GET", "/x", 404, "404 page not found"},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, http.NoBody))
		if body := strings.TrimSpace(recorder.Body.String()); recorder.Code != test.status || body != test.body {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, recorder.Code, body, test.status, test.body)
		}
	}
}

func TestSocketPath(t *testing.T) {
	short, err := socketPath("/a/b")
	if err != nil || short != "/a/b/control.sock" {
		t.Errorf("short directory: %s, %v", short, err)
	}
	long, err := socketPath("/" + strings.Repeat("a", 200))
	other, _ := socketPath("/" + strings.Repeat("b", 200))
	if err != nil || strings.Contains(long, "aaa") || long == other {
		t.Errorf("long directory: %s, %v; another: %s", long, err, other)
	}
}
