// Package kube serves the Kubernetes API that istiod reads: read-only, from objects in memory, with
// the lists, watches and resource versions that clients of a real API server rely on.
package kube
