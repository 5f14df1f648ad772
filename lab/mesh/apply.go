package mesh

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/process"
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
	if err := m.startPods(ctx, change, objects); err != nil {
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
func (m *Mesh) startPods(ctx context.Context, change *local.Change, objects *manifest.Objects) error {
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
	proxies := sidecars(change.Added())
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
	var analysis []string
	var analyzing sync.WaitGroup
	analyzing.Go(func() { analysis = m.analyze(ctx, objects) })
	if err = m.awaitApplied(ctx, failures); err == nil {
		err = m.openNodePorts()
	}
	analyzing.Wait() // before the old objects may be restored
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
			found[strings.Join([]string{schema.FromAPIVersionAndKind(o.APIVersion, "").Group, o.Kind, o.Namespace, o.Name}, "|")] = o
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

const (
	// appliedWithin bounds the time until every proxy has accepted a change: three hundred times what it
	// takes on an idle machine.
	appliedWithin = time.Minute
	// debounce is how long istiod waits for further changes before it sends one to the proxies.
	debounce = 100 * time.Millisecond
)

// awaitApplied returns when each istiod has the published version of every Istio object and every proxy is
// in sync. An object that istiod does not have would not be applied, so it is an error. So is a
// failure of the mesh, except for the first ones, whose number is given.
func (m *Mesh) awaitApplied(ctx context.Context, failures int) error {
	ctx, cancel := context.WithTimeout(ctx, appliedWithin)
	defer cancel()
	var waiting error
	complete := time.Time{} // when istiod had every object
	for {
		switch missing, err := m.missing(ctx); {
		case err != nil:
			if waiting == nil || ctx.Err() == nil { // a request that the deadline interrupts is not the reason
				waiting = err
			}
		case len(missing) > 0:
			waiting = errors.New(strings.Join(missing, "; "))
		case complete.IsZero():
			complete = time.Now()
			fallthrough
		default:
			late := m.notSynced(ctx)
			if late == nil && time.Since(complete) > debounce {
				return m.check(ctx, failures)
			}
			if waiting == nil || ctx.Err() == nil {
				waiting = late
			}
			if failed := m.errSince(failures); failed != nil {
				return m.check(ctx, failures)
			}
		}
		if err := process.Sleep(ctx, 15*time.Millisecond); err != nil {
			return fmt.Errorf("mesh: %w", cmp.Or(waiting, err))
		}
	}
}

// missing returns what missingOf returns for each istiod, in words.
func (m *Mesh) missing(ctx context.Context) (all []string, err error) {
	for _, i := range m.controlPlanes() {
		missing, err := m.missingOf(ctx, i)
		if err != nil {
			return nil, err
		}
		if len(missing) > 0 {
			all = append(all, fmt.Sprintf("%s does not have %s", i.name, strings.Join(missing, ", ")))
		}
	}
	return all, nil
}

// missingOf returns the Istio objects for its revision of which an istiod does not have the published version, and
// the mesh configuration's fields that are not in effect.
func (m *Mesh) missingOf(ctx context.Context, i *istiod) ([]string, error) {
	var held Held
	if err := i.getJSON(ctx, "/debug/configz", &held); err != nil {
		return nil, err
	}
	fields, err := m.ineffective(ctx, i)
	return append(held.Missing(m.api.IstioVersions(i.revision)), fields...), err
}

// Held are the objects that istiod has, as its /debug/configz lists them.
type Held []struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name, Namespace, ResourceVersion string
	} `json:"metadata"`
}

// Missing returns the objects of which istiod has not the wanted version, keyed by manifest.Object.Ref.
func (h Held) Missing(versions map[string]string) []string {
	missing := maps.Clone(versions)
	for _, o := range h {
		key := manifest.Object{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}.Ref()
		if missing[key] == o.Metadata.ResourceVersion {
			delete(missing, key)
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// Among returns those of the objects, as manifest.Object.Ref, that istiod has.
func (h Held) Among(refs []string) (found []string) {
	for _, o := range h {
		if ref := (manifest.Object{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}).Ref(); slices.Contains(refs, ref) {
			found = append(found, ref)
		}
	}
	return found
}

// syncState is istiod's record of a proxy: for each kind of configuration the nonces of the last
// update that was sent and the last that was acknowledged.
type syncState struct {
	Proxy     string `json:"proxy"` // NAME.NAMESPACE
	Resources map[string]struct {
		Sent  string `json:"sent"`
		Acked string `json:"acked"`
	} `json:"resources"`
}

func (s *syncState) synced() bool {
	if len(s.Resources) == 0 {
		return false
	}
	for _, r := range s.Resources {
		if r.Sent != r.Acked {
			return false
		}
	}
	return true
}

// Connection is a proxy's connection to a control plane.
type Connection struct {
	Revision string // of the control plane
	Synced   bool   // the proxy has acknowledged its last update
}

// ReadSyncs adds to found the proxies of the /debug/syncz of a revision's istiod, as NAME.NAMESPACE.
func ReadSyncs(text []byte, revision string, found map[string]Connection) error {
	var list []*syncState
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("istiod /debug/syncz: %w", err)
	}
	for _, s := range list {
		found[s.Proxy] = Connection{Revision: revision, Synced: s.synced()}
	}
	return nil
}

// syncs returns the proxies that the istiods list, keyed by NAME.NAMESPACE.
func (m *Mesh) syncs(ctx context.Context) (map[string]Connection, error) {
	found := map[string]Connection{}
	for _, i := range m.controlPlanes() {
		if err := i.syncs(ctx, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// syncs adds the proxies that istiod lists to found.
func (i *istiod) syncs(ctx context.Context, found map[string]Connection) error {
	text, err := i.get(ctx, "/debug/syncz")
	if err != nil {
		return err
	}
	return ReadSyncs(text, i.revision, found)
}

// notSynced returns an error that names the proxies that are not in sync.
func (m *Mesh) notSynced(ctx context.Context) error {
	found, err := m.syncs(ctx)
	if err != nil {
		return err
	}
	var late []string
	for _, p := range m.allProxies() {
		if !found[p.key()].Synced {
			late = append(late, p.name)
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("proxies not in sync with istiod: %s", strings.Join(late, ", "))
	}
	return nil
}
