package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/record"
)

// none reports whether nothing is injected: the run shows what an arm costs.
func (p plan) none() bool { return len(p.fault.Inject) == 0 }

// rulesText is a fault as the records have it: the rules of one injection, or
// "SERVICE: RULES" of each of several.
func rulesText(f experiment.Fault) string {
	var parts []string
	for _, in := range f.Inject {
		parts = append(parts, in.Service+": "+cmp.Or(in.Rules, string(in.Action)))
	}
	if len(parts) == 1 {
		return strings.TrimPrefix(parts[0], f.Inject[0].Service+": ")
	}
	return strings.Join(parts, " + ")
}

// replicas is the number of pods of the services that have the fault.
func (r *running) replicas() int {
	names := sets.New[string]()
	for _, in := range r.fault.Inject {
		pods, _ := faults.Find(r.fleet.Pods(), in.Service) // the timeline has the error
		for _, pod := range pods {
			names.Insert(pod.Name)
		}
	}
	return len(names)
}

// tryRules sets the rules of each injection in one pod, and clears them: a mistake
// in them is one of the experiment.
func (r *running) tryRules(ctx context.Context) error {
	for j, in := range r.fault.Inject {
		pods, err := faults.Find(r.fleet.Pods(), in.Service)
		if err != nil {
			return err
		}
		if in.Rules == "" {
			continue
		}
		state, err := r.fleet.admin().Get(ctx, pods[0])
		if err == nil {
			err = r.set(ctx, pods[0], in.Rules)
		}
		if err == nil {
			err = r.restore(pods[0], state.Text())
		}
		if _, away := errors.AsType[*net.OpError](err); away { // the pod, and no mistake
			return err
		}
		if err != nil {
			return r.e.Problem(r.o.injection(r.fault, j)+".rules", "%v", err)
		}
	}
	return nil
}

// connectTwice returns an error if an injection, with the earlier ones into the same
// pods, has several rules of connections: a pod's relay takes one.
func connectTwice(earlier []experiment.Injection, in experiment.Injection) error {
	_, rules := faults.Split(in.Rules)
	if rules == "" {
		return nil
	}
	for _, other := range earlier {
		a, b := other.Replicas.Names, in.Replicas.Names
		apart := len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
		if _, more := faults.Split(other.Rules); more != "" && bareName(other.Service) == bareName(in.Service) && !apart {
			rules = more + ";" + rules
		}
	}
	if strings.Contains(rules, ";") {
		_, err := local.ParseConnect(rules)
		return err
	}
	return nil
}

// victims are the pods that an injection is for.
func (r *running) victims(in experiment.Injection) ([]local.Pod, error) {
	pods, err := faults.Find(r.fleet.Pods(), in.Service)
	if err != nil {
		return nil, err
	}
	if len(in.Replicas.Names) == 0 {
		return r.busiest(pods)[:in.Replicas.N(len(pods))], nil
	}
	var named []local.Pod
	for _, name := range in.Replicas.Names {
		i := slices.IndexFunc(pods, func(p local.Pod) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("replicas: %s: must be a pod of %s", name, in.Service)
		}
		named = append(named, pods[i])
	}
	return named, nil
}

// busiest sorts pods by how much of the load they received so far. A caller that
// does not balance uses one connection; a fault in the other replica would be met
// by no request, and the run would say nothing about it. Vehicles' reports count
// only where nothing is read.
func (r *running) busiest(pods []local.Pod) []local.Pod {
	counters := record.NewCounters(r.seen.Samples)
	received := func(pod local.Pod, method string) float64 {
		ofPod := func(name string) bool { return name == pod.Name }
		has := func(n record.Count) bool { return n.Name == record.CountServer && strings.HasPrefix(n.Of, method) }
		return counters.Sum(ofPod, has, record.WholeRun)
	}
	sorted := slices.Clone(pods)
	slices.SortStableFunc(sorted, func(a, b local.Pod) int {
		return cmp.Or(cmp.Compare(received(b, "GET "), received(a, "GET ")), cmp.Compare(received(b, ""), received(a, "")))
	})
	return sorted
}

// timeline injects the fault and ends it, with samples all along.
func (r *running) timeline(ctx context.Context) error {
	if r.none() {
		return r.sampleUntil(ctx, r.lasts())
	}
	phases := r.e.Phases
	if err := r.sampleUntil(ctx, time.Duration(phases.Healthy)); err != nil {
		return err
	}
	inject, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	end, err := r.inject(inject, &beside)
	if err != nil {
		return fmt.Errorf("set the fault: %w", err)
	}
	err = r.sampleUntil(ctx, time.Duration(phases.Healthy+phases.Fault))
	stop()
	beside.Wait()
	if failed := end(); err == nil && failed != nil {
		err = fmt.Errorf("clear the fault: %w", failed)
	}
	if err != nil {
		return err
	}
	return r.sampleUntil(ctx, r.lasts())
}

// inject begins the fault. Rules come before actions: a pod that was stopped or killed
// takes none. What goes on until ctx ends runs beside; end is called afterwards.
func (r *running) inject(ctx context.Context, beside *sync.WaitGroup) (end func() error, err error) {
	rules, acts := map[string]string{}, []func() error{}
	for _, in := range r.fault.Inject {
		pods, err := r.victims(in)
		if err != nil {
			return nil, err
		}
		for _, pod := range pods {
			if !slices.Contains(r.seen.Pods, pod.Name) {
				r.seen.Pods = append(r.seen.Pods, pod.Name)
			}
			if rules[pod.Name] != "" && in.Rules != "" {
				rules[pod.Name] += ";"
			}
			rules[pod.Name] += in.Rules
		}
		if in.Action != "" {
			acts = append(acts, func() error { return r.act(ctx, beside, in.Action, pods) })
		}
	}
	end, err = r.setAll(ctx, beside, rules)
	for _, act := range acts {
		if err == nil {
			err = act()
		}
	}
	return end, err
}

// setAll sets the rules of each pod, those of all injections together, and again when
// it restarts. end restores those that the pods had before.
func (r *running) setAll(ctx context.Context, beside *sync.WaitGroup, rules map[string]string) (end func() error, err error) {
	var pods []local.Pod
	before := map[string]string{} // rules of the manifests' FAULTS, which come back
	for _, pod := range r.fleet.Pods() {
		own := rules[pod.Name]
		if own == "" {
			continue
		}
		state, err := r.fleet.admin().Get(ctx, pod)
		if err == nil {
			err = r.set(ctx, pod, own)
		}
		if err != nil {
			return nil, err
		}
		pods, before[pod.Name] = append(pods, pod), state.Text()
		r.note(record.EventFaultSet, fmt.Sprintf("%s: %s", pod.Name, own))
		beside.Go(func() { r.setAgain(ctx, pod, own) })
	}
	return func() error {
		for _, pod := range pods {
			if err := r.restore(pod, before[pod.Name]); err != nil {
				return err
			}
			r.note(record.EventFaultCleared, strings.TrimSuffix(pod.Name+": "+before[pod.Name], ": "))
		}
		return nil
	}, nil
}

// set sets the rules of a pod, and those of its connections, which the launcher
// has.
func (r *running) set(ctx context.Context, pod local.Pod, rules string) error {
	ofPod, ofConnect := faults.Split(rules)
	if ofConnect != "" {
		fault, err := local.ParseConnect(ofConnect)
		if err != nil {
			return err
		}
		if _, err := r.fleet.SetConnect(pod.Name, &fault); err != nil {
			return err
		}
	}
	if ofPod == "" {
		return nil
	}
	_, err := r.fleet.admin().Set(ctx, pod, ofPod)
	return err
}

// relayed reports whether the fault has rules of connections, for which each pod
// has a relay.
func (p plan) relayed() bool {
	return slices.ContainsFunc(p.fault.Inject, func(in experiment.Injection) bool {
		_, ofConnect := faults.Split(in.Rules)
		return ofConnect != ""
	})
}

// restore gives a pod the rules that it had before. One that has restarted has
// them already.
func (r *running) restore(pod local.Pod, before string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := r.fleet.SetConnect(pod.Name, nil); err != nil {
		return err
	}
	_, err := r.fleet.admin().Set(ctx, r.now(pod), before)
	if now := r.now(pod); !now.Started.Equal(pod.Started) {
		return nil
	}
	return err
}

// now returns the pod as it is: on a cluster, one that was deleted is replaced by one with
// another address.
func (r *running) now(pod local.Pod) local.Pod {
	for _, now := range r.fleet.Pods() {
		if now.Name == pod.Name {
			return now
		}
	}
	return pod
}

// setAgain sets the rules of a pod whenever it has restarted without them.
func (r *running) setAgain(ctx context.Context, pod local.Pod, rules string) {
	for event := range r.fleet.Events(ctx) {
		now := r.now(pod)
		if event.Pod != pod.Name || event.Kind != local.Ready || now.Started.Equal(pod.Started) {
			continue
		}
		if r.set(ctx, now, rules) == nil {
			pod.Started = now.Started
			r.note(record.EventFaultSet, fmt.Sprintf("%s again: %s", pod.Name, rules))
		}
	}
}

// act carries out an action of the launcher.
func (r *running) act(ctx context.Context, beside *sync.WaitGroup, action experiment.Action, pods []local.Pod) error {
	kind, lasts, err := action.Parse()
	if err != nil {
		return err
	}
	if kind == experiment.Roll {
		beside.Go(func() { r.roll(ctx, pods) })
		return nil
	}
	sig := syscall.SIGKILL
	if kind == experiment.Stop {
		sig = syscall.SIGSTOP
	}
	for _, pod := range pods {
		if _, err := r.fleet.Kill(pod.Name, sig); err != nil {
			return err
		}
		r.note(record.EventFaultSet, fmt.Sprintf("%s: %s", pod.Name, action))
		if kind == experiment.Stop {
			beside.Go(func() {
				_ = process.Sleep(ctx, lasts)
				_, _ = r.fleet.Kill(pod.Name, syscall.SIGCONT) // a pod that was killed meanwhile has restarted
				r.note(record.EventFaultCleared, pod.Name)
			})
		}
	}
	return nil
}

// roll ends pods one after the other, each when the one before it is ready
// again.
func (r *running) roll(ctx context.Context, pods []local.Pod) {
	for _, pod := range pods {
		since := time.Now()
		r.note(record.EventFaultSet, pod.Name+": roll")
		if _, err := r.fleet.Kill(pod.Name, syscall.SIGTERM); err != nil {
			return
		}
		for event := range r.fleet.Events(ctx) {
			if event.Pod == pod.Name && event.Kind == local.Ready && event.Time.After(since) {
				break
			}
		}
		r.note(record.EventFaultCleared, pod.Name)
	}
}
