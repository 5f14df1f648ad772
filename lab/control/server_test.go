package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
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
		{"POST", "/kill?pod=a&signal=9", 400, `{"error":"\"a\": must be a pod: "}`},
		{"GET", "/logs?pod=a", 400, `{"error":"\"a\": must be a pod: "}`},
		{"GET", "/logs?pod=a&tail=-1", 400, `{"error":"tail: \"-1\": must be a number of lines"}`},
		{"GET", "/logs?pod=a&since=1h", 400, `{"error":"since: \"1h\": must be a time in RFC 3339 format"}`},
		{"POST", "/apply", 404, `{"error":"the running fleet has no mesh: start it with fleetman up --mesh"}`},
		{"POST", "/set", 400, `{"error":"body: EOF: must be an override in JSON"}`},
		{"GET", "/kill", 405, "Method Not Allowed"},
		{"GET", "/x", 404, "404 page not found"},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, http.NoBody))
		got := fmt.Sprintf("%d %s", recorder.Code, strings.TrimSpace(recorder.Body.String()))
		assert.Equal(t, fmt.Sprintf("%d %s", test.status, test.body), got, test.method+" "+test.path)
	}
}

// TestApplied checks that the manifests of status are those of the last apply that did not fail.
func TestApplied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"), 0o644))
	manifests := &paths{of: []string{"/start"}}
	var reported []string
	apply := func(path string, failed error) (int, string) {
		recorder := httptest.NewRecorder()
		manifests.applyWith(func(context.Context, *manifest.Objects) (mesh.Applied, error) {
			return mesh.Applied{Changed: []string{"Namespace a created"}}, failed
		}, func(paths []string, applied mesh.Applied) { reported = append(paths, applied.Changed...) })(recorder, httptest.NewRequest("POST", "/apply?path="+path, http.NoBody))
		return recorder.Code, strings.TrimSpace(recorder.Body.String())
	}
	status, body := apply(file, errors.New("rejected"))
	assert.Equal(t, []any{422, `{"error":"rejected"}`}, []any{status, body}, "rejected")
	status, _ = apply("/nowhere", nil)
	assert.Equal(t, 422, status, "no file")
	assert.Equal(t, []string{"/start"}, manifests.get(), "manifests after failures")
	assert.Nil(t, reported, "reported after failures")
	status, body = apply(file, nil)
	assert.Equal(t, []any{200, `{"changed":["Namespace a created"],"seconds":0}`}, []any{status, body}, "applied")
	assert.Equal(t, []string{file}, manifests.get(), "manifests")
	assert.Equal(t, []string{file, "Namespace a created"}, reported, "reported")
}

func TestSocketPath(t *testing.T) {
	short, err := socketPath("/a/b")
	require.NoError(t, err)
	assert.Equal(t, "/a/b/control.sock", short)
	long, err := socketPath("/" + strings.Repeat("a", 200))
	other, _ := socketPath("/" + strings.Repeat("b", 200))
	require.NoError(t, err)
	assert.NotContains(t, long, "aaa", "path of a long directory")
	assert.NotEqual(t, long, other, "paths of two long directories")
}
