package k8stest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/scenario"
)

const stepsHead = "| step | scenario | what the one before lacks |\n| --- | --- | --- |\n"

// TestSteps checks that every scenario has its place in steps.yaml, from plain to resilience, and that both READMEs
// have the table. With -update it writes the tables.
func TestSteps(t *testing.T) {
	root := filepath.Join(k8s, "scenarios")
	steps, err := scenario.Steps(root)
	require.NoError(t, err)
	var names []string
	for _, step := range steps {
		names = append(names, step.Scenario)
		if text := step.Why; !strings.HasSuffix(text, ".") || strings.Count(text, ". ") > 0 || len(text) > 120 || strings.Contains(text, "|") {
			t.Errorf("steps.yaml: %s: why: %q: must be one sentence of at most 120 bytes", step.Scenario, text)
		}
	}
	require.ElementsMatch(t, scenarios(t), names, "scenarios and steps of steps.yaml")
	assert.Equal(t, "plain", names[0], "the first step")
	assert.Regexp(t, "^resilience/", names[len(names)-1], "the last step")
	for path, prefix := range map[string]string{filepath.Join(k8s, "README.md"): "scenarios/", filepath.Join(root, "README.md"): ""} {
		checkSteps(t, path, prefix, steps)
	}
}

var tableRows = regexp.MustCompile(`^(\|.*\n)*`)

func checkSteps(t *testing.T, path, prefix string, steps []scenario.Step) {
	t.Helper()
	var want strings.Builder
	for i, step := range steps {
		fmt.Fprintf(&want, "| %d | [%s](%s%s) | %s |\n", i+1, step.Scenario, prefix, step.Scenario, step.Why)
	}
	before, rest, found := strings.Cut(read(t, path), stepsHead)
	require.True(t, found, "%s: a table with the columns of TestSteps", path)
	end := len(tableRows.FindString(rest))
	golden.Compare(t, path, before+stepsHead+want.String()+rest[end:])
}
