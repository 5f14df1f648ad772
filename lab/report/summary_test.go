package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
)

// many is a report with more arms, faults and goals than a screen has room for.
func many(t *testing.T) Report {
	t.Helper()
	var runs []*record.Run
	for fault := range 24 {
		for arm := range 8 {
			r := outcomesOf(fmt.Sprintf("an-arm-with-a-long-name-%d", arm), 1, arm*10, 0)
			r.Fault = fmt.Sprintf("a-fault-with-a-long-name-%d", fault)
			runs = append(runs, r)
		}
	}
	r := reportOf(t, of(runs...))
	judge(t, &r, "an-arm-with-a-long-name-3, a-fault-with-a-long-name-3: good >= 99.8%")
	return r
}

// TestSummarySize: whatever there is to say, the summary fits a terminal of 100
// x 40, and the Markdown 20 lines.
func TestSummarySize(t *testing.T) {
	r := many(t)
	for _, color := range []bool{false, true} {
		text := summaryOf(r, SummaryOptions{Color: color, HTML: "DIR/report.html"})
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		assert.LessOrEqual(t, len(lines), Lines40, "lines")
		for _, line := range lines {
			for _, o := range outcomeMarks {
				line = strings.ReplaceAll(line, o.color, "")
			}
			line = strings.ReplaceAll(line, colorOff, "")
			assert.LessOrEqual(t, utf8.RuneCountInString(line), Columns100, line)
		}
		assert.Equal(t, color, strings.Contains(text, "\x1b"), "colour in "+text)
		assert.Contains(t, text, "DIR/report.html", "summary")
	}
	markdown := written(MarkdownSummary, r)
	assert.LessOrEqual(t, strings.Count(markdown, "\n"), mostMarkdown, markdown)
}

// TestHGRM: the percentiles of HdrHistogram's own format, of the same latencies.
func TestHGRM(t *testing.T) {
	r := reportOf(t, of(outcomesOf("a/b", 1, 0, 50)))
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, HGRM(dir, r))
	text, err := os.ReadFile(filepath.Join(dir, "x-a-b.hgrm"))
	require.NoError(t, err)
	for _, want := range []string{"Value\tPercentile\tTotalCount", "       2.000     0.500000           50", "Total count    =          100"} {
		assert.Contains(t, string(text), want, "histogram")
	}
}

// failing is a report of one arm that loses some of 100 requests.
func failing(t *testing.T, lost int) Report {
	t.Helper()
	return reportOf(t, of(outcomesOf("a", 1, lost, 0)))
}

// pairText is what differs between two reports.
func pairText(p Pair) string {
	var text bytes.Buffer
	PairText(&text, p, false)
	return text.String()
}

// TestPair: before and after a change, side by side.
func TestPair(t *testing.T) {
	before, after := failing(t, 50), failing(t, 0)
	text := pairText(Compare(before, after))
	for _, want := range []string{"x      a    failed     50 % (40.4..59.6)", "-50 % (-59.6..-39.7), one run", "figures: no difference shown (--all shows them)"} {
		assert.Contains(t, text, want, "pair")
	}
	assert.NotContains(t, pairText(Compare(before, before)), "failed", "the same")
	other := failing(t, 0)
	other.Groups[0].Faults[0].Name = "y"
	assert.Equal(t, true, Overlap(before, after), "before and after overlap")
	assert.Equal(t, false, Overlap(before, other), "other faults overlap")
}

// TestPairWarnings: the warnings of both are there, with their directories, as text and
// as a page.
func TestPairWarnings(t *testing.T) {
	before := reportOf(t, of(staffRun("none", "x", 1, startLate), staffRun("none", "x", 2)))
	after := reportOf(t, of(staffRun("none", "x", 1)))
	p := Compare(before, after)
	p.Dirs = [2]string{"old/", "new/"}
	text, page := pairText(p), parse(t, encoded(t, PairHTML, p))
	for _, want := range []string{"A (old/): the load was late: none/x/1", "B (new/): one seed, and the fault is in some replicas only: x"} {
		assert.Contains(t, text, "! "+want+"\n", "text")
		assert.Contains(t, textOf(page), want+"\n", "page")
	}
	p.Dirs = [2]string{}
	assert.Equal(t, []string{"A: the load was late: none/x/1", "B: one seed, and the fault is in some replicas only: x"}, p.Warnings(0), "without directories")
}
