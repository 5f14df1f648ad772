package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Process is a running child process, or one that has exited.
type Process struct {
	pid     int
	started time.Time
	signal  func(os.Signal) error
	done    chan struct{} // closed when it has exited
	exit    error         // how it exited; read only after done is closed
}

// PID returns the process ID; 0 for a nil process.
func (p *Process) PID() int {
	if p == nil {
		return 0
	}
	return p.pid
}

// Started returns when the process was started.
func (p *Process) Started() time.Time { return p.started }

// Done returns a channel that is closed when the process has exited.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exited reports whether the process has exited.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the process; it does nothing when the process has
// exited already.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.Exited() {
		return nil
	}
	// os.Process refuses a signal after Wait, so that it cannot reach
	// another process with the same ID.
	if err := p.signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// End sends SIGTERM, SIGKILL after the grace period, and returns when the
// process has exited. Without a grace period SIGKILL is sent at once.
func (p *Process) End(grace time.Duration) {
	if grace > 0 {
		_ = p.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return
		case <-time.After(grace):
		}
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// exitText describes how the process exited, as os/exec words it.
func (p *Process) exitText() string {
	if p.exit == nil {
		return "exit status 0"
	}
	return p.exit.Error()
}
