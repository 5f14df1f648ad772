package golden

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fleetman.example/kit/server/servertest"
)

// workspace creates a repository with recordings beside it, and changes into it.
func workspace(t *testing.T, recordings map[string]string) {
	root := t.TempDir()
	files := map[string]string{"repo/go.work": "", "repo/services/x/x.go": ""}
	for file, text := range recordings {
		files["shared/golden/"+file] = text
	}
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "repo", "services", "x"))
}

func TestSharedWithoutData(t *testing.T) {
	workspace(t, map[string]string{"there": ""})
	if path := Shared(t, "golden", "there"); filepath.Base(path) != "there" {
		t.Errorf("got %s", path)
	}
	for ci, want := range map[string]string{"": "skips: ", "true": "fails: "} {
		t.Setenv("CI", ci)
		ended := make(chan string)
		go func() {
			defer close(ended)
			Shared(ends{t, ended}, "golden", "absent")
		}()
		if got, want := <-ended, want+"no test data at ../shared/golden/absent: it is beside the repository, not in it"; got != want {
			t.Errorf("CI=%s: got %q, want %q", ci, got, want)
		}
	}
}

// ends records how a test ends instead of ending it.
type ends struct {
	testing.TB
	how chan<- string
}

func (e ends) Skipf(format string, args ...any) {
	e.how <- "skips: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (e ends) Fatalf(format string, args ...any) {
	e.how <- "fails: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// complaints records the errors of a test instead of failing it.
type complaints struct {
	testing.TB
	errors []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.errors = append(c.errors, fmt.Sprintf(format, args...))
}

func TestReplay(t *testing.T) {
	const recording = `[
		{"name":"x list","request":{"method":"GET","target":"/list","headers":[["Host","x"]]},"status":200,"headers":[["Content-Type","application/json;charset=UTF-8"],["Vary","Origin"]],"body":"[{\"n\":2,\"timestamp\":\"2023-11-13T05:31:33.279+0000\"},{\"n\":1}]","varies":["order: by hash"]},
		{"name":"y other","request":{"method":"GET","target":"/nosuch"},"status":200,"body":"another service's"},
		{"name":"x speed","request":{"method":"GET","target":"/speed","headers":[["Host","x"]]},"status":200,"body":"12.500001"},
		{"name":"x latin","request":{"method":"POST","target":"/echo","headers":[["Host","x"],["Content-Length","2"]],"body":"é!"},"status":200,"headers":[["Content-Type","text/plain"]],"body":"e9 21"},
		{"name":"x gone","request":{"method":"GET","target":"/gone","headers":[["Host","x"]]},"status":404,"headers":[["Content-Type","application/json"]],"body":"{\"timestamp\":\"2026-11-22T08:05:32.893+00:00\",\"status\":404,\"error\":\"Not Found\",\"path\":\"/gone\"}"}]`
	files := make(map[string]string)
	for _, system := range []string{"head/", "t6/"} {
		for _, file := range []string{"telemetry", "tracker", "gateway"} {
			files[system+file+".json"] = "[]"
		}
		files[system+"staff.json"] = recording
	}
	workspace(t, files)
	gone := `{"timestamp":"2026-01-01T00:00:00.000+0000","status":404,"error":"Not Found","message":"ours","path":"/gone"}`
	speed := "12.500002"
	s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/list":
			_, _ = io.WriteString(w, `[{"n":1},{"n":2,"timestamp":"2026-01-01T00:00:00.000+0000"}]`)
		case "/speed":
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, speed)
		case "/echo":
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprintf(w, "% x", body)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, gone)
		}
	})
	prepared := 0
	start := func() (string, Prepare) {
		return s.URL, func([]Call, int) { prepared++ }
	}
	// replayed returns the errors of a replay with differences of the speed.
	replayed := func(service string, table ...string) string {
		c := &complaints{TB: t}
		replay(c, service, start, differences(t, "# of a test\n\n"+strings.Join(table, "\n\n")))
		return strings.Join(c.errors, "\n")
	}
	if errors := replayed("x"); errors != "" || prepared != 10 {
		t.Errorf("%d times prepared: %s", prepared, errors)
	}
	if errors := replayed("z"); !strings.Contains(errors, "head has no calls of z") {
		t.Error(errors)
	}
	const needless = "Calls: x speed\nOriginal: 200\nOurs: 200\nReason: why"
	if errors := replayed("x", needless); errors != "no call has the difference: "+needless {
		t.Error(errors)
	}
	speed = "13"
	if errors := replayed("x"); !strings.Contains(errors, "head x speed: GET /speed") || !strings.Contains(errors, "t6 x speed") {
		t.Error(errors)
	}
	const ofHead, wrong = "Calls: head x speed\nOriginal: 200 (1)2\\.5\nOurs: 200 $13$\nReason: why", "Calls: t6 .*\nOriginal: 200 12\\.5\nOurs: 200 14\nReason: why"
	if errors := replayed("x", ofHead, wrong); strings.Contains(errors, "head x") || !strings.Contains(errors, "t6 x speed: GET /speed") {
		t.Error(errors)
	}
	if errors := replayed("x", strings.Replace(ofHead, "head ", "", 1)); errors != "" {
		t.Error(errors)
	}
	speed, gone = "12.5", `{"status":404,"error":"Not Found","path":"/gone"}`
	if errors := replayed("x"); !strings.Contains(errors, "head x gone: an error without the contract's shape: must have the five fields") {
		t.Error(errors)
	}
}

func TestShape(t *testing.T) {
	const gone = `{"timestamp":"2026-01-01T00:00:00.000+0000","status":404,"error":"Not Found","message":"ours","path":"/gone"}`
	for _, tc := range []struct {
		status                  int
		contentType, body, want string
	}{
		{404, "application/json", gone, ""},
		{404, "application/json", "{}", "must have the five fields"},
		{400, "application/json", gone, "status: 404: must be 400"},
		{404, "", gone, `Content-Type: "": must be application/json`},
		{404, "text/plain", gone, `Content-Type: "text/plain": must be application/json`},
	} {
		a := servertest.Answer{Status: tc.status, Header: http.Header{"Content-Type": {tc.contentType}}, Body: tc.body}
		if got := shape(a); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestText(t *testing.T) {
	for body, want := range map[string]string{"": "200", "a": "200 a", "a\n": "200 a\n", " ": "200  "} {
		if got := (Call{}).text(servertest.Answer{Status: 200, Body: body}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
