// Package kube serves a read-only Kubernetes API from objects in memory, for istiod, kubectl and
// istioctl. Lists, watches and resource versions work as those of a real API server. Derive makes the
// objects from the manifests and the state of the fleet.
package kube
