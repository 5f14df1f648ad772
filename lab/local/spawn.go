package local

import (
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
// because its writer is gone, however that came about, kills the process
// groups that are left.
const guardianScript = `trap '' HUP INT TERM
groups=
while read -r op pid; do
  case $op in
  +) groups="$groups $pid" ;;
  -) rest=
     for g in $groups; do [ "$g" = "$pid" ] || rest="$rest $g"; done
     groups=$rest ;;
  esac
done
for g in $groups; do kill -KILL "-$g" 2>/dev/null; done
exit 0
`

// spawner starts processes that do not outlive this one, not even when it is
// killed with -9: on Linux the kernel kills them (Pdeathsig), and everywhere a
// guardian, a shell that holds the end of a pipe, kills their process groups.
type spawner struct {
	jobs     chan func()
	guardian io.WriteCloser
	watching *exec.Cmd
}

func newSpawner() (*spawner, error) {
	s := &spawner{jobs: make(chan func())}
	s.watching = exec.Command("/bin/sh", "-c", guardianScript)
	// out of the terminal's reach: Ctrl-C is for the launcher
	s.watching.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := s.watching.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the guardian: %w", err)
	}
	if err := s.watching.Start(); err != nil {
		return nil, fmt.Errorf("starting the guardian: %w", err)
	}
	s.guardian = pipe
	go func() {
		// Pdeathsig is sent when the thread that forked ends, so one thread
		// does it all and lives as long as the fleet.
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s, nil
}

// close ends the guardian. Every process has to have exited.
func (s *spawner) close() {
	close(s.jobs)
	s.guardian.Close()
	_ = s.watching.Wait()
}

// Process is a child of the fleet. Its exit is collected once, by start's goroutine.
type Process struct {
	pid     int
	started time.Time
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has exited
	exit    error         // how it exited; to be read when done is closed
}

// start runs the command in a process group of its own.
func (s *spawner) start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = childAttr()
	started := make(chan error)
	s.jobs <- func() {
		err := cmd.Start()
		if err == nil {
			s.tell('+', cmd.Process.Pid)
		}
		started <- err
	}
	if err := <-started; err != nil {
		return nil, err
	}
	p := &Process{pid: cmd.Process.Pid, started: time.Now(), cmd: cmd, done: make(chan struct{})}
	go func() {
		p.exit = cmd.Wait()
		s.tell('-', p.pid)
		close(p.done)
	}()
	return p, nil
}

// tell cannot fail in a way that matters: without a guardian, Linux's
// Pdeathsig is left.
func (s *spawner) tell(op byte, pid int) {
	_, _ = s.guardian.Write(append(strconv.AppendInt([]byte{op, ' '}, int64(pid), 10), '\n'))
}

// PID is the process's number.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has exited.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal does nothing when the process has exited already.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	// os.Process knows whether it has been waited for, so a signal cannot
	// reach a stranger that got the same number.
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// How says in words how the process ended.
func (p *Process) How() string {
	if p.exit == nil {
		return "exit status 0"
	}
	return p.exit.Error()
}
