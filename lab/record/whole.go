package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Defect is why the records of a run are not whole.
type Defect struct {
	Key  Key    // of the run; its Arm is empty if the line does not have one
	File string // its name
	Line int    // where the defect, or the run, begins
	Text string
}

// String is one line: FILE:LINE: RUN: TEXT.
func (d Defect) String() string {
	place := fmt.Sprintf("%s:%d: ", d.File, d.Line)
	if d.Key.Arm == "" {
		return place + d.Text
	}
	return place + d.Key.Name() + ": " + d.Text
}

// Incomplete is the error of records in which runs are not whole.
type Incomplete struct {
	Command string // the comparison's
	Defects []Defect
}

// Error is one line for each run.
func (i Incomplete) Error() string {
	lines := make([]string, len(i.Defects))
	for n, d := range i.Defects {
		lines[n] = d.String()
	}
	return strings.Join(lines, "\n")
}

// ReadWhole reads the whole runs of a comparison, and why others are not whole: the
// comparison is still running, was interrupted, or its file was changed. Each of those
// has one defect, the first. It returns nil if there is no whole first line.
func ReadWhole(r io.Reader, name string) (*Comparison, []Defect, error) {
	reader := reader{name: name, comparison: new(Comparison)}
	if err := reader.readAll(r); err != nil || reader.comparison.Kind == "" {
		return nil, nil, err
	}
	return reader.comparison, reader.check(), nil
}

// reader reads the lines of a comparison.
type reader struct {
	name       string
	number     int // of the line
	comparison *Comparison
	begins     []int // the lines with which the runs begin
	defects    []Defect
}

// readAll reads all lines. An error is one of the file, or of its first line.
func (r *reader) readAll(from io.Reader) error {
	lines := bufio.NewReaderSize(from, maxLine)
	for r.number = 1; ; r.number++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) > 0:
			r.add(r.unfinished(), "the line is cut off")
			return nil
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s:%d: the line is too long: must be at most %d bytes", r.name, r.number, maxLine)
		case err != nil:
			return fmt.Errorf("read %s: %w", r.name, err)
		}
		if r.comparison.Kind != "" {
			r.readLine(line)
		} else if err := r.comparison.readHeader(line); err != nil {
			return fmt.Errorf("%s:%d: %w", r.name, r.number, err)
		}
	}
}

// readLine reads a line after the first.
func (r *reader) readLine(line []byte) {
	var key Key
	if err := json.Unmarshal(line, &key); err != nil {
		r.add(r.unfinished(), fmt.Sprintf("not a JSON object: %v", err))
		return
	}
	if key.Kind == KindRun {
		r.begin(key, line)
		return
	}
	runs := r.comparison.Runs
	if len(runs) == 0 || !runs[len(runs)-1].Same(key) {
		r.add(key, fmt.Sprintf("kind: %.40q: must come after the %s line of its run", key.Kind, KindRun))
		return
	}
	if err := runs[len(runs)-1].readLine(line, key.Kind); err != nil {
		r.add(key, err.Error())
	}
}

// begin reads the first line of a run.
func (r *reader) begin(key Key, line []byte) {
	run := new(Run)
	err := decode(line, run)
	if err == nil {
		err = run.check()
	}
	switch {
	case err != nil:
		r.add(key, err.Error())
		run = &Run{Key: key}
	case r.comparison.Find(key) != nil:
		r.add(key, "must be there once")
	}
	r.comparison.Runs, r.begins = append(r.comparison.Runs, run), append(r.begins, r.number)
}

// unfinished returns the key of the run that has fewer lines than it should have, so
// that the line is probably one of it.
func (r *reader) unfinished() (key Key) {
	if runs := r.comparison.Runs; len(runs) > 0 && runs[len(runs)-1].lines() < runs[len(runs)-1].Lines {
		return runs[len(runs)-1].Key
	}
	return Key{}
}

// add notes a defect of a run, unless it has one.
func (r *reader) add(key Key, text string) {
	r.addAt(r.number, key, text)
}

func (r *reader) addAt(line int, key Key, text string) {
	if !r.isDefect(key) {
		r.defects = append(r.defects, Defect{key, r.name, line, text})
	}
}

func (r *reader) isDefect(key Key) bool {
	return slices.ContainsFunc(r.defects, func(d Defect) bool { return d.Key.Same(key) })
}

// check removes the runs that are not whole from the comparison, and returns why, in
// the order of the lines.
func (r *reader) check() []Defect {
	for i, run := range r.comparison.Runs {
		switch n := run.lines(); {
		case n < run.Lines:
			r.addAt(r.begins[i], run.Key, fmt.Sprintf("lines: %d: must be %d: some are missing", n, run.Lines))
		case n > run.Lines:
			r.addAt(r.begins[i], run.Key, fmt.Sprintf("lines: %d: must be %d: there are more than the run has", n, run.Lines))
		}
	}
	r.comparison.Runs = slices.DeleteFunc(r.comparison.Runs, func(run *Run) bool { return r.isDefect(run.Key) })
	slices.SortStableFunc(r.defects, func(a, b Defect) int { return a.Line - b.Line })
	return r.defects
}

// lines is the number of the run's lines after its first.
func (r *Run) lines() int {
	return len(r.Requests) + len(r.Events) + len(r.Samples) + len(r.Positions)
}
