package report

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sizes of the pictures, in pixels.
const (
	svgLabel = 190 // the names at the left
	svgField = 132 // of the matrix
	svgBar   = 116
	svgRow   = 48
	svgText  = 13
	svgPlot  = 640 // the width of a run
	svgRun   = 44  // the height of its outcomes
	svgTries = 24  // and of its attempts
	svgGap   = 30
)

// svgStyle has the colours of Okabe and Ito, which differ for people who are
// colour-blind too, for light and dark.
const svgStyle = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.head{font-weight:600}.small{font-size:11px;fill:#59636e}
.good{fill:#009e73}.degraded{fill:#e69f00}.failed{fill:#d55e00}.fault{fill:#8c959f;opacity:.18}.line{fill:none;stroke:#0072b2;stroke-width:2}.one{stroke:#8c959f;stroke-dasharray:3 3}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.line{stroke:#56b4e9}}
</style>`

// svgCanvas is a picture that is being drawn.
type svgCanvas struct {
	strings.Builder
	width, height float64
}

func (s *svgCanvas) text(class string, x, y float64, text string) {
	fmt.Fprintf(s, `<text class="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, x, y, html.EscapeString(text))
}

// rect is a rectangle; nothing when it has no area.
func (s *svgCanvas) rect(class string, x, y, width, height float64) {
	if width > 0 && height > 0 {
		fmt.Fprintf(s, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, x, y, width, height)
	}
}

// picture is the whole file. The description is for screen readers.
func (s *svgCanvas) picture(title, description string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %[1]v %[2]v" role="img" aria-labelledby="title description">
<title id="title">%[3]s</title>
<desc id="description">%[4]s</desc>
%[5]s
%[6]s</svg>
`, s.width, s.height, html.EscapeString(title), html.EscapeString(description), svgStyle, s.String())
}

// MatrixSVG draws faults × arms: in each field good, degraded and failed as one
// bar, below it the share of good answers, p99 or the highest latency, and the
// number of requests.
func MatrixSVG(r Report) string {
	arms := r.arms()
	faults := slices.DeleteFunc(r.faults(), Fault.swept)
	s := svgCanvas{width: svgLabel + float64(max(len(arms), 3))*svgField, height: 2*svgGap + float64(len(faults))*svgRow}
	for i, arm := range arms {
		s.text("head", svgLabel+float64(i)*svgField, svgText+5, short(arm, 17))
	}
	for row, f := range faults {
		y := svgGap + float64(row)*svgRow
		s.text("head", 0, y+svgText, short(f.Name, 17))
		what := f.share()
		if f.Healthy() {
			what = "no fault"
		}
		s.text("small", 0, y+2*svgText+4, short(what, 34))
		for i, name := range arms {
			a, ok := f.arm(name)
			if !ok || a.Figures["good"].Value == nil {
				continue
			}
			x := svgLabel + float64(i)*svgField
			fmt.Fprintf(&s, "<g><title>%s</title>\n", html.EscapeString(f.Name+", "+a.Name+": "+a.sentence()))
			left := x
			for _, o := range outcomeMarks {
				width := *a.Figures[o.name].Value * svgBar
				s.rect(o.name, left, y+2, width, svgText)
				left += width
			}
			s.text("small", x, y+2*svgText+4, fmt.Sprintf("%s · %d", strings.ReplaceAll(a.short(), " ", " · "), a.Figures["good"].N))
			s.WriteString("</g>\n")
		}
	}
	x, y := 0.0, s.height-svgGap/2
	for _, o := range outcomeMarks {
		s.rect(o.name, x, y, svgText, svgText)
		s.text("small", x+svgText+4, y+svgText-2, o.name)
		x += 80
	}
	s.text("small", x, y+svgText-2, "below a bar: good, p99 or the highest latency, requests")
	var said []string
	for _, f := range r.Findings {
		said = append(said, f.Sentence)
	}
	return s.picture("Outcomes by fault and arm", strings.Join(said, " "))
}

// sentence has an arm's outcomes with their intervals.
func (a Arm) sentence() string {
	var all []string
	for _, name := range []string{"good", "degraded", "failed", "p50", "p99"} {
		c, _ := column(name)
		all = append(all, c.Head+" "+a.Figures[name].Text(c.Unit))
	}
	return strings.Join(all, ", ")
}

func short(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// RunsSVG draws the first run of each arm with one fault, second by second, on
// one axis of time: good, degraded and failed stacked, the fault's window shaded,
// and below that the attempts for one request, with a line at 1.
func RunsSVG(f Fault) string {
	s := svgCanvas{width: svgLabel + svgPlot + 60, height: svgGap*1.5 + float64(len(f.Arms))*(svgRun+svgTries+svgGap)}
	most := 1.0
	for _, a := range f.Arms {
		for _, step := range a.Runs[0].Curve {
			most = max(most, step.Attempts)
		}
	}
	s.text("head", 0, svgText+2, f.Name+", second by second: outcomes, and below them the attempts of "+f.Hop+" for one request")
	for row, a := range f.Arms {
		f.drawRun(&s, a, svgGap+float64(row)*(svgRun+svgTries+svgGap), most)
	}
	var said []string
	for _, a := range f.Arms {
		said = append(said, a.Name+": "+a.sentence())
	}
	return s.picture(f.Name+", second by second", strings.Join(said, ". "))
}

// drawRun draws one arm with its top at y.
func (f Fault) drawRun(s *svgCanvas, a Arm, y, most float64) {
	curve := a.Runs[0].Curve
	if len(curve) == 0 {
		return
	}
	step := svgPlot / float64(len(curve))
	at := func(seconds float64) float64 { return svgLabel + (seconds-curve[0].At+1)*step }
	s.text("head", 0, y+svgText, short(a.Name, 17))
	s.rect("fault", at(0), y-4, f.Seconds*step, svgRun+svgTries+12)
	var line strings.Builder
	for i, c := range curve {
		x := svgLabel + float64(i)*step
		if n := float64(c.Requests); n > 0 {
			good, degraded := float64(c.Good)/n*svgRun, float64(c.Degraded)/n*svgRun
			s.rect("good", x, y+svgRun-good, step-1, good)
			s.rect("degraded", x, y+svgRun-good-degraded, step-1, degraded)
			s.rect("failed", x, y, step-1, svgRun-good-degraded)
		}
		fmt.Fprintf(&line, "%.1f,%.1f ", x+step/2, y+svgRun+4+svgTries*(1-c.Attempts/most))
	}
	bottom := y + svgRun + 4 + svgTries
	one := bottom - svgTries/most
	fmt.Fprintf(s, `<line class="one" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", svgLabel, one, svgLabel+svgPlot, one)
	fmt.Fprintf(s, `<polyline class="line" points="%s"/>`+"\n", strings.TrimSpace(line.String()))
	s.text("small", svgLabel+svgPlot+6, one+4, "1")
	if most > 1.5 {
		s.text("small", svgLabel+svgPlot+6, bottom-svgTries+4, ratio.number(most))
	}
	s.text("small", at(0), bottom+svgText+4, "fault")
	s.text("small", at(f.Seconds), bottom+svgText+4, "cleared after "+seconds3.text(f.Seconds))
}

// SVG writes matrix.svg, and FAULT.svg of each fault, into a directory.
func SVG(dir string, r Report) error {
	pictures := map[string]string{"matrix": MatrixSVG(r)}
	for _, f := range r.faults() {
		if !f.Healthy() {
			pictures[anchor("fault", f.Name)] = RunsSVG(f)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the pictures: %w", err)
	}
	for name, picture := range pictures {
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(picture), 0o644); err != nil {
			return fmt.Errorf("write the pictures: %w", err)
		}
	}
	return nil
}
