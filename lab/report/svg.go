package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"strconv"
	"strings"
)

// Sizes of the pictures, in pixels.
const (
	svgPad   = 14  // around all
	svgLabel = 188 // the names at the left of the matrix
	svgField = 128 // of the matrix
	svgBar   = 116
	svgRow   = 44
	svgText  = 13
	svgHead  = 24
	svgPlot  = 760 // the width of a run
)

// pictureFile is what every picture has around its content. Its colours are those of Okabe and Ito, which differ for
// people who are colour-blind too, for light and dark. The paper is drawn, so that the text can be read on any page.
//
//go:embed page/picture.svg
var pictureFile string

// svgCanvas is a picture that is being drawn, within its padding.
type svgCanvas struct {
	strings.Builder
	width, height float64
}

func (s *svgCanvas) text(class string, x, y float64, text string) {
	fmt.Fprintf(s, `<text class="%s" x="%s" y="%s">%s</text>`+"\n", class, decimal(x), decimal(y), html.EscapeString(text))
}

// rect is a rectangle; nothing when it has no area.
func (s *svgCanvas) rect(class string, x, y, width, height float64) {
	if width > 0 && height > 0 {
		fmt.Fprintf(s, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`+"\n", class, decimal(x), decimal(y), decimal(width), decimal(height))
	}
}

// picture is the whole file. The description is for screen readers.
func (s *svgCanvas) picture(title, description string) string {
	return strings.NewReplacer(
		"WIDTH", fmt.Sprintf("%.0f", s.width+2*svgPad), "HEIGHT", fmt.Sprintf("%.0f", s.height+2*svgPad), "PAD", strconv.Itoa(svgPad),
		"TITLE", html.EscapeString(title), "DESCRIPTION", html.EscapeString(description), "CONTENT\n", s.String(),
	).Replace(pictureFile)
}

// MatrixSVG draws faults × arms: in each field good, degraded and failed as one
// bar, below it the share of good answers, p99 or the highest latency, and the
// number of requests.
func MatrixSVG(r Report) string {
	arms := r.arms(false)
	faults := unswept(r.faults())
	s := svgCanvas{width: svgLabel + float64(max(len(arms), 3))*svgField, height: 2*svgHead + float64(len(faults))*svgRow}
	for i, arm := range arms {
		s.text("head", svgLabel+float64(i)*svgField, svgText, short(arm, 17))
	}
	for row, f := range faults {
		y := svgHead + float64(row)*svgRow
		s.text("head", 0, y+svgText, short(f.Name, 22))
		s.text("small", 0, y+2*svgText+4, short(f.What(), 34))
		for i, name := range arms {
			if a, ok := f.arm(name); ok && a.Figures["good"].Value != nil {
				s.field(f, a, svgLabel+float64(i)*svgField, y)
			}
		}
	}
	x, y := 0.0, s.height-svgText-2
	for _, o := range outcomeMarks {
		s.rect(o.Name, x, y, svgText, svgText)
		s.text("small", x+svgText+5, y+svgText-3, o.Name)
		x += 88
	}
	s.text("small", x, y+svgText-3, "below a bar: good answers · p99, or the highest latency · requests")
	var said []string
	for _, f := range r.Findings {
		said = append(said, f.Sentence)
	}
	return s.picture("Outcomes by fault and arm", strings.Join(said, " "))
}

// field draws one arm with one fault.
func (s *svgCanvas) field(f Fault, a Arm, x, y float64) {
	fmt.Fprintf(s, "<g><title>%s</title>\n", html.EscapeString(f.Name+", "+a.Name+": "+a.sentence()))
	left := x
	for _, o := range outcomeMarks {
		width := *a.Figures[o.Name].Value * svgBar
		s.rect(o.Name, left, y+2, width, svgText)
		left += width
	}
	s.text("small", x, y+2*svgText+4, strings.ReplaceAll(a.short(), " ", " · ")+" · "+thousands(a.Figures["good"].N))
	s.WriteString("</g>\n")
}

// thousands is a number of requests, in thousands where they are whole.
func thousands(n int) string {
	if n >= 10_000 && n%1000 == 0 {
		return fmt.Sprintf("%dk", n/1000)
	}
	return strconv.Itoa(n)
}

// What is where the fault is.
func (f Fault) What() string {
	if f.Healthy() {
		return "no fault"
	}
	return f.share()
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

// RunsSVG draws the first run of each arm with one fault, as the page does.
func RunsSVG(f Fault) string {
	var runs []Run
	for _, a := range f.Arms {
		runs = append(runs, a.Runs[0])
	}
	s, scale := svgCanvas{width: svgPlot}, scaleOf(runs, f.Seconds)
	s.text("head", 0, svgText, f.Name+", second by second; attempts are those of "+cmp.Or(f.Hop, "no hop"))
	s.height = svgHead
	var said []string
	for _, a := range f.Arms {
		said = append(said, a.Name+": "+a.sentence())
		if len(a.Runs[0].Curve) == 0 {
			continue
		}
		content, height := scale.draw(a.Runs[0])
		s.text("head", 0, s.height+svgText, a.Name)
		fmt.Fprintf(&s, `<svg y="%s" width="%d" height="%s" overflow="visible">%s</svg>`+"\n", decimal(s.height+svgText+6), svgPlot, decimal(height), content)
		s.height += svgText + 6 + height + svgHead
	}
	return s.picture(f.Name+", second by second", strings.Join(said, ". "))
}

// SVG writes matrix.svg, and FAULT.svg of each fault, into a directory.
func SVG(dir string, r Report) error {
	pictures := map[string]string{"matrix.svg": MatrixSVG(r)}
	for _, f := range r.faults() {
		if !f.Healthy() {
			pictures[anchor("fault", f.Name)+".svg"] = RunsSVG(f)
		}
	}
	return writeFiles(dir, "pictures", pictures)
}
