package lint

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// expected returns the rules that the first line of an example names.
func expected(t *testing.T, text string) []string {
	t.Helper()
	line, _, _ := strings.Cut(text, "\n")
	list, ok := strings.CutPrefix(line, "# expect: ")
	require.True(t, ok, "the first line is %q, want # expect: RULES", line)
	if list == "nothing" {
		return nil
	}
	list = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(list, "")
	rules := regexp.MustCompile(`\d+`).FindAllString(list, -1)
	slices.Sort(rules)
	return rules
}

// found returns the rules of findings that are not intended, each once.
func found(findings []Finding) (rules []string) {
	for _, f := range findings {
		if f.Ignored == "" && !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	slices.Sort(rules)
	return rules
}

// TestShared: in manifests in the form in which people post them, every mistake
// is found, and nothing else.
func TestShared(t *testing.T) {
	files, err := filepath.Glob("../../../shared/lint/*.yaml")
	if err != nil || len(files) == 0 {
		t.Skip("no examples beside the repository")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			findings := load(t, file).Check(Options{})
			assert.Equal(t, expected(t, read(t, file)), found(findings), "%v", findings)
		})
	}
}

// TestScenarios: no finding in a scenario of the repository is unintended.
func TestScenarios(t *testing.T) {
	for _, pattern := range []string{"*", "*/*"} {
		files, err := filepath.Glob("../../k8s/scenarios/" + pattern + "/kustomization.yaml")
		require.NoError(t, err)
		require.NotEmpty(t, files, "scenarios")
		for _, file := range files {
			dir := filepath.Dir(file)
			t.Run(strings.TrimPrefix(dir, "../../k8s/scenarios/"), func(t *testing.T) {
				for _, f := range load(t, dir).Check(Options{}) {
					assert.NotEmpty(t, f.Ignored, "%s", f)
				}
			})
		}
	}
}
