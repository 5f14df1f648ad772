package local

import (
	"bufio"
	"errors"
	"io"
	"os"
	"regexp"
	"time"
)

// skip moves a log file to the first line that the options want.
func (o LogOptions) skip(file *os.File) error {
	if o.TailLines == nil && o.Since.IsZero() {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	begin, end, err := o.find(file)
	if err != nil {
		return err
	}
	if info.ModTime().Before(o.Since) {
		begin = end
	}
	_, err = file.Seek(begin, io.SeekStart)
	return err
}

// find returns where the lines that the options want begin, and where the log
// ends. A line without a time is as new as the next line that has one: a stack
// trace after a quiet hour is not lost.
func (o LogOptions) find(log io.Reader) (begin, end int64, err error) {
	var lines []int64 // the beginnings of those that are wanted
	recent := o.Since.IsZero()
	read := bufio.NewReader(log)
	for {
		line, err := read.ReadBytes('\n')
		if len(line) > 0 {
			lines = append(lines, end)
			end += int64(len(line))
		}
		if at, ok := lineTime(line); ok && !recent {
			if recent = !at.Before(o.Since); !recent {
				lines = nil
			}
		}
		if o.TailLines != nil && len(lines) > *o.TailLines {
			lines = lines[len(lines)-*o.TailLines:]
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return 0, 0, err
		case err != nil && len(lines) == 0:
			return end, end, nil
		case err != nil:
			return lines[0], end, nil
		}
	}
}

var (
	// jsonTime is the time of a line in JSON: a service's, istiod's, an Envoy's. Quotes within values
	// are escaped, so that no value has this form.
	jsonTime = regexp.MustCompile(`"time":"([^"]+)"`)
	// textTime is the time that other lines begin with, as package log writes it.
	textTime = regexp.MustCompile(`^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?) `)
)

// lineTime returns the time of a line. One without a zone is local.
func lineTime(line []byte) (at time.Time, ok bool) {
	var err error
	if m := jsonTime.FindSubmatch(line); m != nil && line[0] == '{' {
		at, err = time.Parse(time.RFC3339Nano, string(m[1]))
	} else if m := textTime.FindSubmatch(line); m != nil {
		at, err = time.ParseInLocation("2006/01/02 15:04:05.999999999", string(m[1]), time.Local)
	} else {
		return at, false
	}
	return at, err == nil
}
