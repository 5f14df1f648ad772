package mesh

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// Applied is what a change came to.
type Applied struct {
	// Changed are the objects that came, went or became others, in words.
	Changed []string `json:"changed"`
	// Notes are what is not applied, and why.
	Notes []string `json:"notes,omitempty"`
	// Seconds is how long it took until every proxy had it.
	Seconds float64 `json:"seconds"`
}

// Apply makes the manifests those of the running mesh, as kubectl apply with
// --prune would, and returns when every proxy has its new configuration. What
// Istio refuses, or what would change pods or Services, is refused whole: the
// old state stays.
func (m *Mesh) Apply(ctx context.Context, objects *manifest.Objects) (Applied, error) {
	m.applying.Lock()
	defer m.applying.Unlock()
	m.mu.Lock()
	before := m.manifests
	m.mu.Unlock()
	changed := differences(before, objects)
	for _, c := range changed {
		if c.needsRestart() {
			return Applied{}, fmt.Errorf("%s %s: pods with their proxies, Services and namespaces stay as they are while a fleet runs: start it anew with these manifests", c.ref, c.how)
		}
	}
	if !slices.Equal(before.Gateways(), objects.Gateways()) {
		return Applied{}, fmt.Errorf("these manifests need other gateways (%s): start the fleet anew with them", strings.Join(objects.Gateways(), ", "))
	}
	if err := validate(ctx, m.options.Binaries.Istioctl.Path, objects); err != nil {
		return Applied{}, err
	}
	began := time.Now()
	m.mu.Lock()
	failures := len(m.failures)
	notes, err := m.publishLocked(objects)
	m.mu.Unlock()
	if err != nil {
		return Applied{}, err
	}
	result := Applied{Changed: []string{}, Notes: append(local.LeftOut(objects, true), notes...)}
	for _, c := range changed {
		result.Changed = append(result.Changed, c.ref+" "+c.how)
	}
	var analysis []string
	var analyzing sync.WaitGroup
	analyzing.Go(func() { analysis = m.analyze(ctx, objects) })
	if err = m.openNodePorts(); err == nil {
		err = m.awaitApplied(ctx, failures)
	}
	result.Seconds = time.Since(began).Seconds()
	analyzing.Wait() // before the old state may come back
	if err == nil {
		m.tell(analysis)
		result.Notes = append(result.Notes, analysis...)
		return result, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, back := m.publishLocked(before); back != nil {
		return Applied{}, fmt.Errorf("%w; and the old state does not come back: %w", err, back)
	}
	return Applied{}, fmt.Errorf("%w; the old state is back", err)
}

// difference is one object that two sets of manifests do not have alike.
type difference struct {
	ref, how string
	object   manifest.Object
}

// needsRestart tells what pods, their proxies, names and ports are made of.
func (d difference) needsRestart() bool {
	if d.object.Typed == nil {
		return d.object.Kind == "ProxyConfig" // on a cluster too it counts from a pod's next start
	}
	switch d.object.Kind {
	case "Deployment", "Service", "ConfigMap", "Secret", "Namespace":
		return true
	}
	return false
}

func differences(before, after *manifest.Objects) []difference {
	index := func(objects *manifest.Objects) map[string]manifest.Object {
		found := map[string]manifest.Object{}
		for _, o := range objects.All {
			found[strings.Join([]string{schema.FromAPIVersionAndKind(o.APIVersion, "").Group, o.Kind, o.Namespace, o.Name}, "|")] = o
		}
		return found
	}
	old, made := index(before), index(after)
	var found []difference
	for _, key := range slices.Sorted(maps.Keys(made)) {
		switch was, known := old[key]; {
		case !known:
			found = append(found, difference{made[key].Ref(), "is new", made[key]})
		case was.APIVersion != made[key].APIVersion || !bytes.Equal(was.JSON, made[key].JSON):
			found = append(found, difference{made[key].Ref(), "changed", made[key]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, known := made[key]; !known {
			found = append(found, difference{old[key].Ref(), "is gone", old[key]})
		}
	}
	return found
}

const (
	// appliedWithin is how long istiod may take to hear of its objects, and the
	// proxies of theirs: on a busy machine a hundred times the usual.
	appliedWithin = 20 * time.Second
	// debounce is istiod's wait for further changes before it tells proxies.
	debounce = 100 * time.Millisecond
)

// awaitApplied returns when istiod holds every Istio object in the version that
// it was shown and every proxy has taken what istiod sent. An object that
// istiod does not hold is one that would not be applied, so it is an error; so
// is any failure after the first ones.
func (m *Mesh) awaitApplied(ctx context.Context, failures int) error {
	ctx, cancel := context.WithTimeout(ctx, appliedWithin)
	defer cancel()
	var waiting error
	held := time.Time{}
	for {
		switch missing, err := m.notHeld(ctx); {
		case err != nil:
			if waiting == nil || ctx.Err() == nil { // a question that the deadline cuts off is no reason
				waiting = err
			}
		case len(missing) > 0:
			waiting = fmt.Errorf("istiod does not have %s: it would not be applied", strings.Join(missing, ", "))
		case held.IsZero():
			held = time.Now()
			fallthrough
		default:
			late := m.notSynced(ctx)
			if late == nil && time.Since(held) > debounce {
				return m.check(ctx, failures)
			}
			if waiting == nil || ctx.Err() == nil {
				waiting = late
			}
			if failed := m.errSince(failures); failed != nil {
				return m.check(ctx, failures)
			}
		}
		select {
		case <-time.After(15 * time.Millisecond):
		case <-ctx.Done():
			if waiting == nil {
				waiting = ctx.Err()
			}
			return fmt.Errorf("mesh: %w", waiting)
		}
	}
}

// notHeld are the Istio objects that istiod does not have as they are.
func (m *Mesh) notHeld(ctx context.Context) ([]string, error) {
	var held []struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name, Namespace, ResourceVersion string
		} `json:"metadata"`
	}
	if err := m.istiod.askJSON(ctx, "/debug/configz", &held); err != nil {
		return nil, err
	}
	missing := m.api.IstioVersions()
	for _, o := range held {
		key := manifest.Object{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}.Ref()
		if missing[key] == o.Metadata.ResourceVersion {
			delete(missing, key)
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// syncState is what istiod knows of a proxy: for each kind of configuration, what
// it sent and what was accepted.
type syncState struct {
	Proxy     string `json:"proxy"`
	Resources map[string]struct {
		Sent  string `json:"sent"`
		Acked string `json:"acked"`
	} `json:"resources"`
}

func (s *syncState) done() bool {
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

// syncs are by the proxy's NAME.NAMESPACE.
func (m *Mesh) syncs(ctx context.Context) (map[string]*syncState, error) {
	var list []*syncState
	if err := m.istiod.askJSON(ctx, "/debug/syncz", &list); err != nil {
		return nil, err
	}
	found := map[string]*syncState{}
	for _, s := range list {
		found[s.Proxy] = s
	}
	return found, nil
}

func (m *Mesh) notSynced(ctx context.Context) error {
	found, err := m.syncs(ctx)
	if err != nil {
		return err
	}
	var late []string
	for _, p := range m.proxies {
		if s := found[p.node.Name+"."+p.node.Namespace]; s == nil || !s.done() {
			late = append(late, p.name)
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("no answer to istiod's last update from the proxies of %s", strings.Join(late, ", "))
	}
	return nil
}
