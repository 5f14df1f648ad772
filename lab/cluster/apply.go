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
	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/process"
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
	parent, err := c.fleet(ctx)
	if err != nil {
		return mesh.Applied{}, err
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
	t, err := c.transition(ctx, all, parent, old.Change, paths, true)
	if err != nil {
		return mesh.Applied{}, err
	}
	if err := c.agreeChanges(ctx, t); err != nil {
		return mesh.Applied{}, err
	}
	applied, err := c.switchTo(ctx, t)
	if err != nil {
		return mesh.Applied{}, c.restore(ctx, old, parent, err)
	}
	return applied, nil
}

// agreeChanges asks for the objects outside of the fleet's namespaces that an Apply creates or changes.
func (c *Client) agreeChanges(ctx context.Context, t transition) error {
	changes := sets.New[string]()
	for _, d := range t.changed {
		if d.after != nil {
			changes.Insert(key(d.after))
		}
	}
	outside, err := c.outside(ctx, t.all)
	if err != nil {
		return err
	}
	return c.agree(slices.DeleteFunc(outside, func(o *unstructured.Unstructured) bool { return !changes.Has(key(o)) }), c.ask)
}

// switchTo makes the changes of an Apply.
func (c *Client) switchTo(ctx context.Context, t transition) (mesh.Applied, error) {
	began := time.Now()
	applied := mesh.Applied{Changed: []string{}}
	for _, d := range t.changed {
		applied.Changed = append(applied.Changed, refOf(d.object())+" "+d.how)
	}
	before, err := c.podNames(ctx)
	if err != nil {
		return applied, err
	}
	if err := c.applyParent(ctx, t.parent, t.during); err != nil {
		return applied, err
	}
	if err := c.make(ctx, t.changed); err != nil {
		return applied, err
	}
	now, err := c.podNames(ctx)
	if err != nil {
		return applied, err
	}
	applied.Pods = local.PodsChanged(now.Difference(before).Len(), before.Difference(now).Len())
	applied.Seconds = time.Since(began).Seconds()
	return applied, c.applyParent(ctx, t.parent, t.after)
}

// podNames returns the names of the pods that are not ending.
func (c *Client) podNames(ctx context.Context) (sets.Set[string], error) {
	pods, err := c.Pods(ctx)
	names := sets.New[string]()
	for _, pod := range pods {
		if pod.State != "terminating" {
			names.Insert(pod.Namespace + "/" + pod.Name)
		}
	}
	return names, err
}

// restore applies the objects of the record again, after an error.
func (c *Client) restore(ctx context.Context, old record, parent *corev1.Secret, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneWithin)
	defer cancel()
	current, err := c.parent(ctx) // with the kinds of both
	if err == nil {
		var back transition
		if back, err = c.transition(ctx, old.Objects, current, old.Change, setOf(parent).manifests, true); err == nil {
			err = c.replace(ctx, back, func(string) {})
		}
	}
	if err != nil {
		return fmt.Errorf("%w; restore the old objects: %w", cause, err)
	}
	return fmt.Errorf("%w; the old objects are restored", cause)
}

// transition is a change of a fleet's objects.
type transition struct {
	all           []*unstructured.Unstructured // of the manifests
	changed       []difference
	parent        *corev1.Secret // before it; nil: none
	before        memberSet      // without a parent, of orphans
	during, after memberSet
}

// transition returns what makes the cluster equal to the objects, and changes nothing. given is that of differences.
func (c *Client) transition(ctx context.Context, all []*unstructured.Unstructured, parent *corev1.Secret, change Change, manifests []string, given bool) (t transition, err error) {
	t = transition{all: all, parent: parent, before: setOf(parent), after: c.memberSet(all, change, manifests)}
	if parent == nil {
		if t.before, err = c.orphans(ctx); err != nil {
			return t, err
		}
	}
	t.during = t.after.with(t.before)
	t.changed, err = c.differences(ctx, all, t.during, given)
	return t, err
}

// differences returns how the cluster differs from the objects. The API server computes it, without an
// effect, so that what it or Istio's validation refuses is an error before anything changes. An object that
// exists and is not of the fleet is an error, too, and so is the fleet's own namespace, unless the user has given it.
func (c *Client) differences(ctx context.Context, all []*unstructured.Unstructured, s memberSet, given bool) (found []difference, err error) {
	wanted, absent := sets.New[string](), sets.New[string]()
	for _, o := range all {
		wanted.Insert(key(o))
		d := difference{"created", nil, o}
		if !absent.Has(o.GetNamespace()) {
			if d, err = c.difference(ctx, o, given); err != nil {
				return nil, err
			}
		}
		if d.how != "" {
			found = append(found, d)
		}
		if d.how == "created" && o.GetKind() == "Namespace" { // nothing can be validated there
			absent.Insert(o.GetName())
		}
	}
	members, err := c.members(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, o := range members {
		if !wanted.Has(key(o)) && o.GetDeletionTimestamp() == nil && o.GetLabels()[helperLabel] == "" { // helpers serve until Down
			found = append(found, difference{"deleted", o, nil})
		}
	}
	for _, place := range sets.List(sets.New(s.places...).Delete(c.places(all)...)) {
		d, err := c.release(ctx, place)
		if err != nil {
			return nil, err
		}
		if d.how != "" {
			found = append(found, d)
		}
	}
	return found, nil
}

// difference returns how the cluster differs from one object; how is empty if it does not.
func (c *Client) difference(ctx context.Context, o *unstructured.Unstructured, given bool) (difference, error) {
	client, err := c.resource(o)
	if err != nil {
		return difference{}, c.about(refOf(o), err)
	}
	before, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = c.apply(ctx, o, metav1.DryRunAll)
		return difference{"created", nil, o}, err
	case err != nil:
		return difference{}, c.about(refOf(o), err)
	case o.GetKind() == "Namespace" && before.GetDeletionTimestamp() != nil: // applyNamespace waits for its end
		return difference{"created", nil, o}, nil
	}
	if err := c.checkOwner(o, before, given); err != nil {
		return difference{}, err
	}
	after, err := c.applyOver(ctx, o, before, metav1.DryRunAll)
	if err != nil || after == nil || equality.Semantic.DeepEqual(content(before), content(after)) {
		return difference{}, err
	}
	return difference{"changed", before, o}, nil
}

// checkOwner returns an error for an object that exists and is not of the fleet. A namespace may be the user's, unless it
// is the fleet's own one, and not given.
func (c *Client) checkOwner(o, before *unstructured.Unstructured, given bool) error {
	isNamespace := o.GetKind() == "Namespace"
	made, ours := before.GetLabels()[managedBy] == manager, before.GetLabels()[partOfSet] == fleetID(c.namespace)
	if isNamespace {
		made, ours = before.GetAnnotations()[createdBy] != "", c.created(before)
	}
	switch {
	case made && ours, !made && isNamespace && (o.GetName() != c.namespace || given):
		return nil
	case made:
		return c.fail(nil, "%s: exists, and belongs to a fleet in another namespace: end that one first with %s", refOf(o), c.downOwner(before))
	case isNamespace:
		return c.fail(nil, "namespace %s: exists, and fleetman did not make it: use it with --namespace %s, or choose another", o.GetName(), o.GetName())
	}
	return c.fail(nil, "%s: exists, and fleetman did not make it: must be deleted, or choose another --namespace", refOf(o))
}

// downOwner returns the command line that removes the fleet of an object. Its ID is a hash of its namespace.
func (c *Client) downOwner(o *unstructured.Unstructured) string {
	id := cmp.Or(o.GetAnnotations()[createdBy], o.GetLabels()[partOfSet])
	for _, namespace := range []string{o.GetNamespace(), o.GetName(), OwnNamespace} {
		if id == fleetID(namespace) {
			return c.DownCommand(namespace)
		}
	}
	return c.DownCommand("NAMESPACE") + "; its NAMESPACE is that of kubectl get secrets -A -l " + setID + "=" + id
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
		if err := c.awaitReady(ctx, readyWithin, c.say); err != nil {
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
	return c.awaitReady(ctx, readyWithin, c.say) // until the pods of deleted Deployments have ended
}

// expected is what istiod must have.
type expected struct {
	versions versions // of objects
	gone     []string // deleted objects
}

// makeAll makes changes, and adds the effect of those of Istio's objects to expect.
func (c *Client) makeAll(ctx context.Context, changed []difference, expect *expected) error {
	for _, d := range changed {
		made, err := c.makeOne(ctx, d)
		switch o := d.object(); {
		case err != nil:
			return err
		case !isIstio(o.GroupVersionKind().GroupKind()):
		case made == nil:
			expect.gone = append(expect.gone, manifestRef(o))
		default:
			expect.versions.add(made)
		}
	}
	return nil
}

// makeOne makes a change, and returns the object that was applied: nil for one that was deleted.
func (c *Client) makeOne(ctx context.Context, d difference) (*unstructured.Unstructured, error) {
	switch {
	case d.after == nil:
		return nil, c.delete(ctx, d.before)
	case d.after.GetKind() == "Namespace":
		return d.after, c.applyNamespace(ctx, d.after)
	}
	return c.apply(ctx, d.after)
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
	for news := (news{began: time.Now()}); ; {
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
		text := strings.Join(missing, "; ")
		if len(missing) == 0 {
			text = "proxies not in sync with istiod: " + strings.Join(late, ", ")
		}
		news.tell(c.say, "waiting: ", text)
		if process.Sleep(ctx, pollEvery) != nil {
			return &UnfinishedError{fmt.Sprintf("cluster %s: %s", c.context, text), nil}
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
	v[revision][manifestRef(o)] = o.GetResourceVersion()
}

func manifestRef(o *unstructured.Unstructured) string {
	return manifest.Object{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}.Ref()
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
	return c.about(pod.Name, err)
}

// meshConfig returns the fleet's fields of the mesh configuration, or "".
func (c *Client) meshConfig(ctx context.Context) (string, error) {
	parent, err := c.parent(ctx)
	if s := setOf(parent); err != nil || !slices.Contains(s.places, istioNamespace) || !slices.Contains(s.kinds, "ConfigMap") {
		return "", err
	}
	found, err := c.members(ctx, memberSet{kinds: []string{"ConfigMap"}, places: []string{istioNamespace}})
	for _, o := range found {
		if manifest.IsMeshConfig(o.GetKind(), o.GetNamespace(), o.GetName()) {
			text, _, err := unstructured.NestedString(o.Object, "data", "mesh")
			return text, err
		}
	}
	return "", err
}
