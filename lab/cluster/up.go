package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"fleetman.example/lab/manifest"
)

// UpOptions configure Up.
type UpOptions struct {
	Change
	// Manifests are the paths of the manifests, for Status.
	Manifests []string
	// ReadyTimeout limits the time until all pods are ready.
	ReadyTimeout time.Duration
	// Agree is called before objects are applied in a namespace that is neither the fleet's own nor one of
	// the manifests, such as istio-system. An error ends Up.
	Agree func(objects []string) error
	// Progress is called with one line at a time.
	Progress func(line string)
}

// Up applies the manifests to the cluster, deletes what an earlier Up has applied and these manifests do not
// have, and waits until the pods are ready. After an error, a fleet that did not exist before is removed,
// except when it only did not get ready: then the error is a NotReadyError, and the fleet stays, so that
// its pods can be inspected.
func (c *Client) Up(ctx context.Context, objects *manifest.Objects, o UpOptions) error {
	all, err := c.prepare(objects, o.Change)
	if err != nil {
		return err
	}
	if err := c.supports(ctx, all); err != nil {
		return err
	}
	if err := c.hasRevisions(ctx, objects); err != nil {
		return err
	}
	if err := c.agree(all, o.Agree); err != nil {
		return err
	}
	before, err := c.parent(ctx)
	if err != nil {
		return err
	}
	if err := c.mayReplace(ctx, all); err != nil {
		return err
	}
	if err := c.replace(ctx, all, before, o); err != nil {
		if before != nil {
			return err
		}
		if left := c.Remove(ctx); left != nil {
			return fmt.Errorf("%w; %w; fleetman down --context %s --namespace %s removes what is left", err, left, c.context, c.namespace)
		}
		return err
	}
	return c.awaitReady(ctx, o.ReadyTimeout, o.Progress)
}

// removeTimeout bounds the removal of a fleet that could not be applied.
const removeTimeout = 2 * time.Minute

// Remove removes the fleet, even after the context has ended.
func (c *Client) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if _, err := c.downOne(ctx); err != nil {
		return fmt.Errorf("remove the fleet: %w", err)
	}
	return nil
}

// agree calls ask with the objects outside of the fleet's namespaces, if there are any.
func (c *Client) agree(all []*unstructured.Unstructured, ask func([]string) error) error {
	var refs []string
	for _, o := range c.outside(all) {
		refs = append(refs, refOf(o))
	}
	return c.askFor(refs, ask)
}

func (c *Client) askFor(refs []string, ask func([]string) error) error {
	switch {
	case len(refs) == 0:
		return nil
	case ask == nil:
		return c.fail(nil, "%s: in another namespace: must be agreed to", strings.Join(refs, ", "))
	}
	return ask(refs)
}

// outside returns the objects in other namespaces than the fleet's own and those of the manifests.
func (c *Client) outside(all []*unstructured.Unstructured) (found []*unstructured.Unstructured) {
	own := []string{c.namespace}
	for _, o := range all {
		if o.GetKind() == "Namespace" {
			own = append(own, o.GetName())
		}
	}
	for _, o := range all {
		if at := o.GetNamespace(); at != "" && !slices.Contains(own, at) {
			found = append(found, o)
		}
	}
	return found
}

// parent returns the Secret that is the parent of the fleet's set, or nil when there is no fleet.
func (c *Client) parent(ctx context.Context) (*corev1.Secret, error) {
	secret, err := c.kube.CoreV1().Secrets(c.namespace).Get(ctx, adminSecret, metav1.GetOptions{})
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

// mayReplace returns an error if an object exists that fleetman did not make, or the fleet's own namespace
// exists, which the user has not named.
func (c *Client) mayReplace(ctx context.Context, all []*unstructured.Unstructured) error {
	absent := map[string]bool{} // namespaces
	for _, o := range all {
		if absent[o.GetNamespace()] {
			continue
		}
		client, err := c.resource(o)
		if err != nil {
			return c.about(refOf(o), err)
		}
		there, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			if o.GetKind() == "Namespace" {
				absent[o.GetName()] = true
			}
			continue
		case err != nil:
			return c.about(refOf(o), err)
		}
		ours := there.GetLabels()[managedBy] == manager
		switch {
		case ours && there.GetLabels()[partOfSet] != fleetID(c.namespace):
			return c.fail(nil, "%s: exists, and belongs to a fleet in another namespace: end that one first with fleetman down --namespace", refOf(o))
		case ours, o.GetKind() == "Namespace" && (o.GetName() != c.namespace || c.namespaceGiven):
			continue
		case o.GetKind() == "Namespace":
			return c.fail(nil, "namespace %s: exists, and fleetman did not make it: use it with --namespace %s, or choose another", o.GetName(), o.GetName())
		}
		return c.fail(nil, "%s: exists, and fleetman did not make it: must be deleted, or choose another --namespace", refOf(o))
	}
	return nil
}

// replace applies the objects and deletes the others of the set.
func (c *Client) replace(ctx context.Context, all []*unstructured.Unstructured, before *corev1.Secret, o UpOptions) error {
	o.Progress(fmt.Sprintf("applying %d objects to namespace %s of cluster %s", len(all), c.namespace, c.context))
	after, err := c.memberSet(all, o.Change, o.Manifests)
	if err != nil {
		return err
	}
	during := after.with(before)
	for i, one := range all { // the first is the fleet's namespace
		apply := c.apply
		if one.GetKind() == "Namespace" {
			apply = c.applyNamespace
		}
		if err := apply(ctx, one); err != nil {
			return err
		}
		if i == 0 { // before the others: Down finds them by it
			if err := c.applyParent(ctx, before, during); err != nil {
				return err
			}
		}
	}
	if err := c.prune(ctx, all, during.kinds, during.places, o.Progress); err != nil {
		return err
	}
	return c.applyParent(ctx, before, after)
}

// apply applies one object by server-side apply.
func (c *Client) apply(ctx context.Context, o *unstructured.Unstructured) error {
	client, err := c.resource(o)
	if err == nil {
		_, err = client.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	}
	if err != nil {
		return c.about(refOf(o), err)
	}
	return nil
}

// applyNamespace applies a namespace, and waits for the end of one that is being deleted. One that
// fleetman did not make gets the labels of the manifests alone, so that Down does not delete it.
func (c *Client) applyNamespace(ctx context.Context, o *unstructured.Unstructured) error {
	for {
		there, err := c.kube.CoreV1().Namespaces().Get(ctx, o.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return c.apply(ctx, o)
		case err != nil:
			return c.about(refOf(o), err)
		case there.DeletionTimestamp == nil:
			return c.apply(ctx, namespaceOver(o, there.Labels))
		}
		if err := pause(ctx, pollEvery); err != nil {
			return c.fail(err, "namespace %s: is still being deleted", o.GetName())
		}
	}
}

// namespaceOver returns the namespace to apply over one with the given labels.
func namespaceOver(o *unstructured.Unstructured, labels map[string]string) *unstructured.Unstructured {
	if labels[managedBy] == manager {
		return o
	}
	o = o.DeepCopy()
	own := o.GetLabels()
	delete(own, managedBy)
	delete(own, partOfSet)
	o.SetLabels(own)
	return o
}

// memberSet is what the parent says of the set's members.
type memberSet struct {
	kinds, places, manifests []string
	record                   []byte // nil: none
}

// memberSet returns the set of the objects.
func (c *Client) memberSet(all []*unstructured.Unstructured, change Change, manifests []string) (memberSet, error) {
	packed, err := c.pack(change, all)
	kinds := groupKinds(all)
	if change.Comparison != "" {
		kinds = union(kinds, []string{jobKind})
	}
	return memberSet{kinds, c.places(all), manifests, packed}, err
}

// with returns the set while objects of both are on the cluster. Its record is that of the parent.
func (s memberSet) with(parent *corev1.Secret) memberSet {
	s.record = nil
	if parent != nil {
		s.kinds, s.places = union(s.kinds, split(parent.Annotations[setKinds])), union(s.places, split(parent.Annotations[setPlaces]))
		s.record = parent.Data[recordKey]
	}
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
	return c.apply(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"name": adminSecret, "namespace": c.namespace,
			"labels": map[string]any{managedBy: manager, setID: fleetID(c.namespace)},
			"annotations": map[string]any{
				setTool: "fleetman/v1", setKinds: strings.Join(s.kinds, ","), setPlaces: strings.Join(s.places, ","),
				manifestsOf: strings.Join(s.manifests, "\n"),
			},
		},
		"data": data,
	}})
}

// union returns the sorted elements of both lists.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// pollEvery is the time between two reads of a state that is awaited.
const pollEvery = 500 * time.Millisecond

// pause waits, at most until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
