package check

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCompare(t *testing.T) {
	good := func(promise string) Result {
		return Result{Scenario: "s", Promise: promise, Holds: true, Control: &ControlResult{Broken: true}}
	}
	broken := good("b")
	broken.Holds, broken.Control = false, nil
	broken.Checks = []CheckResult{{Requests: "20 requests", Findings: []Finding{{Expected: "all 200", Saw: "20× 503"}}}}
	unproved := good("c")
	unproved.Control = &ControlResult{}
	failed := good("d")
	failed.Error = "no pod"
	here := []Result{good("a"), broken, unproved, failed, good("e"), {Scenario: "s", Promise: "f", Holds: true}}
	there := []Result{good("a"), good("b"), good("c"), good("d"), good("f")}
	same, differing, alone := Compare(here, there)
	want := []string{
		"DIFFERS s: b: does not hold here, holds, and its control breaks it there: 20 requests: expected all 200; saw 20× 503",
		"DIFFERS s: c: holds, also with its control here, holds, and its control breaks it there",
		"DIFFERS s: d: not checked here, holds, and its control breaks it there: no pod",
		"DIFFERS s: f: holds, without a control here, holds, and its control breaks it there",
	}
	assert.Equal(t, []string{"s: e"}, alone, "alone")
	assert.Equal(t, 1, same, "the same")
	assert.Equal(t, want, differing, "differing")
}
