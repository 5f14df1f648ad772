package mesh

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/kube"
)

// Applied is the result of Apply.
type Applied struct {
	// Changed has a line for each object that was created, changed or deleted.
	Changed []string `json:"changed"`
	// Pods is the number of pods that were started and ended, in words; empty when they did not change.
	Pods string `json:"pods,omitempty"`
	// Notes has a line for each field or object that is not applied, with the reason.
	Notes []string `json:"notes,omitempty"`
	// Seconds is the time until every proxy had accepted the change.
	Seconds float64 `json:"seconds"`
	// AwaitEnd waits until the pods that end have ended, or the context ends. Nil: none ends.
	AwaitEnd func(context.Context) `json:"-"`
}

// Apply replaces the manifests of the running mesh, as kubectl apply --prune does, and returns when
// every proxy has accepted its new configuration. Pods that change are replaced: the new ones are ready
// before Services lead to them and before the old ones end. It applies all of the manifests or, after
// an error, none.
func (m *Mesh) Apply(ctx context.Context, objects *manifest.Objects) (Applied, error) {
	m.applying.Lock()
	defer m.applying.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ending, cancel)()
	m.mu.Lock()
	before, failures := m.manifests, len(m.failures)
	m.mu.Unlock()
	if err := m.checkGateways(before, objects); err != nil {
		return Applied{}, err
	}
	if err := Validate(ctx, m.options.Binaries.Istioctl.Path, objects); err != nil {
		return Applied{}, err
	}
	m.need(objects.Revisions())
	defer m.need(nil)
	began := time.Now()
	change, err := m.fleet.Stage(ctx, objects, func(pod local.MeshPod) bool {
		return pod.Proxied && workers(before, &pod) != workers(objects, &pod)
	})
	if err != nil {
		return Applied{}, err
	}
	if err := m.startPods(ctx, change, objects, failures); err != nil {
		change.Abort()
		return Applied{}, err
	}
	notes, err := m.switchTo(ctx, change, before, objects, failures)
	if err != nil {
		if failed := m.restore(change, before); failed != nil {
			return Applied{}, fmt.Errorf("%w; restore the old objects: %w", err, failed)
		}
		return Applied{}, fmt.Errorf("%w; the old objects are restored", err)
	}
	change.Commit()
	return Applied{
		Changed: differences(before, objects), Notes: notes, Pods: change.Pods(), Seconds: time.Since(began).Seconds(), AwaitEnd: change.AwaitEnd,
	}, nil
}

// checkGateways returns an error if the manifests need other gateways, or other threads of them, which
// a running mesh does not change.
func (m *Mesh) checkGateways(before, objects *manifest.Objects) error {
	if !slices.Equal(before.Gateways(), objects.Gateways()) {
		return fmt.Errorf("gateways: %s: must not change while the fleet runs: restart the fleet with these manifests", strings.Join(objects.Gateways(), ", "))
	}
	for i := range m.gateways {
		g := &m.gateways[i]
		if n := kube.Concurrency(objects, kube.RootNamespace, g.Labels()); n != kube.Concurrency(before, kube.RootNamespace, g.Labels()) {
			return fmt.Errorf("ProxyConfig: spec.concurrency: %d for %s: must not change while the fleet runs: restart the fleet with these manifests", n, g.Name)
		}
	}
	return nil
}

// workers returns the number of threads of a pod's proxy.
func workers(objects *manifest.Objects, pod *local.MeshPod) int {
	return kube.Concurrency(objects, pod.Namespace, kube.PodLabels(pod))
}

// startPods starts the new pods of a change with their proxies, under the old manifests.
//
// Their proxies start when istiod has computed the Sidecars of the pods: a proxy that connects before listens at
// 127.0.0.1, at the ports of all services, and rejects the update if any program of this machine has one of them.
func (m *Mesh) startPods(ctx context.Context, change *local.Change, objects *manifest.Objects, failures int) error {
	if len(change.Added()) == 0 {
		return nil
	}
	starting, cancel := context.WithTimeout(ctx, m.options.Local.ReadyTimeout)
	defer cancel()
	if err := m.startRevisions(starting, objects.Revisions()); err != nil {
		return err
	}
	if err := m.publish(); err != nil {
		return err
	}
	proxies := m.sidecars(change.Added())
	if len(proxies) > 0 {
		if err := m.awaitApplied(starting, failures); err != nil {
			return err
		}
	}
	if err := m.runProxies(starting, proxies, objects); err != nil {
		return err
	}
	m.watchAll(proxies)
	for _, p := range proxies {
		m.running.Go(func() { m.watchEjections(p) })
	}
	return change.Run(ctx)
}

// switchTo puts the new manifests in force and returns when every proxy has accepted them. It fails if
// the mesh has more than the given number of failures.
//
// A proxy answers 503 for a route whose cluster it does not have, or whose endpoints it does not know yet.
// So what new routes lead to is added in a first step, and what old routes lead to, old pods included, is
// removed in a last one.
func (m *Mesh) switchTo(ctx context.Context, change *local.Change, before, objects *manifest.Objects, failures int) ([]string, error) {
	if wider, adds := withTargets(objects, before); adds {
		if _, err := m.publishAfter(func() {}, wider); err != nil {
			return nil, err
		}
		if err := m.awaitApplied(ctx, failures); err != nil {
			return nil, err
		}
	}
	between, differs := withTargets(before, objects)
	notes, err := m.publishAfter(change.Join, between)
	if err != nil {
		return nil, err
	}
	if differs || change.EndsPods() {
		if err := m.awaitApplied(ctx, failures); err != nil {
			return nil, err
		}
		if notes, err = m.publishAfter(change.Leave, objects); err != nil {
			return nil, err
		}
	}
	analysis, err := m.awaitAnalyzed(ctx, objects, failures)
	if err == nil {
		err = m.openNodePorts()
	}
	if err != nil {
		return nil, err
	}
	m.progressOnce(slices.Concat(notes, analysis))
	left := local.LeftOut(objects, true)
	others := slices.DeleteFunc(change.Notes(), func(note string) bool { return slices.Contains(left, note) })
	return slices.Concat(left, others, notes, analysis), nil
}

// publishAfter publishes manifests after a change of the pods.
func (m *Mesh) publishAfter(change func(), manifests *manifest.Objects) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	return m.publishLocked(manifests)
}

// restore puts the old manifests in force again.
func (m *Mesh) restore(change *local.Change, before *manifest.Objects) error {
	_, err := m.publishAfter(change.Back, before)
	change.Abort()
	if err != nil {
		return err
	}
	return m.openNodePorts()
}

// differences returns a line for each object that was created, changed or deleted between two sets of manifests.
func differences(before, after *manifest.Objects) []string {
	index := func(objects *manifest.Objects) map[string]manifest.Object {
		found := map[string]manifest.Object{}
		for _, o := range objects.All {
			found[o.Key()] = o
		}
		return found
	}
	old, made := index(before), index(after)
	found := []string{}
	for _, key := range slices.Sorted(maps.Keys(made)) {
		switch was, known := old[key]; {
		case !known:
			found = append(found, made[key].Ref()+" created")
		case was.APIVersion != made[key].APIVersion || !bytes.Equal(was.JSON, made[key].JSON):
			found = append(found, made[key].Ref()+" changed")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, known := made[key]; !known {
			found = append(found, old[key].Ref()+" deleted")
		}
	}
	return found
}
