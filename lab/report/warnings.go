package report

import (
	"fmt"
	"slices"
	"strings"
)

// warning is a note that makes figures unusable, in short: every form of the
// report has it.
type warning struct {
	what string // the same for all runs of a kind
	arm  string // empty: all arms of the fault
	run  string // as --run has it, or the fault's name
}

// What warnings are of.
const (
	loadLate  = "the load was late"
	notMet    = "no request of the load met the fault"
	noReport  = "no report of a vehicle met the fault"
	bySeed    = "one seed, and the fault is in some replicas only"
	seedsLeft = "seeds left out"
)

// warn adds a note, and what it is in short.
func (f *Fault) warn(a Arm, r Run, what, note string) {
	run := fmt.Sprintf("%s/%s/%d", a.Name, f.Name, r.Seed)
	if r.Repeat > 0 {
		run += fmt.Sprintf("/%d", r.Repeat)
	}
	f.Notes = append(f.Notes, fmt.Sprintf("%s, seed %d: %s", a.Name, r.Seed, note))
	f.warnings = append(f.warnings, warning{what, a.Name, run})
}

// warnIdle adds the mesh's notes of an arm, each once.
func (f *Fault) warnIdle(a Arm) {
	var notes []string
	for _, r := range a.Runs {
		notes = append(notes, r.seen.Notes...)
	}
	slices.Sort(notes)
	for _, note := range slices.Compact(notes) {
		f.Notes = append(f.Notes, a.Name+": "+note)
		f.warnings = append(f.warnings, warning{a.Name + ": " + note, a.Name, ""})
	}
}

// mostWarnings is how many lines of warnings a summary has.
const mostWarnings = 8

// warnings are lines of at most 100 characters: one for each kind, with where it
// is.
func (r Report) warnings() (lines []string) {
	var whats []string
	runs := map[string][]string{}
	for _, f := range r.faults() {
		for _, w := range f.warnings {
			whats = addOnce(whats, w.what)
			if w.run != "" {
				runs[w.what] = append(runs[w.what], w.run)
			}
		}
	}
	for _, what := range whats {
		line := "! " + what
		if n := len(runs[what]); n > 0 {
			line += ": " + strings.Join(runs[what], ", ")
		}
		lines = append(lines, short(line, Columns100))
	}
	if more := len(lines) - mostWarnings; more > 0 {
		lines = append(lines[:mostWarnings-1], fmt.Sprintf("! %d warnings more: --all", more+1))
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
