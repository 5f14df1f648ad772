package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Pod is what a pod is like at one moment.
type Pod struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Deployment string `json:"deployment"`
	Program    string `json:"program"`
	Image      string `json:"image"`
	Variant    string `json:"variant,omitempty"`
	// Address is the pod's IP, Port where its program listens (0: nowhere),
	// DeclaredPort what the manifests say, AdminPort where its probes are.
	Address      string `json:"address"`
	Port         int    `json:"port"`
	DeclaredPort int    `json:"declaredPort"`
	AdminPort    int    `json:"adminPort"`
	// AppAddress is where the program itself listens when a proxy has the
	// pod's address; empty without a proxy.
	AppAddress string `json:"appAddress,omitempty"`
	// AdminTokenFile holds the bearer token that changes by the admin listener
	// need; empty when --set gives the pod another.
	AdminTokenFile string `json:"adminTokenFile,omitempty"`

	State    string    `json:"state"` // running, terminating, waiting, stopped
	Ready    bool      `json:"ready"`
	Restarts int       `json:"restarts"`
	PID      int       `json:"pid,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Log      string    `json:"log"` // file
}

// pod keeps one replica running.
type pod struct {
	plan    *podPlan
	fleet   *Fleet
	program string // path
	log     *os.File

	// The fleet's mutex guards these.
	proc        *Process // nil between two processes
	terminating bool     // this process is being ended
	deleted     bool     // and its proxy with it
	answers     bool     // by its readiness probe
	proxyDown   bool
	ready       bool // in the endpoints
	everReady   bool
	restarts    int
	state       string
	lastExit    string
}

// run starts the process and starts it again whenever it ends, until the fleet
// stops.
func (p *pod) run() {
	pause := backoff{first: p.fleet.options.RestartBackoff}
	for first := true; ; first = false {
		proc, err := p.start(first)
		if err != nil {
			if err != errStopping {
				p.fleet.fail(fmt.Errorf("pod %s: starting %s: %w", p.plan.id(), p.program, err))
			}
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		var probes sync.WaitGroup
		p.startProbes(ctx, &probes, proc)
		<-proc.done
		cancel()
		probes.Wait()

		delay := pause.delay(time.Since(proc.started))
		last, deleted := p.exited(proc, delay)
		if last {
			return
		}
		if deleted {
			p.fleet.options.Mesh.Ended(p.plan.id(), p.fleet.stopping)
		}
		select {
		case <-time.After(delay):
		case <-p.fleet.stopping:
			return
		}
	}
}

// start holds the fleet's mutex, so that no process starts once the fleet
// stops.
func (p *pod) start(first bool) (*Process, error) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil, errStopping
	}
	cmd := exec.Command(p.program)
	cmd.Dir = f.options.State
	cmd.Env = p.plan.processEnv(f.options.Environ)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	proc, err := f.spawner.start(cmd)
	if err != nil {
		return nil, err
	}
	if !first {
		p.restarts++
	}
	p.proc, p.terminating, p.deleted, p.answers, p.ready, p.state = proc, false, false, false, false, "running"
	f.note(p, Started, fmt.Sprintf("process %d", proc.pid))
	return proc, nil
}

// startProbes obeys the manifest's; a pod without a readiness probe is ready
// when its port accepts a connection, or at once when it has no port.
func (p *pod) startProbes(ctx context.Context, wg *sync.WaitGroup, proc *Process) {
	wg.Go(func() {
		if startup := p.plan.startup; startup != nil && !p.awaitStartup(ctx, startup, proc) {
			return
		}
		if live := p.plan.liveness; live != nil {
			wg.Go(func() {
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
	})
}

// awaitStartup is true when the probe has succeeded; it ends the process when
// the probe has failed for as long as it may.
func (p *pod) awaitStartup(ctx context.Context, startup *probe, proc *Process) bool {
	waiting, cancel := context.WithTimeout(ctx, startup.delay+time.Duration(startup.failures)*startup.period)
	defer cancel()
	started := false
	startup.watch(waiting, true, func(bool, error) { started = true; cancel() })
	if !started && ctx.Err() == nil {
		p.terminate(proc, "startup probe failed", false)
	}
	return started
}

func (p *pod) setReady(proc *Process, ready bool, why error) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.proc != proc || p.terminating || f.stopped || p.answers == ready {
		return
	}
	p.answers = ready
	p.join(fmt.Sprintf("readiness probe failed: %v", why))
}

// join brings the endpoints in line with what is known of the pod, with the
// fleet's mutex held; why is for the case that it leaves.
func (p *pod) join(why string) {
	ready := p.answers && !p.proxyDown && !p.terminating && !p.fleet.stopped
	if p.ready == ready {
		return
	}
	p.ready = ready
	p.everReady = p.everReady || ready
	p.fleet.publish()
	if ready {
		p.fleet.note(p, Ready, fmt.Sprintf("after %d ms", time.Since(p.proc.started).Milliseconds()))
		return
	}
	p.fleet.note(p, NotReady, why)
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
func (p *pod) terminate(proc *Process, why string, deleted bool) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.proc != proc || p.terminating || f.stopped {
		return
	}
	p.terminating, p.state = true, "terminating"
	p.deleted = deleted && f.options.Mesh != nil
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
			timer := time.NewTimer(step.after)
			defer timer.Stop()
			select {
			case <-proc.done:
				return
			case <-f.stopping: // Stop has its own, shorter, grace
				return
			case <-timer.C:
				if gone && step.send == syscall.SIGTERM {
					f.options.Mesh.Ending(p.plan.id())
				}
				_ = proc.Signal(step.send)
			}
		}
	}()
}

// exited notes the end of the process; last is true when there will be no
// other, deleted when the pod's proxy is to end too.
func (p *pod) exited(proc *Process, delay time.Duration) (last, deleted bool) {
	f := p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	p.lastExit = proc.How()
	f.note(p, Exited, p.lastExit)
	p.leave("its process has exited")
	p.proc = nil
	if f.stopped {
		p.state = "stopped"
		return true, false
	}
	p.state = "waiting"
	if delay > 0 {
		f.note(p, Waiting, fmt.Sprintf("restart in %v", delay))
	}
	if !p.everReady && p.restarts+1 >= maxEarlyExits {
		f.fail(&NotReadyError{
			Pod: p.plan.id(), Why: fmt.Sprintf("exited %d times before it was ready, last with %s", p.restarts+1, p.lastExit),
			Log: p.log.Name(), Last: LastLines(p.log.Name(), 10),
		})
	}
	return false, p.deleted
}

func (p *pod) snapshot() Pod {
	s := Pod{
		Name: p.plan.id(), Namespace: p.plan.namespace, Deployment: p.plan.deployment, Program: p.plan.program,
		Image: p.plan.image, Variant: p.plan.variant, Address: p.plan.ip.String(),
		Port: p.plan.listen, DeclaredPort: p.plan.want, AdminPort: p.plan.admin,
		State: p.state, Ready: p.ready, Restarts: p.restarts, Log: p.log.Name(),
	}
	if p.plan.proxied && p.plan.listen != 0 {
		s.AppAddress = p.plan.app.String()
	}
	if o := &p.fleet.options; o.adminToken != "" && p.plan.env[adminToken] == o.adminToken {
		s.AdminTokenFile = adminTokenFile(o.State)
	}
	if p.proc != nil {
		s.PID, s.Started = p.proc.pid, p.proc.started
	}
	return s
}
