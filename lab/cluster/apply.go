package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

// appliedWithin bounds the time until every proxy has accepted a change.
const appliedWithin = 30 * time.Second

// difference is an object that differs between the cluster and the manifests.
type difference struct {
	how           string                     // created, changed, deleted
	before, after *unstructured.Unstructured // nil: none
}

func (d difference) object() *unstructured.Unstructured {
	if d.after != nil {
		return d.after
	}
	return d.before
}

// needsRestart reports whether a change is one of pods, of names or of ports, which up makes.
func (d difference) needsRestart() bool {
	return slices.Contains([]string{"Deployment", "Service", "ConfigMap", "Secret", "Namespace", "ProxyConfig"}, d.object().GetKind())
}

// Apply replaces the manifests of the running fleet, and returns when every proxy has accepted its new
// configuration. It applies all of them or, after an error, none: the API server validates every object
// before the first one changes. A change of pods or Services is an error.
func (c *Client) Apply(ctx context.Context, paths []string) (mesh.Applied, error) {
	objects, err := manifest.Load(paths...)
	if err != nil {
		return mesh.Applied{}, err
	}
	parent, err := c.parent(ctx)
	if err != nil {
		return mesh.Applied{}, err
	}
	if parent == nil {
		return mesh.Applied{}, c.noFleet()
	}
	all, err := c.prepare(objects, Change{})
	if err != nil {
		return mesh.Applied{}, err
	}
	if err := c.supports(ctx, all); err != nil {
		return mesh.Applied{}, err
	}
	kinds := union(groupKinds(all), split(parent.Annotations[setKinds]))
	places := union(c.places(all), split(parent.Annotations[setPlaces]))
	changed, err := c.differences(ctx, all, kinds, places)
	if err != nil {
		return mesh.Applied{}, err
	}
	for _, d := range changed {
		if d.needsRestart() {
			return mesh.Applied{}, c.fail(nil, "%s: %s: must not change while the fleet runs: use fleetman up", refOf(d.object()), d.how)
		}
	}
	began := time.Now()
	applied := mesh.Applied{Changed: []string{}}
	for _, d := range changed {
		applied.Changed = append(applied.Changed, refOf(d.object())+" "+d.how)
	}
	if err := c.applyParent(ctx, parent, kinds, places, paths); err != nil {
		return mesh.Applied{}, err
	}
	if err := c.make(ctx, changed); err != nil {
		return mesh.Applied{}, err
	}
	applied.Seconds = time.Since(began).Seconds()
	return applied, c.applyParent(ctx, parent, groupKinds(all), c.places(all), paths)
}

// differences returns how the cluster differs from the objects. The API server computes it, without an
// effect, so that what it or Istio's validation refuses is an error before anything changes.
func (c *Client) differences(ctx context.Context, all []*unstructured.Unstructured, kinds, places []string) ([]difference, error) {
	var found []difference
	wanted := map[string]bool{}
	for _, o := range all {
		wanted[key(o)] = true
		d, err := c.difference(ctx, o)
		if err != nil {
			return nil, err
		}
		if d.how != "" {
			found = append(found, d)
		}
	}
	members, err := c.members(ctx, kinds, places)
	if err != nil {
		return nil, err
	}
	for _, o := range members {
		if !wanted[key(o)] {
			found = append(found, difference{"deleted", o, nil})
		}
	}
	return found, nil
}

// difference returns how the cluster differs from one object; how is empty if it does not.
func (c *Client) difference(ctx context.Context, o *unstructured.Unstructured) (difference, error) {
	client, err := c.resource(o)
	if err != nil {
		return difference{}, c.about(refOf(o), err)
	}
	before, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return difference{}, c.about(refOf(o), err)
	}
	missing := err != nil
	if o.GetKind() == "Deployment" && !missing {
		keepReplicas(o, before)
	}
	after, err := client.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true, DryRun: []string{metav1.DryRunAll}})
	switch {
	case err != nil:
		return difference{}, c.about(refOf(o), err)
	case missing:
		return difference{"created", nil, o}, nil
	case o.GetKind() == "Namespace":
		return difference{}, nil
	case before.GetLabels()[managedBy] != manager:
		return difference{}, c.fail(nil, "%s: exists, and fleetman did not make it: must be deleted", refOf(o))
	case !equality.Semantic.DeepEqual(content(before), content(after)):
		return difference{"changed", before, o}, nil
	}
	return difference{}, nil
}

// keepReplicas gives a Deployment the number of pods that it has, and the images and variables: those of
// up's flags, which the manifests do not have.
func keepReplicas(o, before *unstructured.Unstructured) {
	for _, field := range [][]string{{"spec", "replicas"}, {"spec", "template", "spec", "containers"}} {
		if value, ok, _ := unstructured.NestedFieldCopy(before.Object, field...); ok {
			_ = unstructured.SetNestedField(o.Object, value, field...)
		}
	}
}

// content returns what of an object a user writes.
func content(o *unstructured.Unstructured) map[string]any {
	kept := maps.Clone(o.Object)
	delete(kept, "status")
	kept["metadata"] = map[string]any{"labels": o.GetLabels(), "annotations": o.GetAnnotations()}
	return kept
}

// make makes the changes. After an error it makes them undone.
func (c *Client) make(ctx context.Context, changed []difference) error {
	rejected, err := c.rejected(ctx)
	if err != nil {
		return err
	}
	versions := map[string]string{}
	for i, d := range changed {
		if err := c.makeOne(ctx, d, versions); err != nil {
			return c.undo(ctx, changed[:i], err)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := c.awaitApplied(ctx, versions, rejected); err != nil {
		return c.undo(ctx, changed, err)
	}
	return nil
}

func (c *Client) makeOne(ctx context.Context, d difference, versions map[string]string) error {
	if d.after == nil {
		return c.delete(ctx, d.before)
	}
	client, err := c.resource(d.after)
	if err != nil {
		return c.about(refOf(d.after), err)
	}
	made, err := client.Apply(ctx, d.after.GetName(), d.after, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return c.about(refOf(d.after), err)
	}
	if isIstio(made.GroupVersionKind().GroupKind()) {
		versions[manifest.Object{Kind: made.GetKind(), Namespace: made.GetNamespace(), Name: made.GetName()}.Ref()] = made.GetResourceVersion()
	}
	return nil
}

// undo restores the objects as they were before the changes.
func (c *Client) undo(ctx context.Context, changed []difference, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	for _, d := range slices.Backward(changed) {
		var err error
		if d.before == nil {
			err = c.delete(ctx, d.after)
		} else {
			old := &unstructured.Unstructured{Object: content(d.before)}
			old.SetName(d.before.GetName())
			old.SetNamespace(d.before.GetNamespace())
			err = c.apply(ctx, old)
		}
		if err != nil {
			return errors.Join(cause, fmt.Errorf("restore the old objects: %w", err))
		}
	}
	return fmt.Errorf("%w; the old objects are restored", cause)
}

// rejected returns how many updates each proxy has rejected since it started.
func (c *Client) rejected(ctx context.Context) (map[string]int, error) {
	status, err := c.Mesh(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, p := range status.Proxies {
		counts[p.Name] = len(p.Rejected)
	}
	return counts, nil
}

// awaitApplied returns when istiod has the given versions of objects and every proxy is in sync. An update
// that a proxy rejects is an error.
func (c *Client) awaitApplied(ctx context.Context, versions map[string]string, rejected map[string]int) error {
	ctx, cancel := context.WithTimeout(ctx, appliedWithin)
	defer cancel()
	for {
		status, err := c.Mesh(ctx)
		if err != nil {
			return err
		}
		var late []string
		for _, p := range status.Proxies {
			if len(p.Rejected) > rejected[p.Name] {
				return c.fail(nil, "proxy of %s: rejected: %s", p.Name, p.Rejected[len(p.Rejected)-1])
			}
			if !p.Synced {
				late = append(late, p.Name)
			}
		}
		missing, err := c.missing(ctx, versions)
		switch {
		case err != nil:
			return err
		case len(missing) == 0 && len(late) == 0:
			return nil
		}
		if pause(ctx, pollEvery) != nil {
			if len(missing) > 0 {
				return c.fail(nil, "istiod does not have %s", strings.Join(missing, ", "))
			}
			return c.fail(nil, "proxies not in sync with istiod: %s", strings.Join(late, ", "))
		}
	}
}

// missing returns the objects of which istiod does not have the given version.
func (c *Client) missing(ctx context.Context, versions map[string]string) ([]string, error) {
	istiods, err := c.istioPods(ctx, istiodLog)
	if err != nil {
		return nil, err
	}
	for _, pod := range istiods {
		text, err := c.istiod(ctx, pod, "/debug/configz")
		if err != nil {
			return nil, c.about(pod.Name, err)
		}
		var held mesh.Held
		if err := json.Unmarshal(text, &held); err != nil {
			return nil, c.about(pod.Name, err)
		}
		if missing := held.Missing(versions); len(missing) > 0 {
			return missing, nil
		}
	}
	return nil, nil
}
