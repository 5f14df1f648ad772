package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Write appends a cell's lines, the cell's own first.
func Write(w io.Writer, c *Cell) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	put := func(key *Key, kind string, line any) error {
		*key = Key{kind, c.Arm, c.Fault, c.Seed}
		return encoder.Encode(line)
	}
	errs := []error{put(&c.Key, KindCell, c)}
	for i := range c.Requests {
		errs = append(errs, put(&c.Requests[i].Key, KindRequest, &c.Requests[i]))
	}
	for i := range c.Events {
		errs = append(errs, put(&c.Events[i].Key, KindEvent, &c.Events[i]))
	}
	for i := range c.Samples {
		errs = append(errs, put(&c.Samples[i].Key, KindSample, &c.Samples[i]))
	}
	for i := range c.Positions {
		errs = append(errs, put(&c.Positions[i].Key, KindPosition, &c.Positions[i]))
	}
	if err := errors.Join(append(errs, buffered.Flush())...); err != nil {
		return fmt.Errorf("writing the records of %s, %s, seed %d: %w", c.Arm, c.Fault, c.Seed, err)
	}
	return nil
}

// maxLine bounds a line, in bytes.
const maxLine = 1 << 20

// Read reads all cells, in their order. An error names the line: name:NUMBER.
func Read(r io.Reader, name string) ([]*Cell, error) {
	var cells []*Cell
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	number := 0
	for lines.Scan() {
		number++
		var err error
		if cells, err = readLine(cells, lines.Bytes()); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: at most %d bytes are expected", name, number+1, maxLine)
	} else if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(cells) == 0 {
		return nil, fmt.Errorf("%s: no records", name)
	}
	return cells, nil
}

// wholeLines is bufio.ScanLines, but keeps the end of a line, so that one that
// was cut off is told.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func readLine(cells []*Cell, line []byte) ([]*Cell, error) {
	if !bytes.HasSuffix(line, []byte("\n")) {
		return nil, errors.New("the line is cut off")
	}
	var key Key
	if err := json.Unmarshal(line, &key); err != nil {
		return nil, fmt.Errorf("one JSON object a line is expected: %w", err)
	}
	if key.Kind == KindCell {
		c := new(Cell)
		if err := decode(line, c); err != nil {
			return nil, err
		}
		return append(cells, c), c.check(cells)
	}
	if len(cells) == 0 {
		return nil, fmt.Errorf("kind: %q; the first line has to be a %s", key.Kind, KindCell)
	}
	c := cells[len(cells)-1]
	if key.Arm != c.Arm || key.Fault != c.Fault || key.Seed != c.Seed {
		return nil, fmt.Errorf("arm %q, fault %q, seed %d: not of the cell before it, %s, %s, seed %d", key.Arm, key.Fault, key.Seed, c.Arm, c.Fault, c.Seed)
	}
	switch key.Kind {
	case KindRequest:
		return cells, read(line, &c.Requests)
	case KindEvent:
		return cells, read(line, &c.Events)
	case KindSample:
		return cells, read(line, &c.Samples)
	case KindPosition:
		return cells, read(line, &c.Positions)
	}
	return nil, fmt.Errorf("kind: %.40q; one of %s, %s, %s, %s, %s is expected", key.Kind, KindCell, KindRequest, KindEvent, KindSample, KindPosition)
}

func read[T any](line []byte, into *[]T) error {
	var one T
	if err := decode(line, &one); err != nil {
		return err
	}
	if r, ok := any(one).(Request); ok && (r.Start < r.Intended || r.End < r.Start) {
		return fmt.Errorf("start, end: not before intended, and in this order, are expected")
	}
	*into = append(*into, one)
	return nil
}

func decode(line []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	return nil
}

func (c *Cell) check(before []*Cell) error {
	switch {
	case c.Arm == "" || c.Fault == "":
		return errors.New("arm, fault: names are expected")
	case c.Rate <= 0:
		return fmt.Errorf("rate: %v; more than 0 is expected", c.Rate)
	case c.FaultAt < 0 || c.RepairAt <= c.FaultAt || c.End < c.RepairAt:
		return errors.New("faultAt, repairAt, end: moments in this order are expected")
	case c.LoadUntil != 0 && (c.LoadUntil < c.RepairAt || c.LoadUntil > c.End):
		return errors.New("loadUntil: a moment from repairAt to end is expected")
	}
	for _, other := range before {
		if other.Arm == c.Arm && other.Fault == c.Fault && other.Seed == c.Seed {
			return fmt.Errorf("%s, %s, seed %d: a second time", c.Arm, c.Fault, c.Seed)
		}
	}
	return nil
}
