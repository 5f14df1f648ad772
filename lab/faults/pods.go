package faults

import (
	"slices"
	"strings"

	"fleetman.example/lab/local"
	"fleetman.example/lab/usage"
)

// Find returns the pods with a name: the pod of that name or, if there is none, all pods of the Service,
// the Deployment or the program of that name.
func Find(pods []local.Pod, name string) ([]local.Pod, error) {
	bare := strings.TrimPrefix(name, "fleetman-")
	for _, matches := range []func(local.Pod) bool{
		func(p local.Pod) bool { return p.Name == name },
		func(p local.Pod) bool {
			return slices.ContainsFunc(p.Services, func(s string) bool { return strings.TrimPrefix(s, "fleetman-") == bare })
		},
		func(p local.Pod) bool { return strings.TrimPrefix(p.Deployment, "fleetman-") == bare },
		func(p local.Pod) bool { return p.Program == bare },
	} {
		var found []local.Pod
		for _, p := range pods {
			if matches(p) {
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	var services, names []string
	for _, p := range pods {
		services, names = append(services, p.Deployment), append(names, p.Name)
	}
	slices.Sort(services)
	return nil, usage.Errorf("%q: must be a service (%s) or a pod (%s)",
		name, strings.Join(slices.Compact(services), ", "), strings.Join(names, ", "))
}
