package local

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/process"
)

// Pod is a pod at one moment.
type Pod struct {
	Name       string            `json:"name"`
	Namespace  string            `json:"namespace"`
	Deployment string            `json:"deployment"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Services are those that select the pod.
	Services []string `json:"services,omitempty"`
	Program  string   `json:"program"`
	Image    string   `json:"image"`
	Variant  string   `json:"variant,omitempty"`
	// Address is the pod's IP, Port where its program listens (0: nowhere),
	// DeclaredPort what the manifests say, AdminPort where its probes are.
	Address      string `json:"address"`
	Port         int    `json:"port"`
	DeclaredPort int    `json:"declaredPort"`
	AdminPort    int    `json:"adminPort"`
	// AppAddress is where the program itself listens when a proxy has the
	// pod's address; empty without a proxy.
	AppAddress string `json:"appAddress,omitempty"`
	// Revision is that of the control plane whose webhook has given the pod its proxy; empty without a proxy.
	Revision string `json:"revision,omitempty"`
	// Relayed reports whether a relay of the launcher passes the connections to
	// Port on, so that they can meet a ConnectFault.
	Relayed bool `json:"relayed,omitempty"`
	// AdminTokenFile holds the bearer token that changes by the admin listener
	// need; empty when --set gives the pod another.
	AdminTokenFile string `json:"adminTokenFile,omitempty"`

	State string `json:"state"` // running, terminating, waiting, given up, stopped
	Ready bool   `json:"ready"`
	// Why is why the pod is not ready, as far as it is known.
	Why string `json:"why,omitempty"`
	// NextTry is when a pod that waits is started again.
	NextTry  time.Time `json:"nextTry,omitzero"`
	Restarts int       `json:"restarts"`
	PID      int       `json:"pid,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Log      string    `json:"log"` // file
	// Faults are the pod's fault rules. They are empty unless the caller has read them.
	Faults string `json:"faults,omitempty"`
}

// pod keeps one replica running.
type pod struct {
	plan       *podPlan
	fleet      *Fleet
	program    string // path
	log        *os.File
	supervisor *process.Supervisor
	relay      *relay // of its port; nil without
	relays     []*relay
	forwards   []*forwarder
	cancel     context.CancelFunc // ends its process; nil before run
	ended      chan struct{}      // closed when it has ended for good; nil before run
	removed    chan struct{}      // closed when it is no pod of the fleet any more

	// The fleet's mutex guards these.
	sidecar     Sidecar        // nil: none
	held        bool           // outside of the endpoints: not in the plan in force
	gaveUp      error          // why it is not started again
	logged      int64          // the size of its log when its process started
	status      process.Status // as the supervisor last reported it
	terminating bool           // this process is being ended
	deleted     bool           // and its proxy with it
	answers     bool           // by its readiness probe
	proxyDown   string         // why its proxy does not work; empty: it does
	ready       bool           // in the endpoints
	why         string         // it is not ready
}

// newPod returns a pod that can run, after open.
func (f *Fleet) newPod(planned *podPlan, bin string) *pod {
	p := &pod{plan: planned, fleet: f, program: filepath.Join(bin, planned.program), removed: make(chan struct{})}
	p.status.State = process.Waiting
	p.supervisor = process.New(process.Config{
		Start: p.start, Attend: p.probe, BeforeRestart: p.replaceProxy, Changed: p.changed,
		Backoff: f.options.RestartBackoff, Tries: maxEarlyExits, Grace: f.options.StopTimeout,
	})
	return p
}

// open opens the pod's log and what listens for it.
func (p *pod) open() (err error) {
	if p.log, err = openLog(p.fleet.options.State, p.plan.ID); err != nil {
		return err
	}
	if err := p.openForwards(); err != nil {
		return err
	}
	return p.openRelays()
}

// openForwards opens the ports of its Services that differ from its own.
func (p *pod) openForwards() error {
	unprivileged := thisHost().firstUnprivileged
	for _, pair := range p.plan.forwards {
		if pair.from < unprivileged {
			p.fleet.options.Progress(fmt.Sprintf("pod %s: port %d needs root; it answers on %s, and by its NodePort",
				p.plan.ID, pair.from, p.plan.address(pair.to)))
			continue
		}
		to := p.plan.address(pair.to)
		opened, err := newForwarder(p.plan.address(pair.from), func() (string, bool) { return to, true })
		if err != nil {
			return fmt.Errorf("pod %s: port %d of its Service: %w", p.plan.ID, pair.from, explainListen(err, p.plan.IP, "--network"))
		}
		p.forwards = append(p.forwards, opened)
	}
	return nil
}

// close undoes open.
func (p *pod) close() {
	for _, forward := range p.forwards {
		forward.close()
	}
	for _, relay := range p.relays {
		relay.close()
	}
	if p.log != nil {
		p.log.Close()
	}
	if p.plan.Proxied {
		_ = os.Remove(p.plan.HostsFile) // the others share one
	}
}

// run starts the pod, until the fleet ends or it is retired.
func (p *pod) run() {
	ctx, cancel := context.WithCancel(p.fleet.ending)
	p.cancel, p.ended = cancel, make(chan struct{})
	p.fleet.running.Go(func() {
		defer close(p.ended)
		defer cancel()
		p.supervisor.Run(ctx)
	})
}

func (p *pod) start() (*process.Process, error) {
	f := p.fleet
	if info, err := p.log.Stat(); err == nil {
		f.mu.Lock()
		p.logged = info.Size()
		f.mu.Unlock()
	}
	cmd := exec.Command(p.program)
	cmd.Dir = f.options.State
	cmd.Env = p.plan.processEnv(f.options.Environ)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	return f.spawner.Start(cmd)
}

// changed keeps the endpoints and the events in line with the supervisor.
func (p *pod) changed(now process.Status) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	was := p.status
	p.status = now
	if was.Process != nil {
		f.note(p, Exited, now.Why)
		p.leave("its process has exited")
	}
	p.terminating = false
	switch now.State {
	case process.Running:
		p.deleted, p.answers, p.ready, p.why = false, false, false, ""
		f.note(p, Started, fmt.Sprintf("process %d", now.Process.PID()))
	case process.Waiting:
		switch delay := time.Until(now.Next).Round(time.Millisecond); {
		case was.Process == nil: // it could not be started
			f.note(p, Waiting, fmt.Sprintf("%s: next try in %v", now.Why, max(delay, 0)))
		case delay > 0:
			f.note(p, Waiting, fmt.Sprintf("restart in %v", delay))
		}
	case process.GivenUp:
		f.note(p, GivenUp, now.Why)
		p.gaveUp = p.notReady(now.String())
		signal(f.starting)
	case process.Stopped:
	}
}

// replaceProxy gives the next process of a deleted pod a new proxy.
func (p *pod) replaceProxy(ctx context.Context) {
	f := p.fleet
	f.mu.Lock()
	deleted := p.deleted
	f.mu.Unlock()
	if deleted {
		p.sidecar.Replace(ctx)
	}
}

// probe runs the manifest's probes; a pod without a readiness probe is ready
// when its port accepts a connection, or at once when it has no port.
func (p *pod) probe(ctx context.Context, proc *process.Process) {
	if startup := p.plan.startup; startup != nil && !p.awaitStartup(ctx, startup, proc) {
		return
	}
	var living sync.WaitGroup
	defer living.Wait()
	if live := p.plan.liveness; live != nil {
		living.Go(func() {
			live.watch(ctx, false, func(ok bool, err error) {
				if !ok {
					p.terminate(proc, fmt.Sprintf("liveness probe failed: %v", err), false)
				}
			})
		})
	}
	switch ready := p.plan.readiness; {
	case ready != nil:
		ready.watch(ctx, true, func(ok bool, err error) { p.setReady(proc, ok, err) })
	case p.plan.listen != 0:
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		accepts := &probe{check: tcpCheck(p.plan.app.String(), time.Second), successes: 1}
		accepts.watch(ctx, true, func(bool, error) { p.setReady(proc, true, nil); cancel() })
	default:
		p.setReady(proc, true, nil)
	}
}

// awaitStartup reports whether the startup probe has succeeded; it ends the process when
// the probe has failed for as long as it may.
func (p *pod) awaitStartup(ctx context.Context, startup *probe, proc *process.Process) bool {
	waiting, cancel := context.WithTimeout(ctx, startup.delay+time.Duration(startup.failures)*startup.period)
	defer cancel()
	started := false
	startup.watch(waiting, true, func(bool, error) { started = true; cancel() })
	if !started && ctx.Err() == nil {
		p.terminate(proc, "startup probe failed", false)
	}
	return started
}

func (p *pod) setReady(proc *process.Process, ready bool, why error) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.status.Process != proc || p.terminating || f.stopped || p.answers == ready {
		return
	}
	p.answers = ready
	p.join(fmt.Sprintf("readiness probe failed: %v", why))
}

// join brings the endpoints in line with what is known of the pod, with the
// fleet's mutex held; why is for the case that it leaves.
func (p *pod) join(why string) {
	signal(p.fleet.starting)
	if p.update(why) {
		p.fleet.publish()
		p.announce()
	}
}

// update sets whether the pod is in the endpoints, and reports whether that is a
// change.
func (p *pod) update(why string) bool {
	ready := p.answers && p.proxyDown == "" && !p.terminating && !p.held && !p.fleet.stopped
	changed := p.ready != ready
	p.ready, p.why = ready, why
	return changed
}

// announce makes the event of a change that is published.
func (p *pod) announce() {
	if !p.ready {
		p.fleet.note(p, NotReady, p.why)
		return
	}
	p.supervisor.Settle()
	p.fleet.note(p, Ready, fmt.Sprintf("after %d ms", time.Since(p.status.Process.Started()).Milliseconds()))
}

// signal sends to a channel of size 1 unless it is full.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// leave takes the pod out of its Services' endpoints, with the fleet's mutex
// held.
func (p *pod) leave(why string) {
	p.answers = false
	p.join(why)
}

// terminate ends the process as a cluster does: out of the endpoints, preStop,
// SIGTERM, and SIGKILL at the end of the grace period. It does not wait. A pod
// that is deleted has a new proxy afterwards, one whose container is restarted
// keeps its own.
func (p *pod) terminate(proc *process.Process, why string, deleted bool) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.status.Process != proc || p.terminating || f.stopped {
		return
	}
	p.terminating = true
	p.deleted = deleted && p.sidecar != nil
	gone := p.deleted
	f.note(p, Terminating, why)
	p.leave(why)
	go func() {
		for _, step := range []struct {
			after time.Duration
			send  syscall.Signal
		}{
			{p.plan.preStop, syscall.SIGTERM},
			{p.plan.grace - p.plan.preStop, syscall.SIGKILL},
		} {
			select {
			case <-proc.Done():
				return
			case <-f.ending.Done(): // the supervisor has its own, shorter, grace period
				return
			case <-time.After(step.after):
				if gone && step.send == syscall.SIGTERM {
					p.sidecar.Drain()
				}
				_ = proc.Signal(step.send)
			}
		}
	}()
}

func (p *pod) snapshot() Pod {
	s := Pod{
		Name: p.plan.ID, Namespace: p.plan.Namespace, Deployment: p.plan.Deployment.Name, Labels: p.plan.Labels, Program: p.plan.program,
		Image: p.plan.image, Variant: p.plan.variant, Address: p.plan.IP.String(),
		Port: p.plan.listen, DeclaredPort: p.plan.want, AdminPort: p.plan.admin,
		Revision: p.plan.Revision, Relayed: p.relay != nil, State: string(p.status.State), Ready: p.ready, NextTry: p.status.Next, Restarts: p.status.Restarts, Log: p.log.Name(),
	}
	if p.plan.Proxied && p.plan.listen != 0 {
		s.AppAddress = p.plan.app.String()
	}
	if o := &p.fleet.options; o.adminToken != "" && p.plan.env[adminToken] == o.adminToken {
		s.AdminTokenFile = adminTokenFile(o.State)
	}
	for i := range p.fleet.plan.services {
		if service := &p.fleet.plan.services[i]; service.selects(p.plan) {
			s.Services = append(s.Services, service.name)
		}
	}
	switch proc := p.status.Process; {
	case proc == nil:
		s.Why = p.status.Why
	default:
		s.PID, s.Started = proc.PID(), proc.Started()
		if p.terminating {
			s.State = "terminating"
		}
		if !p.ready {
			s.Why = cmp.Or(p.proxyDown, p.why)
		}
		if p.fleet.stale != "" {
			s.Ready, s.Why = false, p.fleet.stale
		}
	}
	return s
}
