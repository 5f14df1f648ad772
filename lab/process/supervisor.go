package process

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// State is the state of a supervised program.
type State string

// The states. A Supervisor that runs is in one of the first two; it ends in
// one of the last two.
const (
	Waiting State = "waiting"  // no process; Status.Next is the time of the next start
	Running State = "running"  // Status.Process runs
	GivenUp State = "given up" // it is not started again
	Stopped State = "stopped"  // the process has ended: the context of Run has, or it was retired
)

// Status is a supervised program at one moment.
type Status struct {
	State State
	// Process is the running process; nil in every state but Running.
	Process *Process
	// Next is when the next start is tried; zero unless waiting.
	Next time.Time
	// Why is how the last process exited, or why the last start failed; empty
	// before.
	Why string
	// Restarts counts the processes after the first one.
	Restarts int
}

// String returns "running", "waiting, next try at 15:04:05.000: exit status 1"
// or "given up because …".
func (s Status) String() string {
	switch {
	case s.State == GivenUp:
		return "given up because " + s.Why
	case s.State == Waiting && s.Why != "":
		return fmt.Sprintf("waiting, next try at %s: %s", s.Next.Format("15:04:05.000"), s.Why)
	}
	return string(s.State)
}

// Config configures a Supervisor.
type Config struct {
	// Start starts one process. An error counts as a process that exited at
	// once: the next try follows, after the back-off.
	Start func() (*Process, error)
	// Attend runs beside each process, such as its probes; its context ends
	// when the process has exited. It may be nil.
	Attend func(context.Context, *Process)
	// BeforeRestart is called before each restart, while the back-off passes.
	// It may be nil.
	BeforeRestart func(context.Context)
	// Changed is called with every new status, in order. It may be nil.
	Changed func(Status)
	// Backoff is the delay of the second restart in a row; the first one comes
	// at once. It doubles, up to 30 times Backoff, and starts again at 0 after
	// a process that ran for 60 times Backoff, as on a cluster.
	Backoff time.Duration
	// Tries is the number of failed starts after which the program is given up,
	// unless Settle is called before; 0: never.
	Tries int
	// Grace is the time from SIGTERM to SIGKILL when the context of Run ends;
	// 0: SIGKILL at once.
	Grace time.Duration
}

// Supervisor restarts a program whenever it exits.
type Supervisor struct {
	config Config

	mu      sync.Mutex
	status  Status
	settled bool
	renewed bool
	retired bool

	processes int // started so far; only Run's goroutine reads it
}

// New returns a Supervisor that waits for Run.
func New(config Config) *Supervisor {
	if config.Attend == nil {
		config.Attend = func(context.Context, *Process) {}
	}
	if config.BeforeRestart == nil {
		config.BeforeRestart = func(context.Context) {}
	}
	if config.Changed == nil {
		config.Changed = func(Status) {}
	}
	return &Supervisor{config: config, status: Status{State: Waiting}}
}

// Status returns the current status.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Settle is called when the program works. From then on it is never given up.
func (s *Supervisor) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
}

// Renew is called before an intended exit. The back-off then starts again at 0.
func (s *Supervisor) Renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = true
}

// Retire makes the current process the last one: Run returns when it has exited.
func (s *Supervisor) Retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
}

// Run supervises the program until the context ends, then ends the process. It
// returns earlier only when it gives up or is retired. Run must be called once.
func (s *Supervisor) Run(ctx context.Context) {
	pause := backoff{first: s.config.Backoff}
	for tries := 1; ctx.Err() == nil; tries++ {
		began := time.Now()
		why := s.runOnce(ctx)
		s.mu.Lock()
		retired, settled, renewed := s.retired, s.settled, s.renewed
		s.renewed = false
		s.mu.Unlock()
		switch {
		case ctx.Err() != nil || retired:
			s.set(Status{State: Stopped, Why: why})
			return
		case !settled && s.config.Tries > 0 && tries >= s.config.Tries:
			if tries > 1 {
				why = fmt.Sprintf("it failed %d times, last with %s", tries, why)
			}
			s.set(Status{State: GivenUp, Why: why})
			return
		case renewed:
			pause.next = 0
		}
		next := time.Now().Add(pause.delay(time.Since(began)))
		s.set(Status{State: Waiting, Next: next, Why: why})
		s.config.BeforeRestart(ctx)
		_ = Sleep(ctx, time.Until(next))
	}
	s.set(Status{State: Stopped})
}

// runOnce starts one process and returns, when it has exited, why.
func (s *Supervisor) runOnce(ctx context.Context) string {
	p, err := s.config.Start()
	if err != nil {
		return err.Error()
	}
	s.processes++
	s.set(Status{State: Running, Process: p})
	attended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var attending sync.WaitGroup
	attending.Go(func() { s.config.Attend(attended, p) })
	select {
	case <-p.done:
	case <-ctx.Done():
		p.End(s.config.Grace)
	}
	cancel()
	attending.Wait()
	return p.exitText()
}

// set reports a new status. Without a reason it has the one before.
func (s *Supervisor) set(now Status) {
	now.Restarts = max(0, s.processes-1)
	s.mu.Lock()
	now.Why = cmp.Or(now.Why, s.status.Why)
	s.status = now
	s.mu.Unlock()
	s.config.Changed(now)
}
