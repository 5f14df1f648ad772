package cluster

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// members returns the objects of the set other than namespaces.
func (c *Client) members(ctx context.Context, s memberSet) ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	options := metav1.ListOptions{LabelSelector: ofFleet + "," + partOfSet + "=" + fleetID(c.namespace)}
	for _, kind := range s.kinds {
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
		for _, place := range append([]string{c.namespace}, s.places...) {
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

// release returns the change by which a namespace leaves the set: one that Up has created is deleted, and another one
// loses the labels that were applied and that nobody else has set.
func (c *Client) release(ctx context.Context, name string) (difference, error) {
	there, err := c.readNamespace(ctx, name)
	if there == nil {
		return difference{}, err
	}
	bare := namespaceOf(name)
	switch {
	case c.created(there):
		return difference{"deleted", bare, nil}, nil
	case applied(there):
		return difference{"changed", bare, bare}, nil // without its fields, which are removed
	}
	return difference{}, nil
}

// namespaceOf returns a namespace without labels.
func namespaceOf(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(name)
	return o
}

func (c *Client) delete(ctx context.Context, o *unstructured.Unstructured) error {
	client, err := c.resource(o)
	if err == nil {
		err = client.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
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
	if err := c.Reach(ctx); err != nil { // one error instead of one for each step
		return false, err
	}
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
	if parent == nil {
		return c.downOrphans(ctx)
	}
	s := setOf(parent)
	if err := c.removeMembers(ctx, s, func(string) {}); err != nil {
		return true, err
	}
	if _, err := c.downNamespaces(ctx, s.places); err != nil {
		return true, err
	}
	// last, because it has what the steps before need
	if err := c.core.Secrets(c.namespace).Delete(ctx, adminSecret, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return true, c.about("Secret "+adminSecret, err)
	}
	_, err = c.downNamespaces(ctx, []string{c.namespace})
	return true, err
}

// removeMembers deletes the objects of the set other than namespaces, and waits for their end.
func (c *Client) removeMembers(ctx context.Context, s memberSet, progress func(string)) error {
	found, err := c.members(ctx, s)
	if err != nil {
		return err
	}
	for _, o := range found {
		progress("deleting " + refOf(o))
		if err := c.delete(ctx, o); err != nil {
			return err
		}
	}
	return c.awaitMembersGone(ctx, s)
}

// downOrphans removes a fleet without a parent, and a namespace that an Up has left that ended before it wrote the parent.
func (c *Client) downOrphans(ctx context.Context) (bool, error) {
	s, err := c.orphans(ctx)
	if err != nil {
		return false, err
	}
	found := len(s.kinds) > 0
	if found {
		c.say("no Secret " + c.namespace + "/" + adminSecret + ": removing what has the labels of its fleet")
		if err := c.removeMembers(ctx, s, c.say); err != nil {
			return true, err
		}
	}
	namespaces, err := c.downNamespaces(ctx, []string{c.namespace})
	return found || namespaces, err
}

// orphans returns the kinds of the objects with the fleet's labels in its namespace. Without a parent these are all that
// is known of a fleet: its Secret was deleted, or the objects that Plan prints were applied. Kinds that the user may not
// list are left out, because others have made such objects.
func (c *Client) orphans(ctx context.Context) (s memberSet, err error) {
	if there, err := c.readNamespace(ctx, c.namespace); there == nil {
		return s, err
	}
	all, err := discovery.ServerPreferredNamespacedResources(c.known)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) { // of an API server beside, such as of metrics
		return s, c.about("kinds", err)
	}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, all) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return s, c.about(list.GroupVersion, err)
		}
		for _, r := range list.APIResources {
			if r.Name == "endpoints" || r.Name == "endpointslices" { // have their Service's labels, and end with it
				continue
			}
			kind := schema.GroupKind{Group: version.Group, Kind: r.Kind}.String()
			found, err := c.members(ctx, memberSet{kinds: []string{kind}})
			switch {
			case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
			case err != nil:
				return s, err
			case len(found) > 0:
				s.kinds = append(s.kinds, kind)
			}
		}
	}
	return s, nil
}

// awaitMembersGone waits until the objects and their pods are gone.
func (c *Client) awaitMembersGone(ctx context.Context, s memberSet) error {
	return c.awaitGone(ctx, goneWithin, c.say, func(ctx context.Context) (lines []string, err error) {
		left, err := c.members(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, o := range left {
			lines = append(lines, refOf(o)+whyStays(o))
		}
		for _, place := range append([]string{c.namespace}, s.places...) {
			pods, err := c.list(ctx, place, ofFleet)
			if err != nil {
				return nil, err
			}
			for i := range pods {
				lines = append(lines, "pod "+pods[i].Name+whyStays(&pods[i]))
			}
		}
		return lines, nil
	})
}

// downNamespaces deletes those of the namespaces that fleetman made, and waits for their end. It reports
// whether there was one.
func (c *Client) downNamespaces(ctx context.Context, names []string) (any bool, err error) {
	for _, name := range names {
		d, err := c.release(ctx, name)
		if err == nil && d.how != "" {
			_, err = c.makeOne(ctx, d)
		}
		if err != nil {
			return any, err
		}
		ours := d.how == "deleted"
		any = any || ours
		if !ours {
			continue
		}
		if err := c.awaitNamespaceGone(ctx, name, goneWithin, c.say); err != nil {
			return any, err
		}
	}
	return any, nil
}
