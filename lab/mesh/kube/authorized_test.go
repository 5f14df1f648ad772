package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// No path can be read without the fleet's token.
func TestUnauthorized(t *testing.T) {
	s := NewServer(time.Now)
	s.Token = "secret"
	for header, want := range map[string]int{"": 401, "Bearer": 401, "Bearer ": 401, "Bearer secre": 401, "Basic secret": 401, "Bearer secret": 200} {
		for _, path := range []string{"/version", "/api/v1/secrets", "/apis", "/openapi/v3"} {
			recorder := respond(s, "GET", path, header)
			body := recorder.Body.String()
			assert.Equal(t, want, recorder.Code, "%s with %q: %s", path, header, body)
			assert.Equal(t, want == 401, strings.Contains(body, `"message":"Authorization: must be the bearer token of the fleet's kubeconfig"`), body)
		}
	}
}
