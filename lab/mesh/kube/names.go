package kube

import (
	"slices"
	"strings"

	"fleetman.example/lab/local"
)

// HostsFile returns the hosts(5) file of a pod with a proxy. It resolves every name of a Service or a
// ServiceEntry to the address of the pod's proxy; Services of the pod's namespace also have their short
// name. It also returns the wildcard hosts, which a hosts file cannot contain.
func HostsFile(objects []Object, pod *local.MeshPod) (text []byte, wildcards []string) {
	var names []string
	for _, o := range objects {
		metadata := mapOf(o["metadata"])
		name, _ := metadata["name"].(string)
		namespace, _ := metadata["namespace"].(string)
		switch o["kind"] {
		case "Service":
			if namespace == pod.Namespace {
				names = append(names, name)
			}
			names = append(names, name+"."+namespace, name+"."+namespace+".svc", name+"."+namespace+".svc.cluster.local")
		case "ServiceEntry":
			hosts, _ := mapOf(o["spec"])["hosts"].([]any)
			for _, host := range hosts {
				switch text, _ := host.(string); {
				case strings.HasPrefix(text, "*"):
					wildcards = append(wildcards, text)
				case text != "":
					names = append(names, text)
				}
			}
		}
	}
	slices.Sort(names)
	var out strings.Builder
	out.WriteString("# kept by fleetman: every name resolves to the pod's own proxy\n")
	for _, name := range slices.Compact(names) {
		out.WriteString(pod.Outbound.String() + " " + name + "\n")
	}
	return []byte(out.String()), wildcards
}

// Endpoints returns the addresses of a Service's ready pods, or those of all its pods when none is ready.
// The host is the Service's name with its namespace, and optionally with svc or svc.cluster.local. known
// is false when there is no such Service.
func Endpoints(objects []Object, host string) (addresses []string, known bool) {
	name, rest, _ := strings.Cut(host, ".")
	namespace, suffix, _ := strings.Cut(rest, ".")
	if suffix != "" && suffix != "svc" && suffix != "svc.cluster.local" {
		return nil, false
	}
	var ready, all []string
	for _, o := range objects {
		metadata := mapOf(o["metadata"])
		if metadata["namespace"] != namespace {
			continue
		}
		switch labels := mapOf(metadata["labels"]); {
		case o["kind"] == "Service" && metadata["name"] == name:
			known = true
		case o["kind"] == "EndpointSlice" && labels["kubernetes.io/service-name"] == name:
			endpoints, _ := o["endpoints"].([]any)
			for _, e := range endpoints {
				for _, address := range mapOf(e)["addresses"].([]any) {
					all = append(all, address.(string))
					if mapOf(mapOf(e)["conditions"])["ready"] == true {
						ready = append(ready, address.(string))
					}
				}
			}
		}
	}
	if len(ready) == 0 {
		return all, known
	}
	return ready, known
}
