package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// members returns the objects of the set other than namespaces: of these kinds, in the fleet's namespace
// and in places.
func (c *Client) members(ctx context.Context, kinds, places []string) ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	options := metav1.ListOptions{LabelSelector: managedBy + "=" + manager + "," + partOfSet + "=" + fleetID(c.namespace)}
	for _, kind := range kinds {
		mapping, err := c.mapper.RESTMapping(schema.ParseGroupKind(kind))
		if meta.IsNoMatchError(err) {
			continue // its definition was removed, and its objects with it
		}
		if err != nil {
			return nil, c.about(kind, err)
		}
		if mapping.Scope.Name() == meta.RESTScopeNameRoot {
			continue
		}
		for _, place := range append([]string{c.namespace}, places...) {
			list, err := c.dynamic.Resource(mapping.Resource).Namespace(place).List(ctx, options)
			if err != nil {
				return nil, c.about(kind, err)
			}
			for i := range list.Items {
				found = append(found, &list.Items[i])
			}
		}
	}
	return found, nil
}

// prune deletes the objects of the set that are not among those of the manifests.
func (c *Client) prune(ctx context.Context, all []*unstructured.Unstructured, kinds, places []string, progress func(string)) error {
	keep := map[string]bool{}
	for _, o := range all {
		keep[key(o)] = true
	}
	found, err := c.members(ctx, kinds, places)
	if err != nil {
		return err
	}
	for _, o := range found {
		if keep[key(o)] || o.GetDeletionTimestamp() != nil {
			continue
		}
		progress("deleting " + refOf(o))
		if err := c.delete(ctx, o); err != nil {
			return err
		}
	}
	return c.prunePlaces(ctx, all, places, progress)
}

// prunePlaces deletes the namespaces of an earlier scenario that these manifests do not have.
func (c *Client) prunePlaces(ctx context.Context, all []*unstructured.Unstructured, places []string, progress func(string)) error {
	used := map[string]bool{}
	for _, o := range all {
		used[o.GetNamespace()] = true
	}
	for _, place := range places {
		if used[place] {
			continue
		}
		ours, err := c.freeNamespace(ctx, place)
		if err != nil {
			return err
		}
		if ours {
			progress("deleting Namespace " + place)
		}
	}
	return nil
}

// freeNamespace deletes a namespace that fleetman made. From another one it removes the labels that it has
// applied. It reports whether it deleted the namespace.
func (c *Client) freeNamespace(ctx context.Context, name string) (bool, error) {
	there, err := c.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, c.about("Namespace "+name, err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(name)
	if there.Labels[partOfSet] == fleetID(c.namespace) {
		return true, c.delete(ctx, o)
	}
	for _, m := range there.ManagedFields {
		if m.Manager == manager {
			return false, c.apply(ctx, o) // without its fields, which are removed
		}
	}
	return false, nil
}

func (c *Client) delete(ctx context.Context, o *unstructured.Unstructured) error {
	client, err := c.resource(o)
	if err == nil {
		background := metav1.DeletePropagationBackground
		err = client.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return c.about(refOf(o), err)
	}
	return nil
}

func key(o *unstructured.Unstructured) string {
	return strings.Join([]string{o.GroupVersionKind().GroupKind().String(), o.GetNamespace(), o.GetName()}, "|")
}

// Down removes the fleet, and those of a comparison in its namespace, and returns when nothing of them is left.
// It reports whether there was one.
func (c *Client) Down(ctx context.Context) (bool, error) {
	arms, err := c.downArms(ctx)
	own, ownErr := c.downOne(ctx)
	return arms || own, errors.Join(err, ownErr)
}

// downOne removes one fleet.
func (c *Client) downOne(ctx context.Context) (bool, error) {
	parent, err := c.parent(ctx)
	if err != nil {
		return false, err
	}
	if parent == nil { // an Up that ended before it wrote the parent may have left the namespace
		return c.downNamespaces(ctx, []string{c.namespace})
	}
	kinds, places := split(parent.Annotations[setKinds]), split(parent.Annotations[setPlaces])
	found, err := c.members(ctx, kinds, places)
	if err != nil {
		return true, err
	}
	for _, o := range found {
		if err := c.delete(ctx, o); err != nil {
			return true, err
		}
	}
	if err := c.awaitGone(ctx, kinds, places); err != nil {
		return true, err
	}
	if _, err := c.downNamespaces(ctx, places); err != nil {
		return true, err
	}
	// last, because it has what the steps before need
	if err := c.kube.CoreV1().Secrets(c.namespace).Delete(ctx, adminSecret, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return true, c.about("Secret "+adminSecret, err)
	}
	_, err = c.downNamespaces(ctx, []string{c.namespace})
	return true, err
}

// awaitGone waits until the objects and their pods are gone.
func (c *Client) awaitGone(ctx context.Context, kinds, places []string) error {
	for {
		left, err := c.members(ctx, kinds, places)
		if err != nil {
			return err
		}
		var names []string
		for _, o := range left {
			names = append(names, refOf(o))
		}
		for _, place := range append([]string{c.namespace}, places...) {
			pods, err := c.kube.CoreV1().Pods(place).List(ctx, metav1.ListOptions{LabelSelector: managedBy + "=" + manager})
			if err != nil {
				return c.about("pods", err)
			}
			for i := range pods.Items {
				names = append(names, "pod "+pods.Items[i].Name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("%w: not gone yet: %s", err, strings.Join(names, ", "))
		}
	}
}

// downNamespaces deletes those of the namespaces that fleetman made, and waits for their end. It reports
// whether there was one.
func (c *Client) downNamespaces(ctx context.Context, names []string) (any bool, err error) {
	for _, name := range names {
		ours, err := c.freeNamespace(ctx, name)
		if err != nil {
			return any, err
		}
		any = any || ours
		for ours {
			if _, err := c.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				break
			} else if err != nil {
				return any, c.about("Namespace "+name, err)
			}
			if err := pause(ctx, pollEvery); err != nil {
				return any, fmt.Errorf("%w: not gone yet: namespace %s", err, name)
			}
		}
	}
	return any, nil
}
