package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/golden"
	"fleetman.example/lab/record"
	"fleetman.example/lab/stats"
)

// results is the directory of the results that README.md shows.
const results = "../../docs/results/2026-11-27"

// shown are the comparisons in report.html and in README.md, pictured those in its
// picture.
var (
	shown    = []string{"comparison", "storm", "cost"}
	pictured = []string{"comparison", "cost"}
)

// published is the report of published records. Each directory is read once.
func published(t testing.TB, names ...string) Report {
	t.Helper()
	var all []*record.Comparison
	for _, name := range names {
		if publishedRead[name] == nil {
			c, err := record.ReadDir(filepath.Join(results, name))
			require.NoError(t, err)
			publishedRead[name] = c
		}
		all = append(all, publishedRead[name])
	}
	return reportOf(t, all...)
}

var publishedRead = map[string]*record.Comparison{}

// publishedNames are the directories with records.
func publishedNames(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(results)
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// TestPublishedFiles holds the pages, tables and the picture to the records.
func TestPublishedFiles(t *testing.T) {
	r := published(t, shown...)
	page := filepath.Join(results, "report.html")
	if golden.Updates() {
		require.NoError(t, os.WriteFile(page, []byte(pageOf(t, r)), 0o644))
	}
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	want, err := json.Marshal(r)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), `<script type="application/json" id="data">`)
	data, _, _ := strings.Cut(rest, "</script>")
	assert.Equal(t, true, data == string(want), page+": its JSON is what the records give, and -update writes")
	assert.Less(t, len(text), 1_000_000, page+", bytes")
	golden.Compare(t, filepath.Join(results, "matrix.svg"), MatrixSVG(published(t, pictured...)))
	var tables bytes.Buffer
	fmt.Fprintf(&tables, "# All tables\n[What each figure is](../../../lab/compare/README.md#the-figures).\n")
	for _, name := range publishedNames(t) {
		r := published(t, name)
		golden.Between(t, filepath.Join(results, "README.md"), name, written(MarkdownSummary, r))
		fmt.Fprintf(&tables, "\n## %s\n", name)
		Markdown(&tables, r)
	}
	golden.Compare(t, filepath.Join(results, "tables.md"), tables.String())
}

// TestPublishedSize: a clone stays small, and the summaries fit.
func TestPublishedSize(t *testing.T) {
	total := int64(0)
	err := filepath.Walk(results, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			total += info.Size()
		}
		return err
	})
	require.NoError(t, err)
	assert.Less(t, total, int64(5_000_000), "bytes")
	text := summaryOf(published(t, shown...), SummaryOptions{HTML: "docs/results/2026-11-27/report.html"})
	assert.LessOrEqual(t, strings.Count(text, "\n"), Lines40, "lines")
	assert.NotContains(t, text, "more: --all")
}

// claims are functions of the templates of published sentences: a figure's text,
// or the check of what a sentence claims without a figure. What the records do not
// have is a panic, which a template returns as its error.
type claims struct{ Report }

// must panics unless a claim holds.
func must(holds bool, format string, args ...any) {
	if !holds {
		panic(fmt.Errorf(format, args...))
	}
}

func (c claims) arm(fault, arm string) Arm {
	a, ok := c.find(fault, arm)
	must(ok, "%s, %s: not in the records", fault, arm)
	return a
}

func (c claims) figure(name, fault, arm string) (value float64, unit Unit) {
	of, known := column(name)
	f := c.arm(fault, arm).Figures[name]
	must(known && f.Value != nil, "%s, %s: no %s", fault, arm, name)
	return *f.Value, of.Unit
}

// Fig is a figure without its interval.
func (c claims) Fig(name, fault, arm string) string {
	value, unit := c.figure(name, fault, arm)
	return unit.text(value)
}

// Whole is Fig without decimals.
func (c claims) Whole(name, fault, arm string) string {
	value, unit := c.figure(name, fault, arm)
	unit.decimals = 0
	return unit.text(value)
}

// Adds is what an arm has over the baseline, which has to be shown.
func (c claims) Adds(name, fault, arm string) string {
	of, _ := column(name)
	d := c.arm(fault, arm).Over[name]
	must(d.Value != nil && (d.Low == nil || d.Shown), "%s, %s: %s over the baseline: %s: must be shown", fault, arm, name, d.Text(of.Unit))
	return of.Unit.text(*d.Value)
}

// Same checks that no difference to the baseline is shown.
func (c claims) Same(name, fault string, arms ...string) string {
	for _, arm := range arms {
		d := c.arm(fault, arm).Over[name]
		must(d.Value != nil && !d.Shown, "%s, %s: %s has a difference to the baseline", fault, arm, name)
	}
	return ""
}

// Zero checks that a figure is 0.
func (c claims) Zero(name, fault string, arms ...string) string {
	for _, arm := range arms {
		v, _ := c.figure(name, fault, arm)
		must(v == 0, "%s, %s: %s: %v: must be 0", fault, arm, name, v)
	}
	return ""
}

// Faults are the names of all.
func (c claims) Faults() (names []string) {
	for _, f := range c.faults() {
		names = append(names, f.Name)
	}
	return names
}

// NotBetter checks that an arm does not have more good answers than another.
func (c claims) NotBetter(fault, arm, than string) string {
	good, _ := column("good")
	d := good.over(c.arm(fault, arm).Figures["good"], c.arm(fault, than).Figures["good"], stats.Confidence)
	must(!d.Shown || *d.Value <= 0, "%s: %s is better than %s: good %s", fault, arm, than, d.Text(percent))
	return ""
}

// Worst is the highest number of attempts per request in a second of the fault.
func (c claims) Worst(fault, arm string) string {
	run := c.arm(fault, arm).Runs[0]
	most := 0.0
	for _, step := range run.Curve {
		if step.At > 0 && step.At <= seconds(run.seen.RepairAt-run.seen.FaultAt) {
			most = max(most, step.Attempts)
		}
	}
	return ratio.number(most)
}

// Max is the highest latency.
func (c claims) Max(fault, arm string) string {
	return duration.text(slices.Max(c.arm(fault, arm).Figures["p50"].sample.Sorted))
}

// Never checks that arms have no value of a figure in the time of their runs.
func (c claims) Never(name, fault string, arms ...string) string {
	for _, arm := range arms {
		f := c.arm(fault, arm).Figures[name]
		must(f.Value == nil && f.Note == "never", "%s, %s: %s: %s: must be never", fault, arm, name, f.Text(seconds3))
	}
	return ""
}

// Happens checks that an event was seen at least so often by one caller; with 0,
// that it was not.
func (c claims) Happens(least int, fault, arm, what string) string {
	by := map[string]int{}
	most := 0
	for _, e := range c.arm(fault, arm).Runs[0].Timeline {
		if e.What == what {
			by[e.Who]++
			most = max(most, by[e.Who])
		}
	}
	must(most >= least && (least > 0 || most == 0), "%s, %s: %s %d times: must be %d", fault, arm, what, most, least)
	return ""
}

// From is the number of failed answers by their origin.
func (c claims) From(fault, arm, origin string) string {
	n := 0
	for _, r := range c.arm(fault, arm).Runs {
		n += r.Origins[origin]
	}
	must(n > 0, "%s, %s: no failed answer of the %s", fault, arm, origin)
	return strconv.Itoa(n)
}

// Hop is what the upstream of a hop received for one call that had to be made.
func (c claims) Hop(fault, arm, hop string) string {
	h := sumHops(c.arm(fault, arm).Runs, hop, func(r *Run) []Hop { return r.Hops })
	must(h.Requests > 0, "%s, %s: %s: no calls", fault, arm, hop)
	return ratio.number(h.Received / h.Requests)
}

// fill executes a template over published records.
func fill(t *testing.T, path string, r Report) string {
	t.Helper()
	parsed, err := template.ParseFiles(path)
	var text bytes.Buffer
	if err == nil {
		err = parsed.Execute(&text, claims{r})
	}
	require.NoError(t, err)
	return text.String()
}

// TestPublishedReadme holds the finding of README.md, and what it claims, to the
// records.
func TestPublishedReadme(t *testing.T) {
	finding := fill(t, "testdata/finding.md.tmpl", published(t, shown...))
	golden.Between(t, "../../README.md", "finding", finding)
	assert.LessOrEqual(t, strings.Count(finding, "\n- "), 6, "sentences")
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.LessOrEqual(t, strings.Count(string(text), "\n"), 130, "lines of README.md")
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	own, _, _ := strings.Cut(rest, "```\n")
	_, err = experiment.Decode("README.md", []byte(own), Figures())
	require.NoError(t, err, "the experiment of README.md")
}

// TestPublishedChapter holds the chapter on library and mesh to the records.
func TestPublishedChapter(t *testing.T) {
	golden.Between(t, "../compare/README.md", "library-and-mesh", fill(t, "testdata/library-and-mesh.md.tmpl", published(t, shown...)))
}
