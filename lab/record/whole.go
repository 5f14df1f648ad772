package record

import (
	"fmt"
	"io"
)

// ReadWhole reads the whole runs of a comparison that may have been interrupted,
// and returns the size of the text that has them: what follows is a part of a run.
// It returns nil when there is no whole first line.
func ReadWhole(r io.Reader, name string) (*Comparison, int64, error) {
	var c Comparison
	whole, at := int64(0), int64(0)
	_, _, err := c.readLines(r, name, func(length int) {
		at += int64(length)
		if len(c.Runs) == 0 || c.Runs[len(c.Runs)-1].whole() {
			whole = at
		}
	})
	if err != nil || c.Kind == "" {
		return nil, 0, err
	}
	if n := len(c.Runs); n > 0 && !c.Runs[n-1].whole() {
		c.Runs = c.Runs[:n-1]
	}
	return &c, whole, nil
}

// whole reports whether all lines of the run are there.
func (r *Run) whole() bool { return r.Lines == r.lines() }

// lines is the number of the run's lines after its first.
func (r *Run) lines() int {
	return len(r.Requests) + len(r.Events) + len(r.Samples) + len(r.Positions)
}

// notWhole returns the error of a run of which lines are missing.
func (c *Comparison) notWhole() error {
	for _, r := range c.Runs {
		if !r.whole() {
			return fmt.Errorf("%s: %d lines: must be %d: the records are cut off %s", r.Name(), r.lines(), r.Lines, c.goesOn())
		}
	}
	return nil
}

// goesOn describes what there is before the end of records that are cut off.
func (c *Comparison) goesOn() string {
	n := 0
	for _, r := range c.Runs {
		if r.whole() {
			n++
		}
	}
	return fmt.Sprintf("after %d whole runs: the same compare with --out goes on", n)
}
