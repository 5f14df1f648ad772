package cluster

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Which namespaces are the fleet's, and what Up and Down do with the others:
//
//   - A namespace is the fleet's if an Up of the fleet has created it. Its annotation createdBy has the fleet's ID. Only
//     the request that creates a namespace sets the annotation, and that request fails for one that exists: neither an
//     apply nor the objects that Plan prints can make a user's namespace the fleet's. Down deletes the fleet's namespaces.
//   - Another one is never deleted. Labels that the manifests need are added to it, and Down removes them. Server-side
//     apply without force does both: a label that others have set, too, stays after Down, and one that others have set to
//     another value is an error before anything changes. All of that is in the managed fields of the namespace, and
//     is the same after a kill -9.

// createdBy is the annotation of a namespace that an Up has created.
const createdBy = "fleetman.example/created-by"

// readNamespace returns a namespace, or nil if there is none.
func (c *Client) readNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	there, err := c.core.Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // no namespace is no error
	case err != nil:
		return nil, c.about("Namespace "+name, err)
	}
	return there, nil
}

// created reports whether an Up of this fleet has created the namespace.
func (c *Client) created(namespace metav1.Object) bool {
	return namespace.GetAnnotations()[createdBy] == fleetID(c.namespace)
}

// createNamespace creates a namespace with the set's labels, by which Down finds it. Those of the manifests are applied
// later.
func (c *Client) createNamespace(ctx context.Context, o *unstructured.Unstructured) error {
	labels := maps.Clone(o.GetLabels())
	maps.DeleteFunc(labels, func(name, _ string) bool { return !slices.Contains(setLabels, name) })
	bare := namespaceOf(o.GetName())
	bare.SetLabels(labels)
	bare.SetAnnotations(map[string]string{createdBy: fleetID(c.namespace)})
	client, err := c.resource(bare)
	if err == nil {
		_, err = client.Create(ctx, bare, metav1.CreateOptions{FieldManager: manager})
	}
	return err
}

// again reports whether a namespace must be read again after a creation: it exists, or there was no response, and the
// creation may have had its effect.
func again(ctx context.Context, err error) bool {
	_, noResponse := errors.AsType[*url.Error](err)
	return apierrors.IsAlreadyExists(err) || noResponse && ctx.Err() == nil
}

// setLabels are the labels that a namespace has only if it is the fleet's.
var setLabels = []string{managedBy, partOfSet, armOf}

// over returns what is applied over an object that exists, and whether by force: a namespace that is not the fleet's
// gets the labels of the manifests alone, if they replace none.
func (c *Client) over(o *unstructured.Unstructured, there metav1.Object) (apply *unstructured.Unstructured, force bool) {
	if o.GetKind() != "Namespace" || c.created(there) {
		return o, true
	}
	return withoutSet(o), false
}

// withoutSet returns a namespace without the set's labels.
func withoutSet(o *unstructured.Unstructured) *unstructured.Unstructured {
	o = o.DeepCopy()
	labels := o.GetLabels()
	maps.DeleteFunc(labels, func(name, _ string) bool { return slices.Contains(setLabels, name) })
	o.SetLabels(labels)
	return o
}

// applied reports whether an object has fields of an apply.
func applied(there metav1.Object) bool {
	return slices.ContainsFunc(there.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == manager && f.Operation == metav1.ManagedFieldsOperationApply
	})
}

// unneeded reports whether nothing is to be applied over a namespace: nothing is wanted there, and nothing was applied.
// Who may not change the namespace needs no permission for that.
func unneeded(o *unstructured.Unstructured, there metav1.Object) bool {
	return o.GetKind() == "Namespace" && len(o.GetLabels())+len(o.GetAnnotations()) == 0 && !applied(there)
}

// contradiction returns the error about a label of a namespace that is not the fleet's, or the API server's.
func (c *Client) contradiction(o *unstructured.Unstructured, there metav1.Object, err error) error {
	wanted, has := o.GetLabels(), there.GetLabels()
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if value, ok := has[name]; apierrors.IsConflict(err) && ok && value != wanted[name] {
			return c.fail(nil, "namespace %s: label %s: %s: must be %s, as in the manifests, or removed: fleetman up did not set it, and leaves it as it is",
				o.GetName(), name, value, wanted[name])
		}
	}
	return c.about(refOf(o), err)
}

// foreign returns the names of the namespaces among the objects that exist and are not the fleet's, other than its own.
func (c *Client) foreign(ctx context.Context, all []*unstructured.Unstructured) (names []string, err error) {
	for _, o := range all {
		if o.GetKind() != "Namespace" || o.GetName() == c.namespace {
			continue
		}
		there, err := c.readNamespace(ctx, o.GetName())
		if err != nil {
			return nil, err
		}
		if there != nil && !c.created(there) {
			names = append(names, o.GetName())
		}
	}
	return names, nil
}
