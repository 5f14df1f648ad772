package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DefaultNamespace is where an object without a namespace lives.
const DefaultNamespace = "default"

// Object is one manifest.
type Object struct {
	APIVersion, Kind, Namespace, Name string

	// Source is the file or the kustomization that it was read from.
	Source string
	// JSON is the object as it was written, in JSON, without any defaults.
	JSON []byte
	// Typed is the object as the Go type of its kind, read strictly. It is nil
	// for kinds that Kubernetes itself does not have, such as Istio's.
	Typed runtime.Object
	// LeftOut is the reason for which the object is not part of the fleet, or "".
	LeftOut string
}

// Ref returns the object's name for messages: "Deployment webapp", with the
// namespace unless it is the default one.
func (o Object) Ref() string {
	if o.Namespace == "" || o.Namespace == DefaultNamespace {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Objects are the manifests of a fleet, in the order they were read.
type Objects struct {
	All []Object
	// LeftOut are the objects that were read and are no part of the fleet.
	LeftOut []Object
	// Notes are the replacements that Load has made, one line each.
	Notes []string
}

// add takes the objects of one file or kustomization. As with kubectl apply, a
// later file's object replaces that of an earlier one.
func (o *Objects) add(found []Object) {
	for _, object := range found {
		if object.LeftOut != "" {
			o.LeftOut = append(o.LeftOut, object)
			continue
		}
		i := slices.IndexFunc(o.All, func(other Object) bool { return other.Key() == object.Key() && other.Source != object.Source })
		if i < 0 {
			o.All = append(o.All, object)
			continue
		}
		if !bytes.Equal(o.All[i].JSON, object.JSON) {
			o.Notes = append(o.Notes, fmt.Sprintf("%s: %s: replaces the one of %s", object.Source, object.Ref(), o.All[i].Source))
		}
		o.All[i] = object
	}
}

// Key returns what identifies an object: the API server has one object for each key.
func (o Object) Key() string {
	group := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).Group
	return strings.Join([]string{group, o.Kind, o.Namespace, o.Name}, "|")
}

// Of returns the objects of one Go type, such as *appsv1.Deployment, in order.
func Of[T runtime.Object](o *Objects) []T {
	var found []T
	for _, object := range o.All {
		if typed, ok := object.Typed.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}
