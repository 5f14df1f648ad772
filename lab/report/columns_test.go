package report

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestDefinitions: the documentation's figures are the columns.
func TestDefinitions(t *testing.T) {
	const path, begin, end = "../compare/README.md", "<!-- figures -->\n", "<!-- /figures -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s: no marks", path)
	}
	var want bytes.Buffer
	Definitions(&want)
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want.String() {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want.String())
	}
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
