package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"
)

// pageSweep is one curve's picture with its table.
type pageSweep struct {
	ID    string
	Title string
	Plot  template.HTML
	Keys  []pageKey
	Sheet sheet
}

// pageKey names a line of a picture.
type pageKey struct{ Class, Name string }

// name is the series in words.
func (s Series) name() string { return s.Arm + ", " + s.where() }

// page draws the sweep: for each series a line in its band, and the theory's,
// dashed. Values that are no numbers are equally apart.
func (s Sweep) page(of palette) pageSweep {
	const height = 220.0
	c, _ := column(s.Figure)
	table := s.sheet()
	p := pageSweep{ID: s.anchor(), Title: c.Head + " over " + s.Axis, Sheet: table}
	x, ticks := s.places()
	most := 0.0
	for _, series := range s.Series {
		for _, point := range series.Points {
			for _, v := range []*float64{point.Figure.Value, point.Figure.High, point.Theory} {
				if v != nil {
					most = max(most, *v)
				}
			}
		}
	}
	levels := roundLevels(cmp.Or(most, 1))
	most = levels[len(levels)-1]
	y := func(v float64) float64 { return height * (1 - v/most) }
	var drawn, lines, values strings.Builder
	for _, v := range levels {
		line, value := level(y(v), c.Unit.of(most).round(v))
		drawn.WriteString(line)
		values.WriteString(value)
	}
	for _, tick := range ticks {
		drawn.WriteString(label("small middle", x(tick), height+14, tick)) // far enough from the ends: see places
	}
	classes := of.classes(len(s.Series), func(i int) string { return s.Series[i].Arm })
	for i, series := range s.Series {
		class := classes[i]
		p.Keys = append(p.Keys, pageKey{class, series.name()})
		lines.WriteString(series.lines(class, x, y))
	}
	drawn.WriteString(stretched(0, height, 100, height, lines.String()) + values.String())
	p.Plot = svg("axes", height+20, drawn.String())
	return p
}

// lines are the band, the curve and the theory.
func (s Series) lines(class string, x func(string) float64, y func(float64) float64) string {
	var line, upper, lower, theory []string
	for _, p := range s.Points {
		place := func(v float64) string { return decimal(x(p.At)) + "," + decimal(y(v)) }
		if p.Figure.Value != nil {
			line = append(line, place(*p.Figure.Value))
		}
		if p.Figure.Low != nil && p.Figure.High != nil {
			upper, lower = append(upper, place(*p.Figure.High)), append(lower, place(*p.Figure.Low))
		}
		if p.Theory != nil {
			theory = append(theory, place(*p.Theory))
		}
	}
	slices.Reverse(lower)
	title := "<title>" + html.EscapeString(s.name()) + "</title>"
	text := fmt.Sprintf(`<polygon class="band %[1]s" points="%[2]s"/><polyline class="curve %[1]s" points="%[3]s">%[4]s</polyline>`, class, strings.Join(append(upper, lower...), " "), strings.Join(line, " "), title)
	if len(theory) > 0 {
		text += fmt.Sprintf(`<polyline class="theory" points="%s"><title>%s</title></polyline>`, strings.Join(theory, " "), html.EscapeString("theory: "+s.name()))
	}
	return text
}

// places returns where the axis' values are, in percent, and the values.
func (s Sweep) places() (at func(string) float64, values []string) {
	values = s.values()
	numbers := s.numbers()
	place := func(value string) float64 {
		if numbers == nil { // equally apart
			return float64(slices.Index(values, value))
		}
		return numbers[value]
	}
	return func(value string) float64 {
		low, high := place(values[0]), place(values[len(values)-1])
		if high == low {
			return 50
		}
		return 10 + 86*(place(value)-low)/(high-low)
	}, values
}
