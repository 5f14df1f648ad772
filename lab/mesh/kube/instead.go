package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"fleetman.example/lab/manifest"
)

// openAPI is the path that kubectl apply, create and replace request first.
const openAPI = "/openapi/v2"

// instead returns the command to use in place of a request that the API does not serve, or "" for a
// request that it serves.
func instead(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if len(parts) >= 6 && parts[2] == "namespaces" && parts[4] == "pods" {
		pod := parts[5]
		if parts[3] != manifest.DefaultNamespace {
			pod = parts[3] + "/" + pod
		}
		if command := ofPod(r, pod, strings.Join(parts[6:], "/")); command != "" {
			return command
		}
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/scale") && !reads:
		return "restart the fleet with fleetman up --replicas DEPLOYMENT=NUMBER"
	case slices.Contains(parts, "deployments") && !reads:
		return "use fleetman kill POD to restart a pod, and fleetman up to restart the fleet with other Deployments"
	case r.URL.Path == openAPI || !reads:
		return "use fleetman apply DIR|FILE..., which validates the manifests with Istio and applies all of them or none"
	}
	return ""
}

// ofPod returns the command for a request to a pod, or to a subresource of it.
func ofPod(r *http.Request, pod, subresource string) string {
	switch subresource {
	case "":
		if r.Method == http.MethodDelete {
			return fmt.Sprintf("use fleetman kill %s, which terminates the pod as its deletion does", pod)
		}
	case "log":
		if r.URL.Query().Get("container") == "istio-proxy" {
			pod += ".envoy"
		}
		return "use fleetman logs " + pod
	case "exec", "attach":
		return "run the command in a shell: a pod is a process of this machine, and fleetman pods -o json has its id"
	case "ephemeralcontainers":
		return "run the command in a shell: a pod is a process of this machine; fleetman pods -o json has the names that lead through its proxy"
	}
	return ""
}
