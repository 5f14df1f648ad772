package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// process is a running program that has said where it listens.
type process struct {
	name        string
	pid         int
	addr, admin string
	stop        func()
}

// startTimeout bounds the wait for the line that tells the addresses.
const startTimeout = 20 * time.Second

// service starts a service of the fleet on any free ports of 127.0.88.1.
func (b bench) service(ctx context.Context, name string, env ...string) (*process, error) {
	return start(ctx, name, exec.Command(filepath.Join(b.bin, name)), env...)
}

// plain starts one of our own comparison processes.
func plain(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, "plain "+role, exec.Command(self, append([]string{"plain", role}, args...)...))
}

// start runs cmd until its log says "listening".
func start(ctx context.Context, name string, cmd *exec.Cmd, env ...string) (*process, error) {
	cmd.Env = append([]string{"LISTEN_ADDR=127.0.88.1:0", "ADMIN_ADDR=127.0.88.1:0"}, env...)
	cmd.SysProcAttr = childAttr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	said := make(chan listening, 1)
	ended := make(chan struct{})
	var last lastLine
	go func() {
		defer close(ended)
		readLog(out, said, &last)
		_ = cmd.Wait() // killed below, or its last line says why it ended
	}()
	p := &process{name: name, pid: cmd.Process.Pid, stop: func() { _ = cmd.Process.Kill(); <-ended }}
	select {
	case l := <-said:
		p.addr, p.admin = l.Addr, l.Admin
		return p, nil
	case <-ended:
		return nil, fmt.Errorf("start %s: it ended: %s", name, last.get())
	case <-ctx.Done():
		p.stop()
		return nil, ctx.Err()
	case <-time.After(startTimeout):
		p.stop()
		return nil, fmt.Errorf("start %s: no line \"listening\" within %s; the last one: %s", name, startTimeout, last.get())
	}
}

// listening is the log line that tells a program's addresses.
type listening struct{ Msg, Addr, Admin string }

func readLog(out io.Reader, said chan<- listening, last *lastLine) {
	told := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last.set(lines.Text())
		var l listening
		if !told && json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "listening" {
			told = true
			said <- l
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line too long must not stop the program
}

type lastLine struct {
	mu   sync.Mutex
	text string
}

func (l *lastLine) set(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = text
}

func (l *lastLine) get() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

// group is processes that are measured and stopped together.
type group []*process

func (g group) stop() {
	for _, p := range g {
		p.stop()
	}
}

func (g group) cpu() (sum time.Duration, err error) {
	for _, p := range g {
		used, err := cpuTime(p.pid)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		sum += used
	}
	return sum, nil
}
