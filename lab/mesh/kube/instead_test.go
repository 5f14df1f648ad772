package kube

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// respond returns the server's response to a request.
func respond(s *Server, method, path, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, http.NoBody)
	request.Header.Set("Authorization", authorization)
	recorder := httptest.NewRecorder()
	s.Handler().ServeHTTP(recorder, request)
	return recorder
}

// A request that the API does not serve gets the command to use instead.
func TestInstead(t *testing.T) {
	const pods = "/api/v1/namespaces/default/pods/"
	for _, test := range []struct{ method, path, want string }{
		{"POST", "/apis/networking.istio.io/v1/namespaces/default/virtualservices", "use fleetman apply DIR|FILE..."},
		{"PATCH", "/api/v1/namespaces/default/services/web", "use fleetman apply DIR|FILE..."},
		{"GET", pods + "staff-0/log?container=staff", "use fleetman logs staff-0"},
		{"GET", pods + "staff-0/log?container=istio-proxy&follow=true", "use fleetman logs staff-0.envoy"},
		{"GET", "/api/v1/namespaces/apps/pods/staff-0/log", "use fleetman logs apps/staff-0"},
		{"GET", pods + "staff-0/exec?command=ls", "run the command in a shell"},
		{"POST", pods + "staff-0/attach", "run the command in a shell"},
		{"PATCH", pods + "staff-0/ephemeralcontainers", "run the command in a shell"},
		{"DELETE", pods + "staff-0", "use fleetman kill staff-0, which"},
		{"PATCH", "/apis/apps/v1/namespaces/default/deployments/staff/scale", "restart the fleet with fleetman up --replicas"},
		{"PATCH", "/apis/apps/v1/namespaces/default/deployments/staff", "use fleetman kill POD to restart a pod"},
	} {
		recorder := respond(NewServer(time.Now), test.method, test.path, "")
		body := recorder.Body.String()
		if recorder.Code != 405 || !strings.Contains(body, `"kind":"Status"`) || !strings.Contains(body, `"message":"not served by the local fleet: `+test.want) {
			t.Errorf("%s %s: got %d %s, want %q", test.method, test.path, recorder.Code, body, test.want)
		}
	}
	recorder := respond(NewServer(time.Now), "GET", "/openapi/v2?timeout=32s", "")
	if recorder.Code != 406 || !strings.HasPrefix(recorder.Body.String(), "not served by the local fleet: use fleetman apply DIR|FILE...") || !strings.HasPrefix(recorder.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("the first request of kubectl apply: got %d %s", recorder.Code, recorder.Body)
	}
	for _, path := range []string{"/version", "/openapi/v3", pods, "/apis/apps/v1/deployments"} {
		recorder := respond(NewServer(time.Now), "GET", path, "")
		assert.Equal(t, 200, recorder.Code, "%s: %s", path, recorder.Body)
	}
}
