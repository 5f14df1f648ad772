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
		switch {
		case len(parts) == 6 && r.Method == http.MethodDelete:
			return fmt.Sprintf("use fleetman kill %s, which terminates the pod as its deletion does", pod)
		case len(parts) == 7 && parts[6] == "log" && r.URL.Query().Get("container") == "istio-proxy":
			return fmt.Sprintf("use fleetman logs %s.envoy", pod)
		case len(parts) == 7 && parts[6] == "log":
			return "use fleetman logs " + pod
		case len(parts) == 7 && (parts[6] == "exec" || parts[6] == "attach"):
			return "run the command in a shell: a pod is a process of this machine, and fleetman pods -o json has its id"
		case len(parts) == 7 && parts[6] == "ephemeralcontainers":
			return "run the command in a shell: a pod is a process of this machine; fleetman pods -o json has the names that lead through its proxy"
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
