// Package golden compares services with recorded answers of the original. The recordings are beside
// the repository, not in it: without them the tests are skipped, in CI they fail.
package golden

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"fleetman.example/kit/server/servertest"
)

// Call is a recorded request and its answer.
type Call struct {
	Name    string
	Request struct {
		Method, Target string
		Headers        [][2]string
		Body           *string
	}
	Status  int
	Headers [][2]string
	Body    string
	Varies  []string // parts of the answer that differ between runs, such as "order"
}

// Shared returns the path of a file of the shared test data. If the file does not exist, Shared skips
// the test; in CI (CI=true) it fails the test.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := servertest.Must(os.Getwd())
	for ; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			break
		}
	}
	path := filepath.Join(append([]string{filepath.Dir(root), "shared"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		report := t.Skipf
		if os.Getenv("CI") == "true" {
			report = t.Fatalf
		}
		report("no test data at %s: it is beside the repository, not in it", filepath.Join(append([]string{"..", "shared"}, elem...)...))
	}
	return path
}

// load reads the recordings of one file, such as "head/tracker.json".
func load(t testing.TB, file string) (calls []Call) {
	t.Helper()
	text := servertest.Must(os.ReadFile(Shared(t, "golden", filepath.FromSlash(file))))
	if err := json.Unmarshal(text, &calls); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return calls
}
