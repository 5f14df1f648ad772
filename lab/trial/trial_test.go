package trial

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// steps records what measurements do.
type steps struct {
	testing.TB
	all []string
}

func (s *steps) note(format string, args ...any) { s.all = append(s.all, fmt.Sprintf(format, args...)) }
func (s *steps) Logf(format string, args ...any) { s.note("log "+format, args...) }

// TestMeasurement checks how one measurement ends, and that it is cleaned up, last first, before the next one.
func TestMeasurement(t *testing.T) {
	for name, test := range map[string]struct {
		measure func(*T)
		want    string
		good    bool
	}{
		"good":       {func(*T) {}, "first; second; context canceled", true},
		"an error":   {func(t *T) { t.Errorf("%d of %d", 1, 2) }, "log failed: 1 of 2; first; second; context canceled", false},
		"fatal":      {func(t *T) { t.Fatal("no"); t.Error("goes on") }, "log failed: no; first; second; context canceled", false},
		"a failure":  {func(t *T) { t.FailNow() }, "first; second; context canceled", false},
		"goroutines": {func(t *T) { done := make(chan int); go func() { defer close(done); t.Error("no") }(); <-done }, "log failed: no; first; second; context canceled", false},
	} {
		s := &steps{TB: t}
		good := run(s, func(t *T) {
			t.Cleanup(func() { s.note("%v", t.Context().Err()) })
			t.Cleanup(func() { s.note("second") })
			t.Cleanup(func() { s.note("first") })
			if t.Failed() {
				t.Fatal("failed from the beginning")
			}
			test.measure(t)
		})
		if got := strings.Join(s.all, "; "); got != test.want || good != test.good {
			t.Errorf("%s: got %s, good: %v, want %s", name, got, good, test.want)
		}
	}
}

// TestRun checks that the first good measurement is the last one.
func TestRun(t *testing.T) {
	n := 0
	Run(t, func(t *T) {
		if n++; n < 3 {
			t.Error("disturbed")
		}
	})
	if n != 3 {
		t.Errorf("%d measurements, want 3", n)
	}
	Run(t, func(*T) { n++ })
	if n != 4 {
		t.Errorf("%d measurements after a good one", n-3)
	}
}

// TestAllFail checks that a defect fails the test, after three measurements.
func TestAllFail(t *testing.T) {
	var results []string
	n := 0
	s := &steps{TB: t}
	if repeat(s, func(t *T) { n++; t.Error("a defect") }) {
		t.Error("it passes")
	}
	for _, line := range s.all {
		results = append(results, strings.TrimPrefix(line, "log "))
	}
	want := []string{
		"failed: a defect", "measurement 1 of at most 3 failed", "failed: a defect", "measurement 2 of at most 3 failed",
		"failed: a defect", "measurement 3 of at most 3 failed",
	}
	if !slices.Equal(results, want) || n != 3 {
		t.Errorf("got %q, want %q", results, want)
	}
}
