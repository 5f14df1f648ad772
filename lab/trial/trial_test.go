package trial

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
			assert.False(t, t.Failed(), "from the beginning")
			test.measure(t)
		})
		assert.Equal(t, test.want, strings.Join(s.all, "; "), name)
		assert.Equal(t, test.good, good, name+", good")
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
	assert.Equal(t, 3, n, "measurements")
	Run(t, func(*T) { n++ })
	assert.Equal(t, 4, n, "measurements after a good one")
}

// TestAllFail checks that a defect fails the test, after three measurements.
func TestAllFail(t *testing.T) {
	n := 0
	s := &steps{TB: t}
	assert.False(t, repeat(s, func(t *T) { n++; t.Error("a defect") }), "it passes")
	assert.Equal(t, 3, n, "measurements")
	assert.Equal(t, []string{
		"log failed: a defect", "log measurement 1 of at most 3 failed", "log failed: a defect", "log measurement 2 of at most 3 failed",
		"log failed: a defect", "log measurement 3 of at most 3 failed",
	}, s.all)
}
