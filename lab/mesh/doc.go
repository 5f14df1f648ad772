// Package mesh runs a fleet with a service mesh: an unmodified istiod, which reads a Kubernetes API
// that this process serves, and an unmodified Envoy beside each pod.
package mesh
