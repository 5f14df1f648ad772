// Package cluster runs fleets on a Kubernetes cluster, through its API server alone: it applies manifests,
// waits for pods, reads logs and statistics, and reaches pods by port-forward.
package cluster
