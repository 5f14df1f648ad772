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
	"sync"
	"testing"
	"text/template"

	"fleetman.example/lab/experiment"
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
	publishedMu.Lock()
	defer publishedMu.Unlock()
	var all []*record.Comparison
	for _, name := range names {
		if publishedRead[name] == nil {
			c, err := record.ReadDir(filepath.Join(results, name))
			if err != nil {
				t.Fatal(err)
			}
			publishedRead[name] = c
		}
		all = append(all, publishedRead[name])
	}
	r, err := Compute(all...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	publishedMu   sync.Mutex
	publishedRead = map[string]*record.Comparison{}
)

// publishedNames are the directories with records.
func publishedNames(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(results)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// same holds a file to its text; -update writes it.
func same(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("%s: %v: must be what the records give: go test ./lab/report -run Published -update", path, err)
	}
}

// sameBetween holds a part of a file to its text: that between the marks
// <!-- NAME --> and <!-- /NAME -->.
func sameBetween(t *testing.T, path, name, text string) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(file), "<!-- "+name+" -->\n")
	_, after, closed := strings.Cut(rest, "<!-- /"+name+" -->\n")
	if !found || !closed {
		t.Fatalf("%s: no marks <!-- %s --> and <!-- /%[2]s -->", path, name)
	}
	same(t, path, before+"<!-- "+name+" -->\n"+text+"<!-- /"+name+" -->\n"+after)
}

// TestPublishedFiles holds the pages, tables and the picture to the records.
func TestPublishedFiles(t *testing.T) {
	r := published(t, shown...)
	page := filepath.Join(results, "report.html")
	if *update {
		if err := os.WriteFile(page, []byte(pageOf(t, r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `<script type="application/json" id="data">`)
	if data, _, _ := strings.Cut(rest, "</script>"); data != string(want) {
		t.Errorf("%s: its JSON must be what the records give: go test ./lab/report -run Published -update", page)
	}
	if len(text) > 1_000_000 {
		t.Errorf("%s: %d bytes: must be less than 1 MB", page, len(text))
	}
	same(t, filepath.Join(results, "matrix.svg"), MatrixSVG(published(t, pictured...)))
	var tables bytes.Buffer
	fmt.Fprintf(&tables, "# All tables\n[What each figure is](../../../lab/compare/README.md#the-figures).\n")
	for _, name := range publishedNames(t) {
		r := published(t, name)
		var summary bytes.Buffer
		MarkdownSummary(&summary, r)
		sameBetween(t, filepath.Join(results, "README.md"), name, summary.String())
		fmt.Fprintf(&tables, "\n## %s\n", name)
		Markdown(&tables, r)
	}
	same(t, filepath.Join(results, "tables.md"), tables.String())
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
	if err != nil || total > 4_000_000 {
		t.Errorf("%v, %d bytes: must be at most 4 MB", err, total)
	}
	var text bytes.Buffer
	Summary(&text, published(t, shown...), SummaryOptions{HTML: "docs/results/2026-11-27/report.html"})
	if n := strings.Count(text.String(), "\n"); n > Lines40 || strings.Contains(text.String(), "more: --all") {
		t.Errorf("%d lines, want at most %d, and none left out:\n%s", n, Lines40, text.String())
	}
}

// claims are functions of the templates of published sentences: a figure's text,
// or the check of what a sentence claims without a figure.
type claims struct{ Report }

func (c claims) arm(fault, arm string) (Arm, error) {
	a, ok := c.find(fault, arm)
	if !ok {
		return a, fmt.Errorf("%s, %s: not in the records", fault, arm)
	}
	return a, nil
}

// Fig is a figure without its interval.
func (c claims) Fig(name, fault, arm string) (string, error) {
	a, err := c.arm(fault, arm)
	of, known := column(name)
	if err == nil && (!known || a.Figures[name].Value == nil) {
		err = fmt.Errorf("%s, %s: no %s", fault, arm, name)
	}
	if err != nil {
		return "", err
	}
	return of.Unit.text(*a.Figures[name].Value), nil
}

// Whole is Fig without decimals.
func (c claims) Whole(name, fault, arm string) (string, error) {
	if _, err := c.Fig(name, fault, arm); err != nil {
		return "", err
	}
	a, _ := c.arm(fault, arm)
	of, _ := column(name)
	of.Unit.decimals = 0
	return of.Unit.text(*a.Figures[name].Value), nil
}

// Adds is what an arm has over the baseline, which has to be shown.
func (c claims) Adds(name, fault, arm string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	of, _ := column(name)
	d := a.Over[name]
	if d.Value == nil || d.Low != nil && !d.Shown {
		return "", fmt.Errorf("%s, %s: %s over the baseline: %s: must be shown", fault, arm, name, d.Text(of.Unit))
	}
	return of.Unit.text(*d.Value), nil
}

// Same checks that no difference to the baseline is shown.
func (c claims) Same(name, fault string, arms ...string) (string, error) {
	for _, arm := range arms {
		a, err := c.arm(fault, arm)
		if err != nil {
			return "", err
		}
		if d := a.Over[name]; d.Value == nil || d.Shown {
			return "", fmt.Errorf("%s, %s: %s has a difference to the baseline", fault, arm, name)
		}
	}
	return "", nil
}

// Zero checks that a figure is 0.
func (c claims) Zero(name, fault string, arms ...string) (string, error) {
	for _, arm := range arms {
		a, err := c.arm(fault, arm)
		if err != nil {
			return "", err
		}
		if a.Value(name) != 0 {
			return "", fmt.Errorf("%s, %s: %s: %v: must be 0", fault, arm, name, a.Value(name))
		}
	}
	return "", nil
}

// Faults are the names of all.
func (c claims) Faults() (names []string) {
	for _, f := range c.faults() {
		names = append(names, f.Name)
	}
	return names
}

// NotBetter checks that an arm does not have more good answers than another.
func (c claims) NotBetter(fault, arm, than string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	other, err := c.arm(fault, than)
	if err != nil {
		return "", err
	}
	good, _ := column("good")
	if d := good.over(a.Figures["good"], other.Figures["good"], stats.Confidence); d.Shown && *d.Value > 0 {
		return "", fmt.Errorf("%s: %s is better than %s: good %s", fault, arm, than, d.Text(percent))
	}
	return "", nil
}

// Worst is the highest number of attempts per request in a second of the fault.
func (c claims) Worst(fault, arm string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	most := 0.0
	for _, step := range a.Runs[0].Curve {
		if step.At > 0 && step.At <= seconds(a.Runs[0].seen.RepairAt-a.Runs[0].seen.FaultAt) {
			most = max(most, step.Attempts)
		}
	}
	return ratio.number(most), nil
}

// Max is the highest latency.
func (c claims) Max(fault, arm string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	latencies := a.Figures["p50"].latencies
	return duration.text(latencies[len(latencies)-1]), nil
}

// Never checks that arms have no value of a figure in the time of their runs.
func (c claims) Never(name, fault string, arms ...string) (string, error) {
	for _, arm := range arms {
		a, err := c.arm(fault, arm)
		if err != nil {
			return "", err
		}
		if f := a.Figures[name]; f.Value != nil || f.Note != "never" {
			return "", fmt.Errorf("%s, %s: %s: %v: must be never", fault, arm, name, a.Value(name))
		}
	}
	return "", nil
}

// Happens checks that an event was seen at least so often by one caller; with 0,
// that it was not.
func (c claims) Happens(least int, fault, arm, what string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	by := map[string]int{}
	most := 0
	for _, e := range a.Runs[0].Timeline {
		if e.What == what {
			by[e.Who]++
			most = max(most, by[e.Who])
		}
	}
	if most < least || least == 0 && most > 0 {
		return "", fmt.Errorf("%s, %s: %s %d times: must be %d", fault, arm, what, most, least)
	}
	return "", nil
}

// From is the number of failed answers by their origin.
func (c claims) From(fault, arm, origin string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	n := 0
	for _, r := range a.Runs {
		n += r.Origins[origin]
	}
	if n == 0 {
		return "", fmt.Errorf("%s, %s: no failed answer of the %s", fault, arm, origin)
	}
	return strconv.Itoa(n), nil
}

// Hop is what the upstream of a hop received for one call that had to be made.
func (c claims) Hop(fault, arm, hop string) (string, error) {
	a, err := c.arm(fault, arm)
	if err != nil {
		return "", err
	}
	h := sumHops(a.Runs, hop, func(r *Run) []Hop { return r.Hops })
	if h.Requests == 0 {
		return "", fmt.Errorf("%s, %s: %s: no calls", fault, arm, hop)
	}
	return ratio.number(h.Received / h.Requests), nil
}

// fill executes a template over published records.
func fill(t *testing.T, path string, r Report) string {
	t.Helper()
	parsed, err := template.ParseFiles(path)
	var text bytes.Buffer
	if err == nil {
		err = parsed.Execute(&text, claims{r})
	}
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestPublishedReadme holds the finding of README.md, and what it claims, to the
// records.
func TestPublishedReadme(t *testing.T) {
	finding := fill(t, "testdata/finding.md.tmpl", published(t, shown...))
	sameBetween(t, "../../README.md", "finding", finding)
	if n := strings.Count(finding, "\n- "); n > 6 {
		t.Errorf("%d sentences: must be at most 6", n)
	}
	text, err := os.ReadFile("../../README.md")
	if lines := slices.Collect(strings.Lines(string(text))); err != nil || len(lines) > 130 {
		t.Errorf("README.md: %v, %d lines: must be at most 130", err, len(lines))
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	own, _, _ := strings.Cut(rest, "```\n")
	if _, err := experiment.Decode("README.md", []byte(own), Figures()); err != nil || !found {
		t.Errorf("README.md: its experiment: %v", err)
	}
}

// TestPublishedChapter holds the chapter on library and mesh to the records.
func TestPublishedChapter(t *testing.T) {
	sameBetween(t, "../compare/README.md", "library-and-mesh", fill(t, "testdata/library-and-mesh.md.tmpl", published(t, shown...)))
}
