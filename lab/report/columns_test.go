package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/golden"
)

// TestPublishedFigures: the documentation's figures are the columns.
func TestPublishedFigures(t *testing.T) {
	var table strings.Builder
	table.WriteString("| figure | in goals and JSON | unit | is |\n| --- | --- | --- | --- |\n")
	for _, c := range Columns {
		fmt.Fprintf(&table, "| %s | `%s` | %s | %s |\n", c.Head, c.Name, c.Unit.Base, c.Meaning)
	}
	golden.Between(t, "../compare/README.md", "figures", table.String())
	seen := map[string]bool{}
	for _, c := range Columns {
		computed := 0
		for _, is := range []bool{c.share != nil, c.quantile > 0, c.value != nil} {
			if is {
				computed++
			}
		}
		assert.Equal(t, 1, computed, c.Name+", ways to compute it")
		assert.NotContains(t, seen, c.Name)
		assert.NotContains(t, []string{c.Head, c.Meaning, c.Unit.Base}, "", c.Name+", head, meaning and unit")
		seen[c.Name] = true
	}
}
