// Package mesh runs the pods of a fleet with a proxy beside each: a real istiod, which reads a
// Kubernetes API that this process serves, and real Envoys.
package mesh
