package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
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
	if status, body := apply(file, errors.New("rejected")); status != 422 || body != `{"error":"rejected"}` || manifests.get()[0] != "/start" || reported != nil {
		t.Errorf("rejected: %d %s; manifests %q, reported %q", status, body, manifests.get(), reported)
	}
	if status, body := apply("/nowhere", nil); status != 422 || manifests.get()[0] != "/start" || reported != nil {
		t.Errorf("no file: %d %s; manifests %q, reported %q", status, body, manifests.get(), reported)
	}
	status, body := apply(file, nil)
	if want := `{"changed":["Namespace a created"],"seconds":0}`; status != 200 || body != want || !slices.Equal(manifests.get(), []string{file}) {
		t.Errorf("applied: %d %s, want %s; manifests %q", status, body, want, manifests.get())
	}
	assert.Equal(t, []string{file, "Namespace a created"}, reported, "reported")
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
