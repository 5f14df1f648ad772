package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// logPoll is the time between two reads of a followed log file.
const logPoll = 100 * time.Millisecond

// namedLog is a log file and its name for users.
type namedLog struct{ name, path string }

// logsOf returns the log files of a name.
func (f *Fleet) logsOf(name string) ([]namedLog, error) {
	f.mu.Lock()
	others := slices.Clone(f.meshLogs)
	f.mu.Unlock()
	switch name {
	case "all":
		var logs []namedLog
		for _, p := range f.pods {
			logs = append(logs, namedLog{p.plan.id(), p.log.Name()})
		}
		return logs, nil
	case "mesh":
		if len(others) > 0 {
			return others, nil
		}
	}
	var names []string
	for _, log := range others {
		if log.name == name {
			return []namedLog{log}, nil
		}
		names = append(names, log.name)
	}
	p, err := f.find(name)
	switch {
	case err == nil:
		return []namedLog{{p.plan.id(), p.log.Name()}}, nil
	case len(names) > 0:
		return nil, fmt.Errorf("%w; and, of the mesh, %s", err, strings.Join(names, ", "))
	}
	return nil, err
}

// LogOptions say what Logs writes, in the terms of Kubernetes' PodLogOptions.
// The zero value is all that there is.
type LogOptions struct {
	Follow    bool      // go on until the fleet has stopped or the context ends
	Prefix    bool      // start each line with the pod's name
	TailLines *int      // only the last lines of each log
	Since     time.Time // only lines that are not older
}

// Logs writes the log of a pod, or of every pod when name is "all", to w; with
// a mesh also the log of one of its processes, or of all of them, "mesh".
func (f *Fleet) Logs(ctx context.Context, name string, o LogOptions, w io.Writer) error {
	logs, err := f.logsOf(name)
	if err != nil {
		return err
	}
	out := &lineWriter{w: w}
	var copying sync.WaitGroup
	errs := make([]error, len(logs))
	for i, log := range logs {
		start := ""
		if o.Prefix {
			start = log.name + " | "
		}
		copying.Go(func() { errs[i] = f.copyLog(ctx, log.path, start, o, out) })
		if !o.Follow {
			copying.Wait() // one pod after the other
		}
	}
	copying.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// lineWriter writes whole lines of concurrent writers.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) write(prefix string, lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if prefix != "" {
		var prefixed bytes.Buffer
		for line := range bytes.Lines(lines) {
			prefixed.WriteString(prefix)
			prefixed.Write(line)
		}
		lines = prefixed.Bytes()
	}
	_, err := l.w.Write(lines)
	return err
}

func (f *Fleet) copyLog(ctx context.Context, path, prefix string, o LogOptions, out *lineWriter) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	defer file.Close()
	if err := o.skip(file); err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	var pending []byte // a line whose end is not written yet
	chunk := make([]byte, 64<<10)
	for last := !o.Follow; ; {
		n, err := file.Read(chunk)
		pending = append(pending, chunk[:n]...)
		if end := bytes.LastIndexByte(pending, '\n') + 1; end > 0 {
			if err := out.write(prefix, pending[:end]); err != nil {
				return err
			}
			pending = append(pending[:0], pending[end:]...)
		}
		switch {
		case err == nil:
		case err != io.EOF:
			return fmt.Errorf("read a log: %w", err)
		case last && len(pending) > 0:
			return out.write(prefix, append(pending, '\n'))
		case last:
			return nil
		default:
			select {
			case <-f.finished:
				last = true // once more, to the end
			case <-ctx.Done():
				return nil
			case <-time.After(logPoll):
			}
		}
	}
}

// LastLines returns the last n lines of a file, at most 16 kB.
func LastLines(path string, n int) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	const most = 16 << 10
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(file, most))
	text := strings.TrimSpace(string(data))
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
