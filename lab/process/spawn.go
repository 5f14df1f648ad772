package process

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// guardianScript reads "+ PID" and "- PID" lines and, when the pipe ends
// because its writer has exited, for any reason, kills the remaining process
// groups.
//
//go:embed guardian.sh
var guardianScript string

// IsProgram reports whether there is a file at the path that may be executed.
func IsProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Spawner starts processes that do not outlive this one, not even when it is
// killed with -9: on Linux the kernel kills them (Pdeathsig), and everywhere a
// guardian, a shell that reads from a pipe, kills their process groups.
type Spawner struct {
	jobs     chan func()
	closed   chan struct{}
	pipe     io.WriteCloser
	guardian *exec.Cmd
}

// NewSpawner starts the guardian.
func NewSpawner() (*Spawner, error) {
	s := &Spawner{jobs: make(chan func()), closed: make(chan struct{})}
	s.guardian = exec.Command("/bin/sh", "-c", guardianScript)
	// a group of its own: Ctrl-C in the terminal does not reach it
	s.guardian.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if s.pipe, err = s.guardian.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	if err := s.guardian.Start(); err != nil {
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	go func() {
		// Pdeathsig is sent when the thread that forked ends, so one thread
		// starts all processes and lives as long as the Spawner.
		runtime.LockOSThread()
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.closed:
				return
			}
		}
	}()
	return s, nil
}

// Close ends the guardian. Every process must have exited.
func (s *Spawner) Close() {
	close(s.closed)
	s.pipe.Close()
	_ = s.guardian.Wait()
}

// errClosed is the error of a Start after Close: a fleet that did not come up
// ends while its supervisors may still be about to start something.
var errClosed = errors.New("the fleet has ended")

// Start runs the command in a process group of its own.
func (s *Spawner) Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = childAttr()
	started := make(chan error)
	job := func() {
		err := cmd.Start()
		if err == nil {
			s.tell('+', cmd.Process.Pid)
		}
		started <- err
	}
	select {
	case s.jobs <- job:
	case <-s.closed:
		return nil, errClosed
	}
	if err := <-started; err != nil {
		return nil, err
	}
	p := &Process{pid: cmd.Process.Pid, started: time.Now(), signal: cmd.Process.Signal, done: make(chan struct{})}
	go func() {
		p.exit = cmd.Wait()
		s.tell('-', p.pid)
		close(p.done)
	}()
	return p, nil
}

// tell writes a line to the guardian. It ignores errors: without a guardian, Linux still has Pdeathsig.
func (s *Spawner) tell(op byte, pid int) {
	_, _ = s.pipe.Write(append(strconv.AppendInt([]byte{op, ' '}, int64(pid), 10), '\n'))
}
