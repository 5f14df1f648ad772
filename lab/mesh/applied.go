package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/process"
)

// appliedWithin bounds the time until every proxy has accepted a change: three hundred times what it
// takes on an idle machine.
const appliedWithin = time.Minute

// warmWithin bounds the wait for clusters and listeners that a proxy does not use yet, such as one whose certificate
// is missing. It is Envoy's default initial_fetch_timeout.
const warmWithin = 15 * time.Second

// awaitApplied returns when every proxy has the published configuration. An object that istiod does not have would
// not be applied, so it is an error. So is a failure of the mesh, except for the first ones, whose number is given.
//
// istiod collects changes for at least 100 ms before it sends them, and on a busy machine for longer; meanwhile every
// proxy is in sync with what was sent before. So the configuration gets a new mark when istiod has all objects:
// what has the mark, has everything that was published before it.
func (m *Mesh) awaitApplied(ctx context.Context, failures int) error {
	ctx, cancel := context.WithTimeout(ctx, appliedWithin)
	defer cancel()
	if err := m.await(ctx, failures, m.missing); err != nil {
		return err
	}
	mark, err := m.newMark()
	if err != nil {
		return err
	}
	warm := time.Now().Add(warmWithin)
	if err := m.await(ctx, failures, func(ctx context.Context) error { return m.late(ctx, mark, time.Now().Before(warm)) }); err != nil {
		return err
	}
	return m.check(ctx, failures)
}

// await returns when a check of the mesh returns nil, or when the mesh fails.
func (m *Mesh) await(ctx context.Context, failures int, check func(context.Context) error) error {
	var waiting error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if waiting == nil || ctx.Err() == nil { // a request that the deadline interrupts is not the reason
			waiting = err
		}
		if m.errSince(failures) != nil {
			return m.check(ctx, failures)
		}
		if err := process.Sleep(ctx, 15*time.Millisecond); err != nil {
			return fmt.Errorf("mesh: %w", cmp.Or(waiting, err))
		}
	}
}

// newMark publishes the same objects with a new mark, and returns it.
func (m *Mesh) newMark() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark++
	_, err := m.publishLocked(m.manifests)
	return m.mark, err
}

// missing returns an error that names what istiods do not have.
func (m *Mesh) missing(ctx context.Context) error {
	var all []string
	for _, i := range m.controlPlanes() {
		missing, err := m.missingOf(ctx, i)
		if err == nil && len(missing) == 0 {
			missing, err = m.missingEndpoints(ctx, i)
		}
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			all = append(all, fmt.Sprintf("%s does not have %s", i.name, strings.Join(missing, ", ")))
		}
	}
	if len(all) > 0 {
		return errors.New(strings.Join(all, "; "))
	}
	return nil
}

// missingOf returns the Istio objects for its revision of which an istiod does not have the published version, or the
// deletion, and the mesh configuration's fields that are not in effect.
func (m *Mesh) missingOf(ctx context.Context, i *istiod) ([]string, error) {
	var held Held
	if err := i.getJSON(ctx, "/debug/configz", &held); err != nil {
		return nil, err
	}
	missing := held.Missing(m.api.IstioVersions(i.revision))
	for _, ref := range held.Among(m.api.Deleted()) {
		missing = append(missing, "the deletion of "+ref)
	}
	fields, err := m.ineffective(ctx, i)
	return append(missing, fields...), err
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

// late returns an error that names the proxies that do not have the mark, that have not acknowledged all of their
// configuration or, with warm, that do not use all of it yet.
func (m *Mesh) late(ctx context.Context, mark int64, warm bool) error {
	proxies := m.allProxies()
	current := make([]bool, len(proxies))
	var queries sync.WaitGroup
	for n, p := range proxies {
		queries.Go(func() { current[n] = p.current(ctx, mark, warm) })
	}
	queries.Wait()
	found, err := m.syncs(ctx) // afterwards: istiod sends the rest of the configuration after the mark
	if err != nil {
		return err
	}
	var late []string
	for n, p := range proxies {
		if at := found[p.key()]; !current[n] || !at.Synced || !at.whole {
			late = append(late, p.name)
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("proxies not in sync with istiod: %s", strings.Join(late, ", "))
	}
	return nil
}

// current reports whether the proxy has the mark, or a later one, and, with warm, uses all of its configuration.
func (p *proxy) current(ctx context.Context, mark int64, warm bool) bool {
	if has, err := p.admin.Mark(ctx); err != nil || has < mark {
		return false
	}
	if !warm {
		return true
	}
	warming, err := p.admin.Warming(ctx)
	return err == nil && warming == 0
}
