package kube

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// No path can be read without the fleet's token.
func TestUnauthorized(t *testing.T) {
	s := NewServer(time.Now)
	s.Token = "secret"
	for header, want := range map[string]int{"": 401, "Bearer": 401, "Bearer ": 401, "Bearer secre": 401, "Basic secret": 401, "Bearer secret": 200} {
		for _, path := range []string{"/version", "/api/v1/secrets", "/apis", "/openapi/v3"} {
			request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			request.Header.Set("Authorization", header)
			recorder := httptest.NewRecorder()
			s.Handler().ServeHTTP(recorder, request)
			body := recorder.Body.String()
			if recorder.Code != want || (want == 401) != strings.Contains(body, `"message":"Authorization: must be the bearer token of the fleet's kubeconfig"`) {
				t.Errorf("%s with %q: got %d %s", path, header, recorder.Code, body)
			}
		}
	}
}
