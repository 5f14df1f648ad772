package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/usage"
)

// controlPlanes returns the istiods that run, that of the default revision first.
func (m *Mesh) controlPlanes() []*istiod {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.istiods)
}

// istiodOf returns the istiod of a revision, or nil.
func (m *Mesh) istiodOf(revision string) *istiod {
	for _, i := range m.controlPlanes() {
		if i.revision == revision {
			return i
		}
	}
	return nil
}

// startRevisions starts an istiod for each of the revisions that has none, all at once, and returns when they are
// ready. From then on each is restarted whenever it ends.
func (m *Mesh) startRevisions(ctx context.Context, revisions []string) error {
	var started []*istiod
	for _, revision := range revisions {
		if m.istiodOf(revision) != nil {
			continue
		}
		i, err := m.newIstiod(revision)
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.istiods = append(m.istiods, i)
		m.mu.Unlock()
		if revision != manifest.DefaultRevision {
			m.site.Progress(fmt.Sprintf("starting %s, the control plane of revision %s", i.name, revision))
		}
		started = append(started, i)
	}
	for _, i := range started {
		if err := i.awaitReady(ctx); err != nil {
			return fmt.Errorf("%s %w; %s", i.name, err, lastLine(i.log.Name()))
		}
		i.supervisor.Settle()
	}
	return nil
}

// need sets the revisions that a change in progress needs, and ends the istiods that nothing needs: neither the
// change, nor the manifests in force, nor a proxy.
func (m *Mesh) need(revisions []string) {
	m.mu.Lock()
	m.changing = revisions
	m.mu.Unlock()
	m.endRevisions()
}

func (m *Mesh) endRevisions() {
	m.mu.Lock()
	needed := slices.Concat(m.manifests.Revisions(), m.changing)
	for _, p := range m.proxies {
		needed = append(needed, p.revision)
	}
	var kept, ending []*istiod
	for _, i := range m.istiods {
		if slices.Contains(needed, i.revision) {
			kept = append(kept, i)
		} else {
			ending = append(ending, i)
		}
	}
	m.istiods = kept
	m.mu.Unlock()
	for _, i := range ending {
		i.end()
		m.site.RemoveLog(i.name)
	}
}

// Kill sends a signal to the process of a pod or of an istiod, which is restarted when it ends. did describes what
// Kill has done.
func (m *Mesh) Kill(name string, sig syscall.Signal) (did string, err error) {
	var names []string
	for _, i := range m.controlPlanes() {
		names = append(names, i.name)
		if i.name != name {
			continue
		}
		now := i.supervisor.Status()
		if now.Process == nil {
			return "", fmt.Errorf("%s: no process: %s", name, now)
		}
		return fmt.Sprintf("%s (process %d): sent signal %d (%v)", name, now.Process.PID(), int(sig), sig), now.Process.Signal(sig)
	}
	did, err = m.fleet.Kill(name, sig)
	if _, unknown := errors.AsType[usage.Error](err); unknown {
		err = fmt.Errorf("%w; or a control plane: %s", err, strings.Join(names, ", "))
	}
	return did, err
}

// Revisions returns the revision of the control plane to which each proxy is connected, keyed by the pod's ID or
// the gateway's name. It is empty for a proxy that no control plane lists.
func (m *Mesh) Revisions(ctx context.Context) (map[string]string, error) {
	found, err := m.syncs(ctx)
	if err != nil {
		return nil, err
	}
	revisions := map[string]string{}
	for _, p := range m.allProxies() {
		revisions[p.name] = found[p.key()].Revision
	}
	return revisions, nil
}
