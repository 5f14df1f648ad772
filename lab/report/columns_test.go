package report

import (
	"fmt"
	"strings"
	"testing"

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
		if seen[c.Name] || computed != 1 || c.Head == "" || c.Meaning == "" || c.Unit.Base == "" {
			t.Errorf("column %+v: must be there once, be computed one way, and have a head, a unit and a meaning", c)
		}
		seen[c.Name] = true
	}
}
