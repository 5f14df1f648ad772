package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
)

func pageOf(t testing.TB, r Report) string {
	t.Helper()
	return encoded(t, HTML, r)
}

// Names that would be markup, or turn the text around, if they were not text.
const (
	hostileArm   = `</script><script>window.broken=1</script>`
	hostileFault = `"><img src=x onerror="window.broken=1">`
	hostileEvent = "\u202eltr' onload='window.broken=1 <!--"
)

// hostileReport has two comparisons' faults, no fault, goals and hostile names.
func hostileReport(t *testing.T) Report {
	t.Helper()
	runs := comparison()
	for _, arm := range []string{"none", hostileArm} {
		run := outcomesOf(arm, 1, 30, 3)
		run.Fault = hostileFault
		run.Rules, run.Pods = hostileFault, []string{hostileEvent}
		run.Events = append(run.Events,
			record.Event{At: run.FaultAt + at(1), Who: hostileEvent, What: "breaker open", Detail: hostileFault},
			record.Event{At: run.FaultAt + at(1.5), Who: "x", What: record.EventEjected, Detail: "its proxy ejected staff-service-0 (127.0.77.5:8080) from outbound: consecutive_5xx, ejection 1 of this host"},
			record.Event{At: run.FaultAt + at(2), Who: "staff-service-0", What: record.EventExited, Detail: hostileArm})
		for i := range run.Requests {
			run.Requests[i].Error, run.Requests[i].Vehicle = strings.ReplaceAll(run.Requests[i].Error, "status", hostileFault), hostileArm
		}
		runs = append(runs, run)
	}
	for seed := range uint64(2) {
		runs = append(runs, healthyRun("none", seed+1, .002, .01, .1, 0), healthyRun("mesh", seed+1, .004, .02, .11, .2))
	}
	r := reportOf(t, of(runs...))
	judge(t, &r, "library, bad-replica: good >= 99.8%", "none, bad-replica: good >= 10%", "mesh, storm: good >= 60%")
	return r
}

func parse(t testing.TB, text string) *html.Node {
	t.Helper()
	document, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	return document
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// textOf is the text within an element.
func textOf(n *html.Node) string {
	var text strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text.WriteString(d.Data)
		}
	}
	return text.String()
}

// TestHTMLFigures: the page holds what the JSON form holds, both in its data and,
// figure by figure, in its tables.
func TestHTMLFigures(t *testing.T) {
	r := hostileReport(t)
	document := parse(t, pageOf(t, r))
	var want, got any
	require.NoError(t, json.Unmarshal([]byte(encoded(t, JSON, r)), &want))
	type place struct {
		fault, arm int
		figure     string
	}
	shown, values := map[place]string{}, map[place]string{} // in the tables
	fault := -1
	for n := range document.Descendants() {
		switch {
		case n.DataAtom == atom.Script && attribute(n, "id") == "data":
			require.NoError(t, json.Unmarshal([]byte(textOf(n)), &got))
		case n.DataAtom == atom.Table && attribute(n, "class") == "figures":
			fault++
		case n.DataAtom == atom.Tr && attribute(n, "data-figure") != "":
			arm := -1
			for field := range n.ChildNodes() {
				if field.DataAtom == atom.Td {
					arm++
					key := place{fault, arm, attribute(n, "data-figure")}
					shown[key] = textOf(field)
					if first := field.FirstChild; first.DataAtom == atom.Data {
						values[key] = attribute(first, "value")
					}
				}
			}
		}
	}
	assert.Equal(t, want, got, "the page's data")
	compared := 0
	for fault, f := range r.faults() {
		for arm, a := range f.Arms {
			for name, figure := range a.Figures {
				c, _ := column(name)
				key := place{fault, arm, name}
				compared++
				what, text := fmt.Sprintf("%s, %s, %s", f.Name, a.Name, name), figure.Text(c.Unit)
				if d, ok := a.Over[name]; ok {
					text += "over " + f.Baseline + ": " + d.Text(c.Unit)
				}
				assert.Equal(t, text, strings.ReplaceAll(shown[key], "\u00a0", " "), what)
				if figure.Value != nil {
					assert.Equal(t, *figure.Value, number(t, values[key]), what)
				}
			}
		}
	}
	assert.GreaterOrEqual(t, compared, 100, "figures compared")
}

// TestHTMLHostile: names of arms, faults, pods and errors are text: the page has
// its own two scripts, no picture from elsewhere, no handler, no style of an
// element, and no address but those within it.
func TestHTMLHostile(t *testing.T) {
	text := pageOf(t, hostileReport(t))
	scripts := 0
	for n := range parse(t, text).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.DataAtom {
		case atom.Script:
			scripts++
		case atom.Img, atom.Iframe, atom.Object, atom.Embed, atom.Link, atom.Base, atom.Form:
			t.Errorf("<%s>", n.Data)
		}
		for _, a := range n.Attr {
			if key := strings.ToLower(a.Key); strings.HasPrefix(key, "on") || key == "style" || key == "src" || key == "href" && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	assert.Equal(t, 2, scripts, "scripts")
	for _, name := range []string{hostileArm, hostileFault} {
		assert.Contains(t, textOf(parse(t, text)), name, "the page")
	}
}

// TestHTMLLinks: every link within a page leads to a part of it, and no two parts
// have one name.
func TestHTMLLinks(t *testing.T) {
	var repeated []*record.Run
	for seed := range uint64(2) {
		for repeat := range 2 {
			run := outcomesOf("a", seed, 20, 0)
			run.Repeat = repeat
			repeated = append(repeated, run)
		}
	}
	repeats := reportOf(t, of(repeated...))
	assert.Contains(t, textOf(parse(t, pageOf(t, repeats))), "Some fault has fewer than three seeds:", "two seeds, each measured twice")
	pair := encoded(t, PairHTML, Compare(repeats, failing(t, 0)))
	for name, text := range map[string]string{"hostile": pageOf(t, hostileReport(t)), "sweep": pageOf(t, swept(t)), "repeats": pageOf(t, repeats), "pair": pair, "empty": pageOf(t, reportOf(t))} {
		document, ids := parse(t, text), map[string]bool{}
		for n := range document.Descendants() {
			if id := attribute(n, "id"); id != "" {
				assert.NotContains(t, ids, id, name+": two parts have this id")
				ids[id] = true
			}
		}
		links := 0
		for n := range document.Descendants() {
			if href, ok := strings.CutPrefix(attribute(n, "href"), "#"); ok {
				assert.Contains(t, ids, href, "%s: %q leads nowhere", name, textOf(n))
				links++
			}
		}
		assert.GreaterOrEqual(t, links, 5, name+", links")
		menu, parts := order(document)
		assert.Equal(t, parts, menu, name+", parts in the menu")
	}
}

// order returns the parts that the menu leads to, and the parts of the page.
func order(document *html.Node) (menu, parts []string) {
	for n := range document.Descendants() {
		switch parent := n.Parent; {
		case n.DataAtom == atom.A && parent.DataAtom == atom.Nav:
			menu = append(menu, strings.TrimPrefix(attribute(n, "href"), "#"))
		case n.DataAtom == atom.Section && parent.DataAtom == atom.Main:
			parts = append(parts, attribute(n, "id"))
		}
	}
	return menu, parts
}

// TestColours: an arm has one colour in all pictures, by its place in the experiment;
// the points of the only arm have colours of their own.
func TestColours(t *testing.T) {
	var runs []*record.Run
	for _, bytes := range []string{"20", "80"} {
		for _, arm := range []string{"a", "m", "z"} { // the experiment has z, m, a
			r := outcomesOf(arm, 1, 20, 0)
			r.Fault, r.ArmOf, r.FaultOf, r.Point = "slow:bytes="+bytes, arm, "slow", map[string]string{"bytes": bytes}
			runs = append(runs, r)
		}
	}
	c := of(runs...)
	c.Experiment = `question: which
arms: [{name: z, manifests: [repo:k8s/base]}, {name: m, manifests: [repo:k8s/base]}, {name: a, manifests: [repo:k8s/base]}]
faults: [{name: slow, inject: [{service: staff-service, rules: "slow=${bytes}"}]}]
sweep: [{name: bytes, values: [20, 80]}]
seeds: [1]
`
	p := page{Report: reportOf(t, c)}
	p.fill()
	for _, f := range p.Faults {
		got := map[string]string{}
		for _, a := range f.Arms {
			got[a.Name] = a.Class
		}
		assert.Equal(t, map[string]string{"z": "c0", "m": "c1", "a": "c2"}, got, f.Name+", latencies")
	}
	for _, curve := range p.Curves {
		assert.Equal(t, []pageKey{{"c0", "z, slow"}, {"c1", "m, slow"}, {"c2", "a, slow"}}, curve.Keys, curve.Title)
	}
	arms := func(names ...string) func(int) string { return func(i int) string { return names[i] } }
	assert.Equal(t, []string{"c1", "c0", "c1 v1", "c1 v2", "c0 v1"}, palette{"x", "y"}.classes(5, arms("y", "x", "y", "y", "x")), "points of two arms")
	assert.Equal(t, []string{"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c0 v1"}, palette{"x"}.classes(9, func(int) string { return "x" }), "points of one arm")
}

// TestRoundTicks: the values of an axis are 1, 2 or 5 times a power of ten apart.
func TestRoundTicks(t *testing.T) {
	for _, test := range []struct {
		most float64
		unit Unit
		want string
	}{
		{1, percent, "0 %, 20 %, 40 %, 60 %, 80 %, 100 %"},
		{.993, percent, "0 %, 20 %, 40 %, 60 %, 80 %, 100 %"},
		{.859, percent, "0 %, 20 %, 40 %, 60 %, 80 %, 100 %"},
		{.05, percent, "0 %, 1 %, 2 %, 3 %, 4 %, 5 %"},
		{.0507, percent, "0 %, 2 %, 4 %, 6 %"},
		{3.7, ratio, "0, 1, 2, 3, 4"},
		{1, ratio, "0, 0.2, 0.4, 0.6, 0.8, 1"},
		{.043, duration, "0 ms, 10 ms, 20 ms, 30 ms, 40 ms, 50 ms"},
		{9.8, duration, "0 s, 2 s, 4 s, 6 s, 8 s, 10 s"},
		{480e6, megabytes, "0 MB, 100 MB, 200 MB, 300 MB, 400 MB, 500 MB"},
	} {
		var texts []string
		levels := roundLevels(test.most)
		for _, v := range levels {
			texts = append(texts, test.unit.of(levels[len(levels)-1]).round(v))
		}
		assert.Equal(t, test.want, strings.Join(texts, ", "), fmt.Sprintf("to %v", test.most))
	}
	for length, want := range map[float64]float64{4: .5, 9: 1, 11: 2, 31.2: 5, 90: 10, 91: 20, 361: 50} {
		assert.InDelta(t, want, roundStep(length, 9), 1e-12, fmt.Sprintf("seconds between the ticks of %v s", length))
	}
}

// TestPriceWithoutHealthy: a page without a price has what to add to the experiment, and
// an experiment may have it.
func TestPriceWithoutHealthy(t *testing.T) {
	const fault = "- {name: healthy}"
	assert.Contains(t, textOf(parse(t, pageOf(t, failing(t, 50)))), "add "+fault+" to faults to measure what each arm costs.", "the page")
	_, err := experiment.Decode("x.yaml", []byte("# q?\narms: [{name: a, manifests: x}]\nfaults:\n  "+fault+"\n"), Figures())
	require.NoError(t, err)
}

// TestPairHTML: what differs is a sentence with its interval, and every figure is
// in the table and in the data.
func TestPairHTML(t *testing.T) {
	p := Compare(failing(t, 50), failing(t, 0))
	document := parse(t, encoded(t, PairHTML, p))
	assert.Contains(t, textOf(document), "x, a: good from 50 % (40.4..59.6) to 100 % (96.3..100), a difference of 50 % (39.7..59.6), one run; failed from 50 % (40.4..59.6) to 0 % (0..3.7), a difference of -50 % (-59.6..-39.7), one run")
	assert.Contains(t, textOf(document), "figures no difference is shown.")
	rows := 0
	for n := range document.Descendants() {
		if n.DataAtom == atom.Tr && attribute(n, "data-figure") != "" {
			c := p.Changes[rows]
			assert.Equal(t, c.Fault+c.Arm+c.Head()+c.TextA()+c.TextB()+c.Text(), textOf(n), fmt.Sprintf("row %d", rows))
			rows++
		}
	}
	assert.Len(t, p.Changes, rows, "rows")
	assert.GreaterOrEqual(t, rows, 10, "rows")
}

// TestHTMLSize: the page of 40 runs, of eight faults and five arms, is below 1 MB.
func TestHTMLSize(t *testing.T) {
	var runs []*record.Run
	for i := range 8 {
		for _, arm := range []string{"none", "library", "sidecars", "mesh", "both"} {
			run := comparison()[2] // with events and a curve
			run.Arm, run.Fault = arm, "fault-"+strconv.Itoa(i)
			run.End = at(31)
			run.Requests = every(31, func(float64) record.Request { return good })
			runs = append(runs, run)
		}
	}
	assert.InDelta(t, 550_000, len(pageOf(t, reportOf(t, of(runs...)))), 450_000, "bytes of 40 runs")
}
