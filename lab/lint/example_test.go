package lint

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// check returns what is found in the text of one file.
func check(t *testing.T, text string) []Finding {
	t.Helper()
	return load(t, write(t, text)).Check(Options{})
}

// fleet is the form of fleetOf.
//
//go:embed testdata/fleet.tmpl
var fleet string

// fleetOf returns a Deployment and its Service.
func fleetOf(service, app, image string, replicas int) string {
	return fmt.Sprintf(fleet, service, app, image, replicas)
}

// write returns a new file with a text.
func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func load(t testing.TB, path string) *Manifests {
	t.Helper()
	m, err := Load(path)
	require.NoError(t, err)
	return m
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// TestExamples: each rule finds its mistake in its failing example, at the line of
// the mistake, and no rule finds anything in a passing one.
func TestExamples(t *testing.T) {
	for _, rule := range Rules() {
		dir := filepath.Join("testdata", fmt.Sprintf("%02d", rule.Number))
		t.Run(rule.Name, func(t *testing.T) {
			bad := read(t, filepath.Join(dir, "bad.yaml"))
			findings := check(t, bad)
			assert.Equal(t, expected(t, bad), found(findings), "%v", findings)
			assert.Empty(t, check(t, read(t, filepath.Join(dir, "good.yaml"))), "good.yaml")
		})
	}
}

// TestMistakes puts each mistake back into a passing example: the rule finds it,
// at that line or at one above that is part of the same object.
func TestMistakes(t *testing.T) {
	for _, rule := range Rules() {
		lines := strings.Split(read(t, filepath.Join("testdata", fmt.Sprintf("%02d", rule.Number), "good.yaml")), "\n")
		mistakes := 0
		for i, line := range lines {
			text, mistake, ok := strings.Cut(line, " # mistake: ")
			if !ok {
				continue
			}
			mistakes++
			t.Run(fmt.Sprintf("%s/%s", rule.Name, mistake), func(t *testing.T) {
				indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
				changed := slices.Clone(lines)
				changed[i] = indent + mistake
				findings := check(t, strings.Join(changed, "\n"))
				assert.Contains(t, found(findings), strconv.Itoa(rule.Number), "%v", findings)
			})
		}
		assert.NotZero(t, mistakes, "%s: mistakes to put back into good.yaml", rule.Name)
	}
}
