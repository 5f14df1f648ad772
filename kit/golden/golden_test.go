package golden_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"fleetman.example/kit/golden"
)

// workspace makes a repository with shared test data beside it, and goes into it.
func workspace(t *testing.T, file, text string) {
	root := t.TempDir()
	for path, text := range map[string]string{"repo/go.work": "", "repo/services/x/x.go": "", filepath.Join("shared/golden", file): text} {
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

func TestLoad(t *testing.T) {
	workspace(t, "head/a.json", `[
		{"name":"one","request":{"method":"POST","target":"/vehicles/","headers":[["Content-Type","application/json"]],"body":"{}"},"status":200,"headers":[["X","y"]],"body":"first","varies":["body"]},
		{"name":"one","status":500,"body":"second"},
		{"name":"two","request":{"method":"GET","target":"/"},"status":404}]`)
	ordered, byName := golden.Load(t, "head/a.json")
	if len(ordered) != 3 || len(byName) != 2 || byName["one"].Body != "first" || ordered[1].Body != "second" || byName["two"].Status != 404 {
		t.Errorf("got %+v", ordered)
	}
	one := byName["one"]
	if r := one.Request; r.Method != "POST" || r.Target != "/vehicles/" || r.Body == nil || *r.Body != "{}" || len(r.Headers) != 1 || r.Headers[0] != [2]string{"Content-Type", "application/json"} {
		t.Errorf("got request %+v", r)
	}
	if byName["two"].Request.Body != nil || len(one.Varies) != 1 || one.Varies[0] != "body" || one.Headers[0] != [2]string{"X", "y"} {
		t.Errorf("got %+v", byName)
	}
}

func TestSharedSkipsWhereThereIsNone(t *testing.T) {
	workspace(t, "there", "")
	if path := golden.Shared(t, "golden", "there"); filepath.Base(path) != "there" {
		t.Errorf("got %s", path)
	}
	skipped := make(chan string)
	go func() {
		defer close(skipped)
		golden.Shared(skipper{t, skipped}, "golden", "absent")
	}()
	if got, want := <-skipped, "no test data at ../shared/golden/absent: it lies beside the repository and is no part of it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// skipper hands out why a test skips, so that this one need not.
type skipper struct {
	testing.TB
	why chan<- string
}

func (s skipper) Skipf(format string, args ...any) {
	s.why <- fmt.Sprintf(format, args...)
	runtime.Goexit()
}
