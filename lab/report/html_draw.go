package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// svg is a picture as wide as the page gives it. What is in it has horizontal
// places in percent, so that no text is stretched.
func svg(class string, height float64, content string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="%s" width="100%%" height="%s" aria-hidden="true" focusable="false">%s</svg>`, class, decimal(height), content))
}

// stretched is a part of a picture with places of its own: width × height, as
// wide as the picture, at y, and drawn pixels high.
func stretched(y, drawn, width, height float64, content string) string {
	return fmt.Sprintf(`<svg y="%s" width="100%%" height="%s" viewBox="0 0 %s %s" preserveAspectRatio="none">%s</svg>`,
		decimal(y), decimal(drawn), decimal(width), decimal(height), content)
}

// decimal is a number with at most two decimals.
func decimal(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

// label is text in a picture, at x percent.
func label(class string, x, y float64, text string) string {
	return fmt.Sprintf(`<text class="%s" x="%s%%" y="%s">%s</text>`, class, decimal(x), decimal(y), html.EscapeString(text))
}

// level is a line across a picture at a height, and its value, which is drawn over what
// is in the picture.
func level(y float64, text string) (line, value string) {
	return fmt.Sprintf(`<line class="grid" x1="0" x2="100%%" y1="%s" y2="%[1]s"/>`, decimal(y)), label("small", 0, max(y-3, 10), text)
}

// tick is a line from the top to the bottom at x percent, with its value at y. Near
// an end of the axis, the text does not leave the picture.
func tick(x, top, bottom, y float64, text string) string {
	class := "small middle"
	switch {
	case x < 3:
		class = "small"
	case x > 96:
		class = "small end"
	}
	return fmt.Sprintf(`<line class="grid" x1="%s%%" x2="%[1]s%%" y1="%s" y2="%s"/>`, decimal(x), decimal(top), decimal(bottom)) + label(class, x, y, text)
}

// percentileLines draws the latencies of each arm: from left to right the shares
// 0, 50, 90, 99 and 99.9 % are equally apart on an axis of 1/(1-share), and
// latencies are on a log axis.
func percentileLines(arms []*pageArm) template.HTML {
	const height = 240.0
	low, high, nines := math.Inf(1), 0.0, 1.0
	for _, a := range arms {
		for _, p := range a.Percentiles {
			if p.Seconds > 0 {
				low, high = min(low, p.Seconds), max(high, p.Seconds)
			}
			nines = max(nines, ninesOf(p.Share))
		}
	}
	if high == 0 {
		return ""
	}
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high)+1e-9)
	high = max(high, low+1)
	y := func(seconds float64) float64 {
		return height * (1 - (math.Log10(max(seconds, 1e-9))-low)/(high-low))
	}
	var s, values strings.Builder
	for decade := low; decade <= high; decade++ {
		latency := math.Pow(10, decade)
		line, value := level(y(latency), roundLatency(latency))
		s.WriteString(line)
		values.WriteString(value)
	}
	for _, share := range []float64{.5, .9, .99, .999, .9999} {
		if x := 100 * ninesOf(share) / nines; x < 100.1 {
			s.WriteString(tick(x, 0, height, height+14, decimal(100*share)+" %"))
		}
	}
	var lines strings.Builder
	for _, a := range arms {
		var points []string
		for _, p := range a.Percentiles {
			points = append(points, decimal(1000*ninesOf(p.Share)/nines)+","+decimal(y(p.Seconds)))
		}
		fmt.Fprintf(&lines, `<polyline class="curve %s" points="%s"><title>%s</title></polyline>`, a.Class, strings.Join(points, " "), html.EscapeString(a.Name+": "+a.Latencies()))
	}
	s.WriteString(stretched(0, height, 1000, height, lines.String()) + values.String())
	return svg("axes", height+20, s.String())
}

// roundLatency is a round latency: 1 ms, 5 s.
func roundLatency(seconds float64) string {
	if seconds < .9999 {
		return decimal(1000*seconds) + " ms"
	}
	return decimal(seconds) + " s"
}

// ninesOf is the place of a share on the axis: 0, .3, 1, 2, 3 of 0, 50, 90, 99
// and 99.9 %.
func ninesOf(share float64) float64 { return math.Log10(1 / (1 - share)) }

// Latencies are the arm's quantiles in words.
func (a Arm) Latencies() string {
	var all []string
	for _, name := range []string{"p50", "p90", "p99", "p999"} {
		if c, _ := column(name); a.Figures[name].Value != nil {
			all = append(all, c.Head+" "+a.Figures[name].Text(c.Unit))
		}
	}
	return cmp.Or(strings.Join(all, ", "), "none")
}

// heatLevels is the number of shades.
const heatLevels = 5

// heatMap draws a run's latencies over time: the darker, the more of a second's
// requests.
func heatMap(r Run) template.HTML {
	const row = 12.0
	lowest, highest := len(LatencyBands), -1
	for _, step := range r.Curve {
		for band, n := range step.Latencies {
			if n > 0 {
				lowest, highest = min(lowest, band), max(highest, band)
			}
		}
	}
	if highest < 0 {
		return ""
	}
	rows := float64(highest - lowest + 1)
	var shades [heatLevels]strings.Builder
	for second, step := range r.Curve {
		for band, n := range step.Latencies {
			if n > 0 {
				level := min(int(heatLevels*float64(n)/float64(step.Requests)), heatLevels-1)
				fmt.Fprintf(&shades[level], "M%d %dh1v1h-1z", second, highest-band)
			}
		}
	}
	var areas, s strings.Builder
	for level := range shades {
		if shades[level].Len() > 0 {
			fmt.Fprintf(&areas, `<path class="heat%d" d="%s"/>`, level, shades[level].String())
		}
	}
	s.WriteString(stretched(0, rows*row, float64(len(r.Curve)), rows, areas.String()))
	for band := lowest; band <= highest; band++ {
		text := "more"
		if band < len(LatencyBands) {
			text = "to " + roundLatency(LatencyBands[band])
		}
		s.WriteString(label("tiny", 0, float64(highest-band+1)*row-2, text))
	}
	x := axisOf([]Run{r})
	s.WriteString(x.ticks(rows*row+13, 0, rows*row))
	return svg("heat", rows*row+18, s.String())
}

// pagePrice is one figure of all arms as a difference to the baseline.
type pagePrice struct {
	Title string
	Rows  []pageDifference

	low, high float64 // of all intervals, and of 0
}

type pageDifference struct {
	Arm, Text string
	Difference
}

// add adds a difference, if there is one.
func (p *pagePrice) add(arm string, d Difference, u Unit) {
	if d.Value == nil {
		return
	}
	p.Rows = append(p.Rows, pageDifference{arm, d.Text(u), d})
	for _, v := range []*float64{d.Value, d.Low, d.High} {
		if v != nil {
			p.low, p.high = min(p.low, *v), max(p.high, *v)
		}
	}
}

// At is the place of a value, in percent.
func (p pagePrice) At(v float64) string {
	if p.high == p.low {
		return "4"
	}
	return decimal(4 + 92*(v-p.low)/(p.high-p.low))
}

// prices are what the arms add to the baseline while nothing fails.
func (f Fault) prices() (all []pagePrice) {
	for _, of := range []struct{ name, title string }{
		{"p50", "Latency, p50"},
		{"p99", "Latency, p99"},
		{"cpu", "CPU for 1 000 requests per second"},
		{"memory", "Memory"},
	} {
		p := pagePrice{Title: of.title}
		c, _ := column(of.name)
		for _, a := range f.Arms {
			p.add(a.Name, a.Over[of.name], c.Unit)
		}
		if len(p.Rows) > 0 {
			all = append(all, p)
		}
	}
	return all
}
