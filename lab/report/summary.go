package report

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Size of a terminal that the summary fits.
const (
	Columns100 = 100
	Lines40    = 40
)

// SummaryOptions are those of Summary.
type SummaryOptions struct {
	Color bool
	HTML  string // the file with the whole report; empty: none
}

// Summary writes what came out in at most 40 lines of 100 characters: the
// matrix, the findings, the goals, and where more is.
func Summary(w io.Writer, r Report, o SummaryOptions) {
	lines := r.matrix(o.Color)
	for _, line := range r.sweeps(sheet.text) {
		lines = append(lines, strings.TrimRight(short(line, Columns100), " "))
	}
	var said []string
	for _, f := range r.Findings {
		said = append(said, wrap(f.Sentence, Columns100)...)
	}
	for _, v := range r.Unmet() {
		said = append(said, wrap(v.Line(), Columns100)...)
	}
	last := "all tables: --all"
	if n := len(notesOf(r)); n > 0 {
		last = plural(n, "note") + " and " + last
	}
	if o.HTML != "" {
		last += "; the whole report: " + o.HTML
	}
	end, warnings := wrap(last, Columns100), r.warningLines()
	if len(warnings) == 0 {
		warnings = []string{""} // their marks separate, too
	}
	if most := Lines40 - 1 - len(end) - len(warnings); len(lines) > most {
		lines = append(lines[:most-1], fmt.Sprintf("%d lines more: --all", len(lines)-most+1))
	}
	if room := Lines40 - len(lines) - len(warnings) - len(end); len(said) > room {
		said = append(said[:max(room-1, 0)], fmt.Sprintf("%d lines more: --all", len(said)-max(room-1, 0)))
	}
	for _, line := range slices.Concat(lines, warnings, said, end) {
		fmt.Fprintln(w, line)
	}
}

// sweeps are the lines of the first sweep of each group.
func (r Report) sweeps(write func(sheet, io.Writer)) (lines []string) {
	for _, g := range r.Groups {
		if len(g.Sweeps) > 0 {
			lines = append(lines, g.Sweeps[0].overview().lines(write)...)
		}
	}
	return lines
}

// lines are the table's.
func (s sheet) lines(write func(sheet, io.Writer)) []string {
	var table strings.Builder
	write(s, &table)
	return strings.Split(strings.TrimSpace(table.String()), "\n")
}

func notesOf(r Report) (all []string) {
	for _, f := range r.faults() {
		for _, note := range f.Notes {
			all = append(all, f.Name+": "+note)
		}
	}
	return all
}

// outcomeMark is how an outcome is drawn in a bar: with colour all are blocks.
// Name is the outcome's column.
type outcomeMark struct{ Name, mark, color string }

var outcomeMarks = []outcomeMark{{"good", "█", "\x1b[32m"}, {"degraded", "▒", "\x1b[33m"}, {"failed", "·", "\x1b[31m"}}

const colorOff = "\x1b[0m"

// Widths of the matrix.
const (
	fieldWidth = 14
	barWidth   = 12
)

// matrix has two lines for each fault: a bar of good, degraded and failed for
// each arm, and below it the share of good answers and p99. Arms that do not fit
// beside each other follow below.
func (r Report) matrix(color bool) (lines []string) {
	arms := r.arms(false)
	if len(arms) == 0 {
		return nil
	}
	perBlock := (Columns100 - fieldWidth) / fieldWidth
	for block := range slices.Chunk(arms, perBlock) {
		head := pad("")
		for _, arm := range block {
			head += pad(arm)
		}
		lines = append(lines, strings.TrimRight(head, " "))
		for _, f := range unswept(r.faults()) {
			if !slices.ContainsFunc(f.Arms, func(a Arm) bool { return slices.Contains(block, a.Name) }) {
				continue
			}
			bar, figures := pad(f.Name), pad("")
			for _, name := range block {
				a, ok := f.arm(name)
				if !ok {
					bar, figures = bar+pad(""), figures+pad("")
					continue
				}
				bar += a.bar(color) + strings.Repeat(" ", fieldWidth-barWidth)
				figures += pad(a.short())
			}
			lines = append(lines, strings.TrimRight(bar, " "), strings.TrimRight(figures, " "))
		}
	}
	key := pad("") + "good █, degraded ▒, failed ·; below: good, and p99 or the highest"
	if color {
		key = pad("") + "good green, degraded yellow, failed red; below: good, and p99 or the highest"
	}
	return append(lines, key)
}

// arms are the names of the arms, in the order of the records, with or without
// those of a sweep.
func (r Report) arms(swept bool) (names []string) {
	for _, a := range armsOf(r.faults()) {
		if swept || !a.swept() {
			names = addOnce(names, a.Name)
		}
	}
	return names
}

// bar is barWidth characters of outcomes. Degraded and failed have at least one
// character where there are any.
func (a Arm) bar(color bool) string {
	widths := make([]int, len(outcomeMarks))
	left, largest := barWidth, 0
	for i, o := range outcomeMarks {
		v := 0.0
		if value := a.Figures[o.Name].Value; value != nil {
			v = *value
		}
		if widths[i] = int(math.Round(v * barWidth)); i > 0 && v > 0 && widths[i] == 0 {
			widths[i] = 1
		}
		left -= widths[i]
		if widths[i] > widths[largest] {
			largest = i
		}
	}
	if widths[largest] > 0 {
		widths[largest] += left
	}
	var text strings.Builder
	for i, o := range outcomeMarks {
		switch drawn := max(widths[i], 0); {
		case drawn == 0:
		case color:
			text.WriteString(o.color + strings.Repeat("█", drawn) + colorOff)
		default:
			text.WriteString(strings.Repeat(o.mark, drawn))
		}
	}
	if widths[largest] == 0 {
		text.WriteString(strings.Repeat(" ", barWidth))
	}
	return text.String()
}

// short is the share of good answers, and p99, or the highest latency of a
// sample that has no p99.
func (a Arm) short() string {
	good, p99 := a.Figures["good"], a.Figures["p99"]
	if good.Value == nil {
		return "-"
	}
	text := percent.number(*good.Value) + "%"
	if _, latency := p99.tail(); latency != "" {
		text += " " + strings.ReplaceAll(latency, " ", "")
	}
	return text
}

// tail is the p99, or the highest latency of a sample that has no p99, and which
// of the two it is; both are empty without any.
func (f Figure) tail() (which, latency string) {
	switch n := len(f.sample.Sorted); {
	case f.Value != nil:
		return "p99", duration.text(*f.Value)
	case n > 0:
		return "max", duration.text(f.sample.Sorted[n-1])
	}
	return "", ""
}

// pad cuts or fills a text to the width of a field, with a space at its end.
func pad(text string) string {
	return fmt.Sprintf("%-*s", fieldWidth, short(text, fieldWidth-1))
}

// unbroken returns a text without breaks between a number and its unit, and within a
// number.
func unbroken(text string) string { return beforeUnit.ReplaceAllString(text, "$1\u00a0$2") }

var beforeUnit = regexp.MustCompile(`([0-9]) (%|(?:ms|s|MB|cores|000)\b)`)

// wrap breaks a text at spaces; the lines after the first are indented.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.SplitSeq(unbroken(text), " ") {
		word = strings.ReplaceAll(word, "\u00a0", " ")
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), "  "+word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// mostMarkdown is the most lines of MarkdownSummary.
const mostMarkdown = 20

// MarkdownSummary writes the matrix and the findings in at most 20 lines.
func MarkdownSummary(w io.Writer, r Report) {
	arms := r.arms(false)
	var commands []string
	for _, g := range r.Groups {
		commands = append(commands, g.heading("`"))
	}
	matrix := sheet{Heads: append([]string{"good / degraded / failed, %; p99, or the highest (max)"}, arms...)}
	for _, f := range unswept(r.faults()) {
		row := []string{f.Name}
		for _, name := range arms {
			field := "-"
			if a, ok := f.arm(name); ok {
				field = a.field()
			}
			row = append(row, field)
		}
		matrix.Rows = append(matrix.Rows, row)
	}
	lines := []string{strings.Join(commands, "; ") + ".", ""}
	if len(arms) > 0 {
		lines = append(lines, matrix.lines(sheet.markdown)...)
	}
	lines = append(lines, r.sweeps(sheet.markdown)...)
	lines = append(lines, "")
	warnings := r.warnings()
	for i, warning := range warnings {
		if left := len(warnings) - i; left > 1 && i == mostWarnings-1 { // findings and goals need room, too
			lines = append(lines, "- "+plural(left, "warning")+" more are in the whole report.")
			break
		}
		lines = append(lines, "- "+warning.text(0))
	}
	for _, f := range r.Findings {
		lines = append(lines, "- "+f.Sentence)
	}
	for _, v := range r.Unmet() {
		lines = append(lines, "- "+v.Line())
	}
	if n := len(notesOf(r)); n > 0 {
		lines = append(lines, "- "+plural(n, "note")+" on what the figures do not support: in the whole report.")
	}
	if more := len(lines) - mostMarkdown; more > 0 {
		lines = append(lines[:mostMarkdown-1], fmt.Sprintf("- %d lines more are in the whole report.", more+1))
	}
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}

// field is an arm's outcomes in a field of the Markdown matrix.
func (a Arm) field() string {
	var shares []string
	for _, o := range outcomeMarks {
		value := a.Figures[o.Name].Value
		if value == nil {
			return "-"
		}
		shares = append(shares, percent.number(*value))
	}
	which, latency := a.Figures["p99"].tail()
	if which == "max" {
		latency = which + " " + latency
	}
	return strings.Join(shares, " / ") + "; " + latency
}
