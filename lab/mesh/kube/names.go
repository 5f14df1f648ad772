package kube

import (
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"

	"fleetman.example/lab/local"
)

// HostsFile returns the hosts(5) file of a pod with a proxy. It resolves every name of a Service or a
// ServiceEntry to the address of the pod's proxy; Services of the pod's namespace also have their short
// name. It also returns the wildcard hosts, which a hosts file cannot contain.
func HostsFile(objects []Object, pod *local.MeshPod) (text []byte, wildcards []string) {
	var names []string
	for _, o := range objects {
		name, namespace := field[string](o, "metadata", "name"), field[string](o, "metadata", "namespace")
		switch o["kind"] {
		case "Service":
			short := shortNames(name, namespace)
			if namespace != pod.Namespace {
				short = short[1:]
			}
			names = append(append(names, short...), fullName(name, namespace))
		case "ServiceEntry":
			for _, host := range items[string](o, "spec", "hosts") {
				switch {
				case strings.HasPrefix(host, "*"):
					wildcards = append(wildcards, host)
				case host != "":
					names = append(names, host)
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
		if field[string](o, "metadata", "namespace") != namespace {
			continue
		}
		switch {
		case o["kind"] == "Service" && field[string](o, "metadata", "name") == name:
			known = true
		case o["kind"] == "EndpointSlice" && field[string](o, "metadata", "labels", discoveryv1.LabelServiceName) == name:
			for _, e := range mapsOf(o, "endpoints") {
				all = append(all, items[string](e, "addresses")...)
				if field[bool](e, "conditions", "ready") {
					ready = append(ready, items[string](e, "addresses")...)
				}
			}
		}
	}
	if len(ready) == 0 {
		return all, known
	}
	return ready, known
}

// fullName returns the full name of a Service.
func fullName(name, namespace string) string { return name + "." + namespace + ".svc.cluster.local" }

// shortNames returns the other names of a Service, that for its own namespace first.
func shortNames(name, namespace string) []string {
	return []string{name, name + "." + namespace, name + "." + namespace + ".svc"}
}
