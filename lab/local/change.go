package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"fleetman.example/lab/manifest"
)

// Change replaces the manifests of a running fleet. Pods that are the same run on.
// The others are replaced: the new ones run beside the old ones, outside of the
// endpoints, until Join. A Change ends with Commit or Abort.
type Change struct {
	fleet          *Fleet
	from, to       *plan
	added, removed []*pod
	opened         []*openNodePort
	switched       bool
}

// Stage prepares the change to other manifests: it builds programs and takes
// addresses and ports, and starts nothing. Pods for which replace returns true are
// replaced, too. After an error nothing has changed.
func (f *Fleet) Stage(ctx context.Context, objects *manifest.Objects, replace func(MeshPod) bool) (*Change, error) {
	o := f.options
	known, err := findPrograms(o.Root, o.Bin)
	if err != nil {
		return nil, err
	}
	c, err := f.compare(objects, known, replace)
	if err != nil {
		return nil, err
	}
	bin, err := o.programs(ctx, programsOf(c.fresh()))
	if err != nil {
		return nil, err
	}
	if err := c.open(bin); err != nil {
		c.Abort()
		return nil, err
	}
	return c, nil
}

// compare plans the manifests.
func (f *Fleet) compare(objects *manifest.Objects, known programs, replace func(MeshPod) bool) (*Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil, errStopping
	}
	l := f.layout(thisHost())
	l.replace = replace
	to, err := l.plan(objects, f.options, known)
	if err != nil {
		return nil, err
	}
	c := &Change{fleet: f, from: f.plan, to: to}
	for _, p := range f.pods {
		if !p.held && !slices.Contains(to.pods, p.plan) {
			c.removed = append(c.removed, p)
		}
	}
	return c, nil
}

var errStopping = errors.New("the fleet stops")

// fresh returns the plans of the new pods.
func (c *Change) fresh() []*podPlan {
	return slices.DeleteFunc(slices.Clone(c.to.pods), func(p *podPlan) bool { return slices.Contains(c.from.pods, p) })
}

// open makes the new pods, and opens what leads to them.
func (c *Change) open(bin string) error {
	f := c.fleet
	fresh := &plan{later: true, pods: c.fresh()}
	for _, planned := range fresh.pods {
		p := f.newPod(planned, bin)
		p.held = true
		c.added = append(c.added, p)
	}
	taken, err := claim(fresh, f.options)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.claims.add(taken)
	f.mu.Unlock()
	for _, p := range c.added {
		if err := p.open(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.pods = append(f.pods, c.added...)
	err = f.writeHosts() // for new namespaces
	f.mu.Unlock()
	if err != nil {
		return err
	}
	c.opened, err = f.openPorts(c.to)
	return err
}

// Added returns the new pods.
func (c *Change) Added() []MeshPod { return collect(c.added, (*pod).meshPod) }

// Pods describes how many pods are started and ended, or is empty.
func (c *Change) Pods() string {
	return PodsChanged(len(c.added), len(c.removed))
}

// PodsChanged describes how many pods a change has started and ended, or is empty.
func PodsChanged(started, ended int) string {
	switch {
	case started+ended == 0:
		return ""
	case started == 1:
		return fmt.Sprintf("1 pod started, %d ended", ended)
	}
	return fmt.Sprintf("%d pods started, %d ended", started, ended)
}

// Notes returns the notes of the manifests that those before did not have, one line each.
func (c *Change) Notes() []string {
	return slices.DeleteFunc(slices.Clone(c.to.notes), func(note string) bool { return slices.Contains(c.from.notes, note) })
}

// Run starts the new pods and returns when all of them are ready.
func (c *Change) Run(ctx context.Context) error {
	f := c.fleet
	f.mu.Lock()
	if f.stopped {
		f.mu.Unlock()
		return errStopping
	}
	for _, p := range c.added {
		p.run()
	}
	f.mu.Unlock()
	return f.await(ctx, "", c.added, func(p *pod) bool { return p.answers && p.proxyDown == "" })
}

// Join puts the new manifests in force: Services and node ports lead to the new pods,
// too.
func (c *Change) Join() {
	c.swap(c.to, c.added, nil)
	c.switched = true
}

// Leave takes the old pods out of the Services, after Join. They run on, for the
// requests in flight and for Back.
func (c *Change) Leave() { c.swap(c.to, nil, c.removed) }

// Back undoes Join and Leave.
func (c *Change) Back() {
	c.swap(c.from, c.removed, c.added)
	c.switched = false
}

// EndsPods reports whether pods end.
func (c *Change) EndsPods() bool { return len(c.removed) > 0 }

func (c *Change) swap(to *plan, in, out []*pod) {
	f := c.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = to
	var others []*pod
	byPlan := map[*podPlan]*pod{}
	for _, p := range f.pods {
		byPlan[p.plan] = p
		if !slices.Contains(to.pods, p.plan) {
			others = append(others, p)
		}
	}
	f.pods = nil
	for _, planned := range to.pods {
		f.pods = append(f.pods, byPlan[planned])
	}
	f.pods = append(f.pods, others...)
	for _, p := range out {
		p.held = true
	}
	for _, p := range in {
		p.held = false
	}
	moved := slices.DeleteFunc(slices.Concat(out, in), func(p *pod) bool { return !p.update("not in the manifests in force") })
	f.publish()
	for _, p := range moved {
		p.announce()
	}
}

// Commit ends the old pods, as a cluster does, and returns at once.
func (c *Change) Commit() {
	for _, p := range c.removed {
		p.retire("removed by other manifests")
	}
	c.fleet.closeNodes(func(node *openNodePort) bool { return node.key != "" && !c.to.hasNodePort(node.key) })
}

// AwaitEnd waits, after Commit, until the old pods have ended, or the context ends.
func (c *Change) AwaitEnd(ctx context.Context) {
	for _, p := range c.removed {
		select {
		case <-p.removed:
		case <-c.fleet.finished:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Abort ends the new pods, and returns at once. It undoes Join first.
func (c *Change) Abort() {
	if c.switched {
		c.Back()
	}
	for _, p := range c.added {
		p.retire("the change is undone")
	}
	c.fleet.closeNodes(func(node *openNodePort) bool { return slices.Contains(c.opened, node) })
}

// retire ends a pod for good. It does not wait. Without a process, as before its
// start, it ends at once.
func (p *pod) retire(why string) {
	f := p.fleet
	p.supervisor.Retire()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return // it ends with the fleet
	}
	proc := p.status.Process
	if proc == nil && p.cancel != nil {
		p.cancel()
	}
	f.running.Go(func() {
		if proc != nil {
			p.terminate(proc, why, true)
		}
		if p.ended != nil {
			<-p.ended
		}
		if p.sidecar != nil {
			p.sidecar.End(f.ending)
		}
		f.remove(p)
	})
}

// remove forgets a pod that has ended.
func (f *Fleet) remove(p *pod) {
	p.close()
	defer close(p.removed) // after the unlock
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods = slices.DeleteFunc(f.pods, func(other *pod) bool { return other == p })
	f.claims.free(addressesOfPod(p.plan))
	f.updateStates()
	if !slices.Contains(f.namespaces(), p.plan.Namespace) {
		_ = os.Remove(hostsFile(f.options.State, p.plan.Namespace))
	}
}
