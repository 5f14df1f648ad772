// Package manifest reads Kubernetes manifests (a kustomize directory, a
// directory of plain YAML, or files) into the objects of a fleet.
package manifest

import (
	"k8s.io/apimachinery/pkg/runtime"
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
}

// Ref names the object for people: "Deployment webapp", with the namespace
// when it is not the default one.
func (o Object) Ref() string {
	if o.Namespace == "" || o.Namespace == DefaultNamespace {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Objects are the manifests of a fleet, in the order they were read.
type Objects struct {
	All []Object
}

// Of picks the objects of one Go type, such as *appsv1.Deployment, in order.
func Of[T runtime.Object](o *Objects) []T {
	var found []T
	for _, object := range o.All {
		if typed, ok := object.Typed.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}
