package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// WriteHeader writes a comparison's first line. Its runs follow with Write.
func WriteHeader(w io.Writer, c *Comparison) error {
	c.Kind, c.Format = KindComparison, Format
	if err := json.NewEncoder(w).Encode(c); err != nil {
		return fmt.Errorf("write the comparison's record: %w", err)
	}
	return nil
}

// Write appends a run's lines, the run's own first.
func Write(w io.Writer, r *Run) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	put := func(key *Key, kind string, line any) error {
		*key = r.Key
		key.Kind = kind
		return encoder.Encode(line)
	}
	r.Lines = r.lines()
	errs := []error{put(&r.Key, KindRun, r)}
	for i := range r.Requests {
		errs = append(errs, put(&r.Requests[i].Key, KindRequest, &r.Requests[i]))
	}
	for i := range r.Events {
		errs = append(errs, put(&r.Events[i].Key, KindEvent, &r.Events[i]))
	}
	for i := range r.Samples {
		errs = append(errs, put(&r.Samples[i].Key, KindSample, &r.Samples[i]))
	}
	for i := range r.Positions {
		errs = append(errs, put(&r.Positions[i].Key, KindPosition, &r.Positions[i]))
	}
	if err := errors.Join(append(errs, buffered.Flush())...); err != nil {
		return fmt.Errorf("write the records of %s: %w", r.Name(), err)
	}
	return nil
}

// maxLine is the longest line, in bytes.
const maxLine = 1 << 20

// Read reads a comparison with its runs, in their order. If a run is not whole, the
// error is Incomplete.
func Read(r io.Reader, name string) (*Comparison, error) {
	c, defects, err := ReadWhole(r, name)
	switch {
	case err != nil:
		return nil, err
	case len(defects) > 0:
		return nil, Incomplete{Command: c.Command, Defects: defects}
	case c == nil || len(c.Runs) == 0:
		return nil, fmt.Errorf("%s: no runs", name)
	}
	return c, nil
}

func (c *Comparison) readHeader(line []byte) error {
	var key struct{ Kind string }
	if err := json.Unmarshal(line, &key); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	if key.Kind != KindComparison {
		return fmt.Errorf("kind: %.40q: must be %s in the first line; records of an older fleetman are not read", key.Kind, KindComparison)
	}
	if err := decode(line, c); err != nil {
		return err
	}
	return c.check()
}

func (r *Run) readLine(line []byte, kind string) error {
	switch kind {
	case KindRequest:
		return read(line, &r.Requests)
	case KindEvent:
		return read(line, &r.Events)
	case KindSample:
		return read(line, &r.Samples)
	case KindPosition:
		return read(line, &r.Positions)
	}
	return fmt.Errorf("kind: %.40q: must be one of %s, %s, %s, %s, %s", kind, KindRun, KindRequest, KindEvent, KindSample, KindPosition)
}

func read[T any](line []byte, into *[]T) error {
	var one T
	if err := decode(line, &one); err != nil {
		return err
	}
	if r, ok := any(one).(Request); ok && (r.Start < r.Intended || r.End < r.Start) {
		return errors.New("intended, start, end: must be in this order")
	}
	*into = append(*into, one)
	return nil
}

func decode(line []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func (r *Run) check() error {
	switch {
	case r.Arm == "" || r.Fault == "":
		return fmt.Errorf("arm, fault: %q, %q: must be names", r.Arm, r.Fault)
	case !(r.Rate > 0):
		return fmt.Errorf("rate: %v: must be more than 0", r.Rate)
	case r.FaultAt < 0 || r.RepairAt <= r.FaultAt || r.End < r.RepairAt:
		return errors.New("faultAt, repairAt, end: must be in this order")
	case slices.ContainsFunc(r.Hops, Hop.isIncomplete):
		return errors.New("hops: must have a caller, an upstream and calls")
	case r.LoadUntil != 0 && (r.LoadUntil < r.RepairAt || r.LoadUntil > r.End):
		return errors.New("loadUntil: must be between repairAt and end")
	}
	return nil
}
