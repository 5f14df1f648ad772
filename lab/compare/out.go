package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
)

// output is the file of the records.
type output struct {
	*os.File
	again *record.Comparison // of which one run is replaced; nil: runs are added
}

// Recorded returns the comparison that is in a directory, with its whole runs, and why others are not whole; nil when
// there is none.
func Recorded(dir string) (*record.Comparison, []record.Defect, error) {
	path := filepath.Join(dir, record.FileName)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		compressed := filepath.Join(dir, record.CompressedName)
		if _, err := os.Stat(compressed); err == nil {
			return nil, nil, fmt.Errorf("records: %s: must be decompressed to be added to: zstd -d %[1]s", compressed)
		}
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("records: %w", err)
	}
	defer file.Close()
	have, defects, err := record.ReadWhole(file, path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: --out must be a directory without records, or with those of this experiment", err)
	}
	return have, defects, nil
}

// read takes what there is of the comparison, if it is the same one.
func (c *Comparison) read() (err error) {
	if c.have, c.defects, err = Recorded(c.o.Out); err != nil || c.have == nil {
		return err
	}
	if difference := c.have.Difference(header(context.Background(), c.o).Conditions); difference != "" {
		return fmt.Errorf("--out %s: %s: must be the same to go on; else --out must be another directory", c.o.Out, difference)
	}
	return nil
}

// open opens the records, to add runs. Those of runs that are not whole are removed.
func (c *Comparison) open(ctx context.Context) (*output, error) {
	if err := os.MkdirAll(c.o.Out, 0o755); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	path := filepath.Join(c.o.Out, record.FileName)
	switch {
	case c.have == nil:
		if err := writeAll(path, header(ctx, c.o)); err != nil {
			return nil, err
		}
	case len(c.defects) > 0:
		if err := writeAll(path, c.have); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	out := &output{File: file}
	if c.o.Again != nil {
		out.again = c.have
	}
	return out, nil
}

// add writes a run. One that is there already is replaced.
func (out *output) add(run *record.Run) error {
	there := out.again.Find(run.Key)
	if there == nil {
		return record.Write(out, run)
	}
	*there = *run
	return writeAll(out.Name(), out.again)
}

// writeAll writes all records into a new file that takes the old one's place.
func writeAll(path string, c *record.Comparison) error {
	var text bytes.Buffer
	err := record.WriteHeader(&text, c)
	for _, r := range c.Runs {
		if err == nil {
			err = record.Write(&text, r)
		}
	}
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err = os.WriteFile(temporary, text.Bytes(), 0o644); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	return nil
}

// header is the first line of the records.
func header(ctx context.Context, o Options) *record.Comparison {
	e := o.Experiment
	machine, versions := o.at.conditions(ctx)
	return &record.Comparison{
		Began: time.Now(), Command: o.Command, Experiment: textOf(e),
		Conditions: record.Conditions{
			Seeds: e.Seeds, Rate: o.rate(), Target: e.Load.Target,
			Machine: machine, Versions: versions, SLO: record.Offset(e.SLO),
			Healthy: record.Offset(e.Phases.Healthy), Fault: record.Offset(e.Phases.Fault), After: record.Offset(e.Phases.After),
		},
	}
}

// textOf returns the text of an experiment's file, or of one that would have the same as the flags.
func textOf(e *experiment.Experiment) string {
	text := e.Text
	if text == nil {
		text, _ = e.YAML() // it was read from flags, which YAML can have
	}
	return string(text)
}
