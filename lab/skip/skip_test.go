package skip_test

import (
	"fmt"
	"testing"

	"fleetman.example/lab/skip"
)

// ends records how a test ends.
type ends struct {
	testing.TB
	how string
}

func (e *ends) Fatal(args ...any) { e.how += "fails: " + fmt.Sprint(args...) }
func (e *ends) Skip(args ...any)  { e.how += "skips: " + fmt.Sprint(args...) }

func TestWithout(t *testing.T) {
	for ci, want := range map[string]string{"true": "fails: no engine", "": "skips: no engine"} {
		t.Setenv("CI", ci)
		e := &ends{TB: t}
		skip.Without(e, "no engine")
		if got := e.how[:len(want)]; got != want {
			t.Errorf("CI=%s: %s", ci, e.how)
		}
	}
}
