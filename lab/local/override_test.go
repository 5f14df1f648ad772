package local

import (
	"strings"
	"testing"
)

// TestOverride changes a variable and the number of pods of a running fleet, over its manifests.
func TestOverride(t *testing.T) {
	objects := decode(t, service("a", 1, 0, "")+"---\n"+service("b", 1, 0, ""))
	f := startFleet(t, objects, testOptions(t))
	before := pids(f)

	f.Override([]Setting{{"a", "COLOUR", "red"}}, map[string]int{"a": 2})
	ended, err := f.Apply(t.Context(), objects)
	if err != nil || ended != "2 pods started, 1 ended" {
		t.Fatalf("got %q, %v", ended, err)
	}
	gone(t, f, "a-0")
	if now := pids(f); len(now) != 3 || now["b-0"] != before["b-0"] {
		t.Errorf("processes %v, before %v", now, before)
	}
	for _, ip := range hostsLines(t, f, "a") {
		if env, err := environmentAt(ip + ":8080"); err != nil || env["COLOUR"] != "red" {
			t.Errorf("a leads to %v, %v", env, err)
		}
	}

	undo := f.Override(nil, map[string]int{"nobody": 3})
	if _, err := f.Apply(t.Context(), objects); err == nil || !strings.HasPrefix(err.Error(), `--replicas "nobody": must be a Deployment of the manifests: a, b`) {
		t.Errorf("an unknown Deployment: %v", err)
	}
	undo()
	if ended, err := f.Apply(t.Context(), objects); err != nil || ended != "" {
		t.Errorf("after undo: %q, %v", ended, err)
	}
}
