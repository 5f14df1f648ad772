package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/kube"
)

const (
	// appliedWithin bounds the time until every proxy has accepted a change. One that it rejects ends the wait at
	// once, so that only a hang lasts as long.
	appliedWithin = 2 * time.Minute
	// readyWithin bounds the time until the pods of an Apply are ready.
	readyWithin = 3 * time.Minute
)

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

// starts reports whether a change is made before new pods start, as they need it: all of it except the rules of
// the mesh, which lead to the new pods once these are ready, and changed Services.
func (d difference) starts() bool {
	kind := d.after.GetKind()
	return slices.Contains([]string{"Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret", "ConfigMap", "Deployment", "Pod", "Job"}, kind) ||
		kind == "ProxyConfig" || kind == "Service" && d.before == nil
}

// Apply replaces the manifests of the running fleet, with the flags of its Up, and returns when every proxy has
// accepted its new configuration. Pods that change are replaced: the new ones are ready before rules lead to
// them, and before the old ones end. It applies all of the manifests or, after an error, none: the API server
// validates every object before the first one changes, and what has changed is restored.
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
	old, err := c.unpack(parent)
	if err != nil {
		return mesh.Applied{}, err
	}
	c.images = cmp.Or(c.images, old.Images)
	all, err := c.prepare(objects, old.Change)
	if err != nil {
		return mesh.Applied{}, err
	}
	if err := c.supports(ctx, all); err != nil {
		return mesh.Applied{}, err
	}
	if err := c.hasRevisions(ctx, objects); err != nil {
		return mesh.Applied{}, err
	}
	after, err := c.memberSet(all, old.Change, paths)
	if err != nil {
		return mesh.Applied{}, err
	}
	during := after.with(parent)
	changed, err := c.differences(ctx, all, during)
	if err != nil {
		return mesh.Applied{}, err
	}
	if err := c.agreeChanges(changed, all); err != nil {
		return mesh.Applied{}, err
	}
	applied, err := c.switchTo(ctx, parent, changed, during, after)
	if err != nil {
		return mesh.Applied{}, c.restore(ctx, old, parent, err)
	}
	return applied, nil
}

// agreeChanges asks for the objects outside of the fleet's namespaces that an Apply creates or changes.
func (c *Client) agreeChanges(changed []difference, all []*unstructured.Unstructured) error {
	outside := map[string]bool{}
	for _, o := range c.outside(all) {
		outside[key(o)] = true
	}
	var refs []string
	for _, d := range changed {
		if d.after != nil && outside[key(d.after)] {
			refs = append(refs, refOf(d.after))
		}
	}
	return c.askFor(refs, c.ask)
}

// switchTo makes the changes of an Apply.
func (c *Client) switchTo(ctx context.Context, parent *corev1.Secret, changed []difference, during, after memberSet) (mesh.Applied, error) {
	began := time.Now()
	applied := mesh.Applied{Changed: []string{}}
	for _, d := range changed {
		applied.Changed = append(applied.Changed, refOf(d.object())+" "+d.how)
	}
	before, err := c.podNames(ctx)
	if err != nil {
		return applied, err
	}
	if err := c.applyParent(ctx, parent, during); err != nil {
		return applied, err
	}
	if err := c.make(ctx, changed); err != nil {
		return applied, err
	}
	now, err := c.podNames(ctx)
	if err != nil {
		return applied, err
	}
	if started, ended := without(now, before), without(before, now); started+ended > 0 {
		applied.Pods = fmt.Sprintf("%d pods started, %d ended", started, ended)
	}
	applied.Seconds = time.Since(began).Seconds()
	return applied, c.applyParent(ctx, parent, after)
}

// podNames returns the names of the pods that are not ending.
func (c *Client) podNames(ctx context.Context) (map[string]bool, error) {
	pods, err := c.Pods(ctx)
	names := map[string]bool{}
	for _, pod := range pods {
		if pod.State != "terminating" {
			names[pod.Namespace+"/"+pod.Name] = true
		}
	}
	return names, err
}

// without returns how many of the names are not among the others.
func without(names, others map[string]bool) (count int) {
	for name := range names {
		if !others[name] {
			count++
		}
	}
	return count
}

// restore applies the objects of the record again, after an error.
func (c *Client) restore(ctx context.Context, old record, parent *corev1.Secret, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	current, err := c.parent(ctx) // with the kinds of both
	if err == nil {
		err = c.replace(ctx, old.objects(), current, UpOptions{
			Change: old.Change, Manifests: strings.Split(parent.Annotations[manifestsOf], "\n"), Progress: func(string) {},
		})
	}
	if err != nil {
		return fmt.Errorf("%w; restore the old objects: %w", cause, err)
	}
	return fmt.Errorf("%w; the old objects are restored", cause)
}

// differences returns how the cluster differs from the objects. The API server computes it, without an
// effect, so that what it or Istio's validation refuses is an error before anything changes.
func (c *Client) differences(ctx context.Context, all []*unstructured.Unstructured, s memberSet) ([]difference, error) {
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
	members, err := c.members(ctx, s.kinds, s.places)
	if err != nil {
		return nil, err
	}
	for _, o := range members {
		if !wanted[key(o)] && o.GetDeletionTimestamp() == nil {
			found = append(found, difference{"deleted", o, nil})
		}
	}
	gone, err := c.unusedPlaces(ctx, all, s.places)
	for _, o := range gone {
		found = append(found, difference{"deleted", o, nil})
	}
	return found, err
}

// unusedPlaces returns the namespaces that fleetman made and the objects do not need.
func (c *Client) unusedPlaces(ctx context.Context, all []*unstructured.Unstructured, places []string) (unused []*unstructured.Unstructured, err error) {
	used := c.places(all)
	for _, place := range places {
		if slices.Contains(used, place) {
			continue
		}
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
		o.SetName(place)
		client, err := c.resource(o)
		if err != nil {
			return nil, c.about(refOf(o), err)
		}
		there, err := client.Get(ctx, place, metav1.GetOptions{})
		switch {
		case err != nil && !apierrors.IsNotFound(err):
			return nil, c.about(refOf(o), err)
		case err == nil && there.GetLabels()[partOfSet] == fleetID(c.namespace) && there.GetDeletionTimestamp() == nil:
			unused = append(unused, o)
		}
	}
	return unused, nil
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
	switch {
	case missing:
	case o.GetKind() == "Namespace":
		o = namespaceOver(o, before.GetLabels())
	case before.GetLabels()[managedBy] != manager:
		return difference{}, c.fail(nil, "%s: exists, and fleetman did not make it: must be deleted", refOf(o))
	case before.GetLabels()[partOfSet] != fleetID(c.namespace):
		return difference{}, c.fail(nil, "%s: exists, and belongs to a fleet in another namespace: end that one first with fleetman down --namespace", refOf(o))
	}
	after, err := client.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true, DryRun: []string{metav1.DryRunAll}})
	switch {
	case missing && c.waitsForNamespace(o, err):
		return difference{"created", nil, o}, nil
	case err != nil:
		return difference{}, c.about(refOf(o), err)
	case missing:
		return difference{"created", nil, o}, nil
	case !equality.Semantic.DeepEqual(content(before), content(after)):
		return difference{"changed", before, o}, nil
	}
	return difference{}, nil
}

// waitsForNamespace reports whether an object cannot be validated because its namespace does not exist yet.
func (c *Client) waitsForNamespace(o *unstructured.Unstructured, err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil &&
		status.Status().Details.Kind == "namespaces" && status.Status().Details.Name == o.GetNamespace()
}

// content returns what of an object a user writes.
func content(o *unstructured.Unstructured) map[string]any {
	kept := maps.Clone(o.Object)
	delete(kept, "status")
	kept["metadata"] = map[string]any{"labels": o.GetLabels(), "annotations": o.GetAnnotations()}
	return kept
}

// make makes the changes: what new pods need and, once they are ready, the rules that lead to them. What is not
// needed any more is deleted when no proxy has rules that lead there.
func (c *Client) make(ctx context.Context, changed []difference) error {
	if len(changed) == 0 {
		return nil
	}
	rejected, err := c.rejected(ctx)
	if err != nil {
		return err
	}
	expect := expected{versions: versions{}}
	var pods, rules, rest []difference
	for _, d := range changed {
		switch {
		case d.after == nil:
			rest = append(rest, d)
		case d.starts():
			pods = append(pods, d)
		default:
			rules = append(rules, d)
		}
	}
	if err := c.makeAll(ctx, pods, &expect); err != nil {
		return err
	}
	if len(pods) > 0 {
		if err := c.awaitReady(ctx, readyWithin, func(string) {}); err != nil {
			return err
		}
	}
	if err := c.makeAll(ctx, rules, &expect); err != nil {
		return err
	}
	if err := c.awaitApplied(ctx, expect, rejected); err != nil || len(rest) == 0 {
		return err
	}
	if err := c.makeAll(ctx, rest, &expect); err != nil {
		return err
	}
	if err := c.awaitApplied(ctx, expect, rejected); err != nil {
		return err
	}
	return c.awaitReady(ctx, readyWithin, func(string) {}) // until the pods of deleted Deployments have ended
}

// expected is what istiod must have.
type expected struct {
	versions versions // of objects
	gone     []string // deleted objects
}

func (c *Client) makeAll(ctx context.Context, changed []difference, expect *expected) error {
	for _, d := range changed {
		if err := c.makeOne(ctx, d, expect); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) makeOne(ctx context.Context, d difference, expect *expected) error {
	o := d.object()
	rule := isIstio(o.GroupVersionKind().GroupKind())
	ref := manifest.Object{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}.Ref()
	switch {
	case d.after == nil:
		if rule {
			expect.gone = append(expect.gone, ref)
		}
		return c.delete(ctx, o)
	case o.GetKind() == "Namespace":
		return c.applyNamespace(ctx, o)
	}
	client, err := c.resource(o)
	if err != nil {
		return c.about(refOf(o), err)
	}
	made, err := client.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return c.about(refOf(o), err)
	}
	if rule {
		expect.versions.add(made)
	}
	return nil
}

// rejected returns how many updates each proxy has rejected since it started.
func (c *Client) rejected(ctx context.Context) (map[string]int, error) {
	status, err := c.Mesh(ctx)
	if err != nil && !errors.Is(err, errNoProxies) {
		return nil, err
	}
	return status.Rejections(), nil
}

// awaitApplied returns when istiod has the expected state and every proxy is in sync, at once for a fleet without
// proxies. An update that a proxy rejects is an error.
func (c *Client) awaitApplied(ctx context.Context, expect expected, rejected map[string]int) error {
	ctx, cancel := context.WithTimeout(ctx, appliedWithin)
	defer cancel()
	for {
		status, err := c.Mesh(ctx)
		if errors.Is(err, errNoProxies) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := status.RejectedSince(rejected); err != nil {
			return c.fail(nil, "%v", err)
		}
		var late []string
		for _, p := range status.Proxies {
			if !p.Synced {
				late = append(late, p.Name)
			}
		}
		missing, err := c.missing(ctx, expect)
		switch {
		case err != nil:
			return err
		case len(missing) == 0 && len(late) == 0:
			return nil
		}
		if pause(ctx, pollEvery) != nil {
			if len(missing) > 0 {
				return c.fail(nil, "%s", strings.Join(missing, "; "))
			}
			return c.fail(nil, "proxies not in sync with istiod: %s", strings.Join(late, ", "))
		}
	}
}

// versions are the resource versions of Istio objects, by the revision of their label, "" without one, and by
// manifest.Object.Ref.
type versions map[string]map[string]string

func (v versions) add(o *unstructured.Unstructured) {
	revision := o.GetLabels()[manifest.RevisionLabel]
	if v[revision] == nil {
		v[revision] = map[string]string{}
	}
	v[revision][manifest.Object{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}.Ref()] = o.GetResourceVersion()
}

// of returns the versions of the objects that a control plane of a revision reads.
func (v versions) of(revision string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, v[""])
	maps.Copy(all, v[revision])
	return all
}

// missing returns, in words, the objects of which an istiod has another version, or which it still has, and the fields of the
// mesh configuration that are not in effect: an istiod without SHARED_MESH_CONFIG never has them.
func (c *Client) missing(ctx context.Context, expect expected) (all []string, err error) {
	istiods, err := c.istioPods(ctx, istiodLog)
	if err != nil {
		return nil, err
	}
	config, err := c.meshConfig(ctx)
	if err != nil {
		return nil, err
	}
	for _, pod := range istiods {
		var held mesh.Held
		if err := c.istiodJSON(ctx, pod, "/debug/configz", &held); err != nil {
			return nil, err
		}
		missing := append(held.Missing(expect.versions.of(pod.Revision)), held.Among(expect.gone)...)
		if config != "" {
			var got map[string]any
			if err := c.istiodJSON(ctx, pod, "/debug/mesh", &got); err != nil {
				return nil, err
			}
			missing = append(missing, mesh.Ineffective(config, got)...)
		}
		if len(missing) > 0 {
			all = append(all, fmt.Sprintf("%s does not have the change of %s", kube.ControlPlane(pod.Revision), strings.Join(missing, ", ")))
		}
	}
	return all, nil
}

func (c *Client) istiodJSON(ctx context.Context, pod local.Pod, path string, into any) error {
	text, err := c.istiod(ctx, pod, path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return c.about(pod.Name, err)
	}
	return nil
}

// meshConfig returns the fleet's fields of the mesh configuration, or "".
func (c *Client) meshConfig(ctx context.Context) (string, error) {
	parent, err := c.parent(ctx)
	if err != nil || parent == nil || !slices.Contains(split(parent.Annotations[setPlaces]), istioNamespace) ||
		!slices.Contains(split(parent.Annotations[setKinds]), "ConfigMap") {
		return "", err
	}
	found, err := c.members(ctx, []string{"ConfigMap"}, []string{istioNamespace})
	for _, o := range found {
		if manifest.IsMeshConfig(o.GetKind(), o.GetNamespace(), o.GetName()) {
			text, _, err := unstructured.NestedString(o.Object, "data", "mesh")
			return text, err
		}
	}
	return "", err
}
