package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"

	"fleetman.example/lab/control"
	"fleetman.example/lab/manifest"
)

// UpOptions configure Up.
type UpOptions struct {
	Change
	// Manifests are the paths of the manifests, for Status.
	Manifests []string
	// ReadyTimeout limits the time until all pods are ready.
	ReadyTimeout time.Duration
	// Agree is called before objects are applied in a namespace that is neither the fleet's own nor one that it
	// has created, such as istio-system, and before such a namespace is changed. An error ends Up.
	Agree func(objects []string) error
	// Progress is called with one line at a time.
	Progress func(line string)
}

// Up applies the manifests to the cluster, deletes what an earlier Up has applied and these manifests do not
// have, and waits until the pods are ready. After an error or an interruption, a fleet that did not exist before is
// removed, except when it only did not get ready: then the error is a NotReadyError, and the fleet stays, so that
// its pods can be inspected. When something is left, an UnfinishedError has the command that removes it.
func (c *Client) Up(ctx context.Context, objects *manifest.Objects, o UpOptions) error {
	all, err := c.prepare(objects, o.Change)
	if err != nil {
		return err
	}
	if err := o.checkVariables(objects); err != nil {
		return err
	}
	if err := c.supports(ctx, all); err != nil {
		return err
	}
	if err := c.hasRevisions(ctx, objects); err != nil {
		return err
	}
	outside, err := c.outside(ctx, all)
	if err != nil {
		return err
	}
	if err := c.agree(outside, o.Agree); err != nil {
		return err
	}
	for _, line := range c.otherGateways(ctx, all) {
		o.Progress(line)
	}
	if err := c.awaitEnding(ctx, all, o.ReadyTimeout, o.Progress); err != nil {
		return err
	}
	before, err := c.parent(ctx)
	if err != nil {
		return err
	}
	t, err := c.transition(ctx, all, before, o.Change, o.Manifests, c.namespaceGiven)
	if err != nil {
		return err
	}
	err = c.replace(ctx, t, o.Progress)
	if err == nil {
		err = c.awaitReady(ctx, o.ReadyTimeout, o.Progress)
	}
	replaced := c.replaced(context.WithoutCancel(ctx), t)
	_, late := errors.AsType[*NotReadyError](err)
	switch {
	case err == nil || errors.Is(replaced, errReplaced):
		return replaced
	case late:
		return err
	}
	return c.giveUp(ctx, err, len(t.before.kinds) == 0, o.Progress)
}

// giveUp removes a fleet that is new, and returns the error that ended its Up with what is left on the cluster.
func (c *Client) giveUp(ctx context.Context, err error, isNew bool, progress func(string)) error {
	down := c.DownCommand(c.namespace)
	if !isNew {
		return &UnfinishedError{fmt.Sprintf("%v; the fleet of namespace %s stays, changed in part: the same up completes it, %s removes it", err, c.namespace, down), err}
	}
	progress("removing the fleet of namespace " + c.namespace)
	if left := c.Remove(ctx); left != nil {
		return &UnfinishedError{fmt.Sprintf("%v; %v; %s removes what is left", err, left, down), errors.Join(err, left)}
	}
	if ctx.Err() != nil {
		return &UnfinishedError{fmt.Sprintf("%v; the new fleet of namespace %s was removed", err, c.namespace), err}
	}
	return err
}

// checkVariables returns an error for a variable that its program does not read, and prints a note of one that it may
// not read. Those of a comparison are checked with the experiment.
func (o UpOptions) checkVariables(objects *manifest.Objects) error {
	if o.Change.Comparison != "" {
		return nil
	}
	for _, s := range o.Change.Set {
		for _, d := range manifest.Of[*appsv1.Deployment](objects) {
			containers := d.Spec.Template.Spec.Containers
			if len(containers) == 0 || !sameService(s.Target, d.Name) && !sameService(s.Target, programOf(containers[0].Image)) {
				continue
			}
			note, err := checkVariable(d, s)
			if err != nil {
				return fmt.Errorf("--set %w", err)
			}
			if note != "" {
				o.Progress("--set " + note)
			}
		}
	}
	return nil
}

// Remove removes the fleet, even after the context has ended.
func (c *Client) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneWithin)
	defer cancel()
	if _, err := c.downOne(ctx); err != nil {
		return fmt.Errorf("remove the fleet: %w", err)
	}
	return nil
}

// agree calls ask with objects outside of the fleet's namespaces, if there are any.
func (c *Client) agree(objects []*unstructured.Unstructured, ask func([]string) error) error {
	var refs []string
	for _, o := range objects {
		refs = append(refs, refOf(o))
	}
	switch {
	case len(refs) == 0:
		return nil
	case ask == nil:
		return c.fail(nil, "%s: in another namespace: must be agreed to", strings.Join(refs, ", "))
	}
	return ask(refs)
}

// outside returns the namespaces of the manifests that exist and are not the fleet's, and the objects in other
// namespaces than the fleet's.
func (c *Client) outside(ctx context.Context, all []*unstructured.Unstructured) (found []*unstructured.Unstructured, err error) {
	foreign, err := c.foreign(ctx, all)
	if err != nil {
		return nil, err
	}
	own := []string{c.namespace}
	for _, o := range all {
		if o.GetKind() == "Namespace" && !slices.Contains(foreign, o.GetName()) {
			own = append(own, o.GetName())
		}
	}
	for _, o := range all {
		if at := cmp.Or(o.GetNamespace(), o.GetName()); !slices.Contains(own, at) {
			found = append(found, o)
		}
	}
	return found, nil
}

// parent returns the Secret that is the parent of the fleet's set, or nil when there is no fleet.
func (c *Client) parent(ctx context.Context) (*corev1.Secret, error) {
	secret, err := c.core.Secrets(c.namespace).Get(ctx, adminSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // no fleet is no error
	case err != nil:
		return nil, c.about("Secret "+c.namespace+"/"+adminSecret, err)
	case secret.Labels[managedBy] != manager:
		return nil, c.fail(nil, "Secret %s/%s: exists, and fleetman did not make it: must be deleted, or choose another --namespace", c.namespace, adminSecret)
	}
	return secret, nil
}

// fleet returns the parent. Without one there is no fleet, and that is an error.
func (c *Client) fleet(ctx context.Context) (*corev1.Secret, error) {
	parent, err := c.parent(ctx)
	if err == nil && parent == nil {
		err = c.fail(control.ErrNoFleet, "no fleet in namespace %s: start one with %s, or name its namespace with --namespace", c.namespace, c.fleetCommand("up"))
	}
	return parent, err
}

// resource returns the client of an object's kind, in its namespace.
func (c *Client) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

// replace makes a transition at once: all that changes and, when everything else is there, what is deleted.
func (c *Client) replace(ctx context.Context, t transition, progress func(string)) error {
	progress(fmt.Sprintf("applying %d objects to namespace %s of cluster %s", len(t.all), c.namespace, c.context))
	if err := c.applyNamespace(ctx, t.all[0]); err != nil { // the fleet's
		return err
	}
	if err := c.applyParent(ctx, t.parent, t.during); err != nil { // before the others: Down finds them by it
		return err
	}
	for _, d := range t.changed {
		if d.after == nil {
			progress("deleting " + refOf(d.before))
		}
		if _, err := c.makeOne(ctx, d); err != nil {
			return err
		}
	}
	if err := c.replaced(ctx, t); err != nil {
		return err
	}
	return c.applyParent(ctx, t.parent, t.after)
}

// errReplaced is the cause of the error of a change whose fleet another command has changed meanwhile.
var errReplaced = errors.New("replaced")

// replaced returns an error if another command has changed or removed the fleet since a transition began.
func (c *Client) replaced(ctx context.Context, t transition) error {
	parent, err := c.parent(ctx)
	switch now := setOf(parent).change; {
	case err != nil:
		return err
	case parent == nil:
		return c.fail(nil, "namespace %s: its fleet was removed meanwhile", c.namespace)
	case now != t.after.change && (t.parent == nil || now != setOf(t.parent).change):
		return c.fail(errReplaced, "namespace %s: another up or apply has replaced the manifests meanwhile: must be one at a time; %s shows the manifests", c.namespace, c.fleetCommand("status"))
	}
	return nil
}

// apply applies one object by server-side apply, and returns it as it is then.
func (c *Client) apply(ctx context.Context, o *unstructured.Unstructured, dryRun ...string) (*unstructured.Unstructured, error) {
	applied, err := c.serverSideApply(ctx, o, true, dryRun)
	return applied, c.about(refOf(o), err)
}

// applyOver is apply over an object that exists: nil if nothing is to be applied.
func (c *Client) applyOver(ctx context.Context, o *unstructured.Unstructured, there metav1.Object, dryRun ...string) (*unstructured.Unstructured, error) {
	o, force := c.over(o, there)
	if unneeded(o, there) {
		return nil, nil //nolint:nilnil // nothing to apply is no error
	}
	applied, err := c.serverSideApply(ctx, o, force, dryRun)
	if err != nil {
		return nil, c.contradiction(o, there, err)
	}
	return applied, nil
}

func (c *Client) serverSideApply(ctx context.Context, o *unstructured.Unstructured, force bool, dryRun []string) (*unstructured.Unstructured, error) {
	client, err := c.resource(o)
	if err != nil {
		return nil, err
	}
	return client.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: force, DryRun: dryRun})
}

// applyNamespace creates or changes a namespace, and waits for the end of one that is being deleted.
func (c *Client) applyNamespace(ctx context.Context, o *unstructured.Unstructured) error {
	if err := c.awaitEnding(ctx, []*unstructured.Unstructured{o}, goneWithin, c.say); err != nil {
		return err
	}
	for first := true; ; first = false {
		there, err := c.core.Namespaces().Get(ctx, o.GetName(), metav1.GetOptions{})
		if err == nil {
			_, err = c.applyOver(ctx, o, there)
			return err
		}
		if !apierrors.IsNotFound(err) {
			return c.about(refOf(o), err)
		}
		err = c.createNamespace(ctx, o)
		if err == nil {
			_, err = c.apply(ctx, o)
			return err
		}
		if !first || !again(ctx, err) {
			return c.about(refOf(o), err)
		}
	}
}

// memberSet is what the parent says of the set's members.
type memberSet struct {
	kinds, places, manifests []string
	change                   string // random
	record                   []byte // nil: none
}

// setOf returns the set that a parent describes: an empty one without a parent.
func setOf(parent *corev1.Secret) (s memberSet) {
	if parent == nil {
		return s
	}
	of := parent.Annotations
	return memberSet{split(of[setKinds], ","), split(of[setPlaces], ","), split(of[manifestsOf], "\n"), of[changeOf], parent.Data[recordKey]}
}

// memberSet returns the set of the objects.
func (c *Client) memberSet(all []*unstructured.Unstructured, change Change, manifests []string) memberSet {
	kinds := groupKinds(all)
	if change.Comparison != "" {
		kinds = union(kinds, []string{jobKind})
	}
	return memberSet{kinds, c.places(all), manifests, rand.Text(), c.pack(change, all)}
}

// with returns the set while objects of both are on the cluster. Its record is that of the other.
func (s memberSet) with(other memberSet) memberSet {
	s.kinds, s.places, s.record = union(s.kinds, other.kinds), union(s.places, other.places), other.record
	return s
}

// applyParent applies the parent of the set, with the token for faults. A token that exists stays, because
// pods read it when they start.
func (c *Client) applyParent(ctx context.Context, before *corev1.Secret, s memberSet) error {
	token := []byte(rand.Text())
	if before == nil {
		var err error
		if before, err = c.parent(ctx); err != nil {
			return err
		}
	}
	if before != nil && len(before.Data[tokenKey]) > 0 {
		token = before.Data[tokenKey]
	}
	data := map[string]any{tokenKey: base64.StdEncoding.EncodeToString(token)}
	if s.record != nil {
		data[recordKey] = base64.StdEncoding.EncodeToString(s.record)
	}
	_, err := c.apply(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"name": adminSecret, "namespace": c.namespace,
			"labels": map[string]any{managedBy: manager, setID: fleetID(c.namespace)},
			"annotations": map[string]any{
				setTool: "fleetman/v1", setKinds: strings.Join(s.kinds, ","), setPlaces: strings.Join(s.places, ","),
				manifestsOf: strings.Join(s.manifests, "\n"), changeOf: s.change,
			},
		},
		"data": data,
	}})
	return err
}

// union returns the sorted elements of both lists.
func union(a, b []string) []string { return sets.List(sets.New(a...).Insert(b...)) }

func split(list, separator string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, separator)
}

// pollEvery is the time between two reads of a state that is awaited.
const pollEvery = 500 * time.Millisecond
