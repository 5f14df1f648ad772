package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"fleetman.example/lab/record"
)

//go:embed page/*.html
var pageFiles embed.FS

//go:embed page/report.css
var pageStyle string

//go:embed page/report.js
var pageScript string

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"seconds":  func(o record.Offset) string { return seconds3.text(seconds(o)) },
	"length":   seconds3.text,
	"unbroken": unbroken,
}).ParseFS(pageFiles, "page/*.html"))

// HTML writes the report as one file that requests nothing from any host. It has
// the same JSON as JSON writes, for its script and to download.
func HTML(w io.Writer, r Report) error {
	p := page{Report: r}
	p.fill()
	return p.shell.write(w, "report.html", &p, r)
}

// shell is what every page has around its content.
type shell struct {
	Title    string
	Further  []string // questions
	Dates    []string
	Outcomes []outcomeMark
	Version  string // of a page that grows; else empty
	Progress string
	Policy   string
	CSS      template.CSS
	JS, JSON template.JS
}

// write writes a page by its template. data is what its script reads.
func (s *shell) write(w io.Writer, name string, page, data any) error {
	text, err := json.Marshal(data) // escapes <, > and &
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	s.Outcomes, s.CSS, s.JS, s.JSON = outcomeMarks, template.CSS(pageStyle), template.JS(pageScript), template.JS(text)
	s.Policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", digest(pageStyle), digest(pageScript))
	if s.Progress != "" {
		s.Policy += "; connect-src 'self'"
	}
	var written bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&written, name, page); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	_, err = w.Write(written.Bytes())
	return err
}

// digest is the hash of an inline element in a Content-Security-Policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page is what the template shows.
type page struct {
	shell
	Report

	Arms   []string // of the matrix: those of a sweep are points of its curves
	Every  []string // arm
	Kinds  []string // of what a run's picture shows
	Faults []pageFault
	Notes  []string
	Curves []pageSweep
	Seeds  int // the fewest of a fault
	Within bool

	ids     map[string]string // of faults, by name
	palette palette
}

// pageFault is one fault. ID is unique in the page.
type pageFault struct {
	Fault
	ID     string
	Fields []*pageArm // of the matrix, in the order of page.Arms; nil: no run; none: all are points of a sweep
	Arms   []*pageArm
	Seeds  []pageSeed
	Line   template.HTML // percentiles
	Sheets []sheet
	Prices []pagePrice
}

// pageArm is one arm with one fault.
type pageArm struct {
	Arm
	ID    string
	Index int    // in page.Every
	Class string // of its line
	Good  string
	Rest  string // p99, number of requests
	Bar   template.HTML
	Heat  template.HTML
}

// fill computes what the template shows from the report.
func (p *page) fill() {
	p.Arms, p.Every, p.Kinds = p.arms(false), p.arms(true), kinds
	p.palette = p.Report.palette()
	ids := map[string]bool{}
	unique := func(id string) string {
		for n, wanted := 2, id; ids[id]; n++ {
			id = fmt.Sprintf("%s-%d", wanted, n)
		}
		ids[id] = true
		return id
	}
	p.ids = map[string]string{}
	var questions, names []string
	for gi, g := range p.Groups {
		p.Dates = addOnce(p.Dates, g.Date)
		if g.experiment != nil && g.experiment.Question != "" {
			questions = append(questions, g.experiment.Question)
		}
		for fi, f := range g.Faults {
			kind := "cost"
			if !f.Healthy() {
				kind, names = "fault", append(names, f.Name)
			}
			v := p.fault(f, unique(anchor(kind, f.Name)), fmt.Sprintf("%d/%d", gi, fi))
			p.ids[f.Name] = v.ID
			p.Faults = append(p.Faults, v)
			if n := len(f.seeds()); p.Seeds == 0 || n < p.Seeds {
				p.Seeds = n
			}
		}
		for _, s := range g.Sweeps {
			p.Curves = append(p.Curves, s.page(p.palette))
		}
	}
	p.Title = "What do users see of " + cmp.Or(list(names), "no fault") + "?"
	if len(questions) > 0 {
		p.Title, p.Further = questions[0], questions[1:]
	}
	p.Notes = notesOf(p.Report)
	p.Within = p.Seeds < 3
}

// Href leads to the part of the page that shows a finding.
func (p *page) Href(f Finding) string { return "#" + cmp.Or(p.ids[f.Where()], f.Anchor) }

// fault computes what is shown of a fault; at is its place in the JSON.
func (p *page) fault(f Fault, id, at string) pageFault {
	v := pageFault{Fault: f, ID: id, Sheets: f.sheets()[1:]}
	if len(unswept([]Fault{f})) > 0 {
		v.Fields = make([]*pageArm, len(p.Arms))
	}
	classes := p.palette.classes(len(f.Arms), func(i int) string { return f.Arms[i].base() })
	for i, a := range f.Arms {
		shown := a.page()
		shown.ID, shown.Index, shown.Class = fmt.Sprintf("%s.%d", id, i), slices.Index(p.Every, a.Name), classes[i]
		shown.Heat = heatMap(a.Runs[0])
		v.Arms = append(v.Arms, shown)
		if !a.swept() {
			v.Fields[slices.Index(p.Arms, a.Name)] = shown
		}
	}
	v.Seeds = f.pageSeeds(v.Arms, at)
	v.Line = percentileLines(v.Arms)
	if f.Healthy() {
		v.Prices = f.prices()
	}
	return v
}

// page is what the page shows of an arm: a bar, and what a field of the matrix has
// below it.
func (a Arm) page() *pageArm {
	shown := pageArm{Arm: a, Bar: a.pageBar(), Good: "no requests"}
	if good := a.Figures["good"]; good.Value != nil {
		shown.Good, shown.Rest = percent.text(*good.Value)+" good", fmt.Sprintf("n %d", good.N)
	}
	if which, latency := a.Figures["p99"].tail(); which != "" {
		shown.Rest = which + " " + latency + ", " + shown.Rest
	}
	return &shown
}

// pageBar is good, degraded and failed as one bar.
func (a Arm) pageBar() template.HTML {
	var s strings.Builder
	left := 0.0
	for _, o := range outcomeMarks {
		if v := a.Figures[o.Name].Value; v != nil && *v > 0 {
			fmt.Fprintf(&s, `<rect class="%s" x="%s%%" width="%s%%" height="100%%"/>`, o.Name, decimal(100*left), decimal(100**v))
			left += *v
		}
	}
	return svg("bar", 14, s.String())
}
