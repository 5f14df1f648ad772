package local

import (
	"bytes"
	"context"
	"errors"
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
type namedLog struct {
	name, path string
	ended      <-chan struct{} // closed when nothing writes to it any more; nil: when the fleet has stopped
}

// logsOf returns the log files of a name.
func (f *Fleet) logsOf(name string) ([]namedLog, error) {
	f.mu.Lock()
	others := slices.Clone(f.meshLogs)
	f.mu.Unlock()
	switch {
	case name == "all":
		return f.podLogs(), nil
	case name == "mesh" && len(others) > 0:
		return others, nil
	}
	of, proxys := strings.CutSuffix(name, ".envoy")
	p, err := f.find(of)
	if err == nil && proxys { // of may be a Deployment with one pod
		name = p.plan.ID + ".envoy"
	}
	if i := slices.IndexFunc(others, func(log namedLog) bool { return log.name == name }); i >= 0 {
		return others[i : i+1], nil
	}
	switch {
	case err == nil && proxys:
		return nil, fmt.Errorf("pod %s has no proxy", p.plan.ID)
	case err == nil:
		return []namedLog{p.namedLog()}, nil
	case len(others) > 0:
		names := collect(others, func(log namedLog) string { return log.name })
		return nil, fmt.Errorf("%w; and, of the mesh, %s", err, strings.Join(names, ", "))
	}
	return nil, err
}

// podLogs returns the log files of all pods.
func (f *Fleet) podLogs() []namedLog {
	f.mu.Lock()
	defer f.mu.Unlock()
	return collect(f.pods, (*pod).namedLog)
}

func (p *pod) namedLog() namedLog { return namedLog{p.plan.ID, p.log.Name(), p.removed} }

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
	out := NewLineWriter(w)
	if !o.Follow { // one pod after the other
		for _, log := range logs {
			if err := f.copyLog(ctx, log, o, out); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var copying sync.WaitGroup
	follow := func(logs []namedLog, o LogOptions) {
		for _, log := range logs {
			copying.Go(func() {
				if err := f.copyLog(ctx, log, o, out); err != nil {
					cancel(logError{err})
				}
			})
		}
	}
	follow(logs, o)
	if name == "all" {
		f.followNew(ctx, logs, func(logs []namedLog) { follow(logs, LogOptions{Follow: true, Prefix: o.Prefix}) })
	}
	copying.Wait()
	if failed, ok := errors.AsType[logError](context.Cause(ctx)); ok {
		return failed.error
	}
	return nil
}

// logError is the reason for which Logs ends early.
type logError struct{ error }

// followNew calls follow with the logs of pods that are started later, until the fleet
// has stopped or the context ends.
func (f *Fleet) followNew(ctx context.Context, known []namedLog, follow func([]namedLog)) {
	for {
		select {
		case <-f.finished:
			return
		case <-ctx.Done():
			return
		case <-time.After(logPoll):
		}
		now := f.podLogs()
		follow(slices.DeleteFunc(slices.Clone(now), func(log namedLog) bool { return slices.Contains(known, log) }))
		known = now
	}
}

// LineWriter writes whole lines of concurrent writers.
type LineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// NewLineWriter returns a LineWriter that writes to w.
func NewLineWriter(w io.Writer) *LineWriter { return &LineWriter{w: w} }

// Write writes lines, of which each ends with a newline, each with a prefix.
func (l *LineWriter) Write(prefix string, lines []byte) error {
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

func (f *Fleet) copyLog(ctx context.Context, log namedLog, o LogOptions, out *LineWriter) error {
	prefix := ""
	if o.Prefix {
		prefix = log.name + " | "
	}
	file, err := os.Open(log.path)
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
			if err := out.Write(prefix, pending[:end]); err != nil {
				return err
			}
			pending = append(pending[:0], pending[end:]...)
		}
		switch {
		case err == nil:
		case err != io.EOF:
			return fmt.Errorf("read a log: %w", err)
		case last && len(pending) > 0:
			return out.Write(prefix, append(pending, '\n'))
		case last:
			return nil
		case ctx.Err() != nil:
			return nil
		default:
			last = f.waitForLines(ctx, log)
		}
	}
}

// waitForLines waits until a log may have more lines. It returns whether they are the last ones.
func (f *Fleet) waitForLines(ctx context.Context, log namedLog) (last bool) {
	select {
	case <-f.finished:
		return true
	case <-log.ended:
		return true
	case <-ctx.Done():
	case <-time.After(logPoll):
	}
	return false
}

// LastLines returns the last n lines of a file, at most 16 kB.
func LastLines(path string, n int) []string { return lastLines(path, 0, n) }

// lastLines returns the last n lines of a file after an offset, at most 16 kB.
func lastLines(path string, from int64, n int) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	const most = 16 << 10
	if info, err := file.Stat(); err == nil {
		from = max(from, info.Size()-most)
	}
	data, _ := io.ReadAll(io.NewSectionReader(file, from, most))
	text := strings.TrimSpace(string(data))
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
