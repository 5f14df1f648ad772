package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// warning is a note that makes figures unusable: every form of the report has it.
type warning struct {
	what string // in short, the same for all runs of a kind
	note string // in full
	arm  string // empty: all arms of the fault
	run  string // as --run has it, or the fault's name

	// voids reports whether the run says nothing about a figure, so that goals on it are
	// not decided by it. Nil: of no figure.
	voids func(Column) bool
}

// What warnings are of.
const (
	loadLate   = "the load was late"
	notMet     = "no request of the load met the fault"
	unknownWay = "which requests lead to the fault is unknown (set phases.healthy to 2s or more)"
	noReport   = "no report of a vehicle met the fault"
	bySeed     = "one seed, and the fault is in some replicas only"
	seedsLeft  = "seeds left out"
)

// warn adds a warning and its note.
func (f *Fault) warn(w warning) {
	f.warnings, f.Notes = append(f.warnings, w), append(f.Notes, w.note)
}

// path is the run as --run has it.
func (r *Run) path() string {
	path := fmt.Sprintf("%s/%s/%d", r.seen.Arm, r.seen.Fault, r.Seed)
	if r.Repeat > 0 {
		path += fmt.Sprintf("/%d", r.Repeat)
	}
	return path
}

// void returns why some arms have no such figure that a goal can be judged by; empty if
// they have.
func (f Fault) void(c Column, arms ...string) string {
	var kinds []kindOfWarning
	for _, w := range f.warnings {
		if slices.Contains(arms, w.arm) && w.voids != nil && w.voids(c) {
			add(&kinds, w)
		}
	}
	var texts []string
	for _, kind := range kinds {
		texts = append(texts, kind.text(0))
	}
	return strings.Join(texts, "; ")
}

// warnIdle adds the mesh's notes of an arm, each once.
func (f *Fault) warnIdle(a Arm) {
	var notes []string
	for _, r := range a.Runs {
		notes = append(notes, r.seen.Notes...)
	}
	slices.Sort(notes)
	for _, note := range slices.Compact(notes) {
		note = a.Name + ": " + note
		f.warn(warning{what: note, note: note, arm: a.Name})
	}
}

// kindOfWarning is the warnings of one kind, with the runs or faults that they are of.
type kindOfWarning struct {
	what string
	runs []string
}

// warnings are those of all faults, by kind.
func (r Report) warnings() (kinds []kindOfWarning) {
	for _, f := range r.faults() {
		for _, w := range f.warnings {
			add(&kinds, w)
		}
	}
	return kinds
}

// add adds a warning to its kind.
func add(kinds *[]kindOfWarning, w warning) {
	kind := find(kinds, func(k *kindOfWarning) bool { return k.what == w.what })
	if kind.what = w.what; w.run != "" {
		kind.runs = append(kind.runs, w.run)
	}
}

// text has as many runs as fit a width, and how many more there are. A width of 0 is
// without limit.
func (k kindOfWarning) text(width int) string {
	if len(k.runs) == 0 {
		return k.what
	}
	text := k.what + ": " + k.runs[0]
	for i, run := range k.runs[1:] {
		left := len(k.runs) - 1 - i
		more := fmt.Sprintf(", and %d more", left)
		longer := text + ", " + run
		if end := utf8.RuneCountInString(longer); width > 0 && (end > width || left > 1 && end+len(more) > width) {
			return text + more
		}
		text = longer
	}
	return text
}

// mostWarnings is how many lines of warnings a summary has.
const mostWarnings = 8

// warningLines are the warnings in lines of at most 100 characters.
func (r Report) warningLines() (lines []string) {
	kinds := r.warnings()
	for i, k := range kinds {
		more := wrap("! "+k.text(Columns100-2), Columns100)
		room := mostWarnings - len(lines)
		if left := len(kinds) - i; len(more) > room || left > 1 && len(more) == room {
			return append(lines, "! "+plural(left, "warning")+" more: --all")
		}
		lines = append(lines, more...)
	}
	return lines
}

// plural is a number of things: 1 note, 2 notes.
func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// warned are the warnings of one arm, for a field.
func (f Fault) warned(arm string) string {
	var all []string
	for _, w := range f.warnings {
		if w.arm == "" || w.arm == arm {
			all = addOnce(all, strings.TrimPrefix(w.what, arm+": "))
		}
	}
	return strings.Join(all, "; ")
}
