package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// idle notes the objects of the manifests that change no proxy's configuration. istiod accepts them
// without a warning.
func (d *deriver) idle() {
	for m := range d.istio() {
		object, err := objectOf(m)
		if err != nil {
			continue // read has returned the error
		}
		if at, why := d.idleBecause(m, object); at != "" {
			d.note("%s: %s: %s: changes no proxy: %s", m.Source, m.Ref(), at, why)
		}
	}
}

// selectorOf has the paths, below spec, of the labels by which objects select the proxies that they configure.
var selectorOf = map[string][]string{
	"AuthorizationPolicy":   {"selector", "matchLabels"},
	"PeerAuthentication":    {"selector", "matchLabels"},
	"RequestAuthentication": {"selector", "matchLabels"},
	"Telemetry":             {"selector", "matchLabels"},
	"EnvoyFilter":           {"workloadSelector", "labels"},
	"Sidecar":               {"workloadSelector", "labels"},
	"DestinationRule":       {"workloadSelector", "matchLabels"},
}

// idleBecause returns the field that makes an object idle and why, or "" when the object is not idle. It
// ignores objects for which another method adds a note.
func (d *deriver) idleBecause(m manifest.Object, object Object) (at, why string) {
	// the label names another revision, so no control plane reads the object
	if revision := revisionOf(object); revision != "" && !slices.Contains(d.Revisions, revision) {
		return "metadata.labels", fmt.Sprintf("%s: %s: no pod is under that revision", manifest.RevisionLabel, revision)
	}
	spec := mapOf(object["spec"])
	if at, why = d.exportedToNone(m, spec); at != "" {
		return at, why
	}
	if selectorOf[m.Kind] != nil {
		if at, why = d.selectsNone(m, spec); at != "" {
			return at, why
		}
	}
	switch m.Kind {
	case "PeerAuthentication":
		return d.portsOfNone(m, spec)
	case "RequestAuthentication":
		return isEmpty(spec, "jwtRules")
	case "EnvoyFilter":
		return isEmpty(spec, "configPatches")
	case "Telemetry":
		return d.reportsNothing(spec)
	case "DestinationRule":
		return d.rulesNothing(m, spec)
	case "VirtualService":
		d.unreachable(m, spec)
	case "WorkloadEntry":
		return d.joinsNothing(m, spec)
	}
	return "", ""
}

// isEmpty returns the list's field when the list is empty.
func isEmpty(spec map[string]any, list string) (at, why string) {
	if len(field[[]any](spec, list)) == 0 {
		return "spec." + list, "there are none"
	}
	return "", ""
}

// rulesNothing returns why a DestinationRule is idle: an unknown host, no policy, or a policy for a port that
// the host does not have.
func (d *deriver) rulesNothing(m manifest.Object, spec map[string]any) (at, why string) {
	host := field[string](spec, "host")
	if !d.knows(host, m.Namespace) {
		return "spec.host", host + ": no Service and no ServiceEntry has that host"
	}
	subsets := mapsOf(spec, "subsets")
	if spec["trafficPolicy"] == nil && len(subsets) == 0 {
		return "spec", "neither trafficPolicy nor subsets"
	}
	var ports []int
	for known, of := range d.hosts() {
		if covers(host, m.Namespace, known) {
			ports = append(ports, of...)
		}
	}
	settings := func(at string, of map[string]any) (field, why string) {
		for i, setting := range mapsOf(of, "trafficPolicy", "portLevelSettings") {
			if port := number(setting, "port", "number"); !slices.Contains(ports, port) {
				return fmt.Sprintf("%s.trafficPolicy.portLevelSettings[%d].port.number", at, i), fmt.Sprintf("%d: %s has no such port", port, host)
			}
		}
		return "", ""
	}
	at, why = settings("spec", spec)
	for i := 0; i < len(subsets) && at == ""; i++ {
		at, why = settings(fmt.Sprintf("spec.subsets[%d]", i), subsets[i])
	}
	return at, why
}

// unreachable notes a VirtualService, for sidecars alone, whose hosts are unknown: proxies have its routes, but
// no request reaches them. istioctl analyze checks the hosts of a VirtualService for a gateway.
func (d *deriver) unreachable(m manifest.Object, spec map[string]any) {
	gateways, hosts := items[string](spec, "gateways"), items[string](spec, "hosts")
	if mesh := len(gateways) == 0 || slices.Equal(gateways, []string{"mesh"}); !mesh || len(hosts) == 0 {
		return
	}
	for _, name := range hosts {
		if _, known := d.fullName(name); known || d.knows(name, m.Namespace) {
			return
		}
	}
	d.note("%s: %s: spec.hosts: %v: no request reaches its routes: no Service and no ServiceEntry has one of these hosts", m.Source, m.Ref(), hosts)
}

// joinsNothing returns why a WorkloadEntry is idle: it is an endpoint of the ServiceEntries and Services that
// select its labels.
func (d *deriver) joinsNothing(m manifest.Object, spec map[string]any) (at, why string) {
	labels := stringMap(spec, "labels")
	for _, s := range d.services {
		if selects(s, m.Namespace, labels) {
			return "", ""
		}
	}
	for _, o := range d.objects {
		selector := stringMap(o, "spec", "workloadSelector", "labels")
		if o["kind"] == "ServiceEntry" && field[string](o, "metadata", "namespace") == m.Namespace && len(selector) > 0 && selectedBy(selector, labels) {
			return "", ""
		}
	}
	return "spec.labels", fmt.Sprintf("%v: no ServiceEntry and no Service of its namespace selects them", labels)
}

// reportsNothing returns why a Telemetry object is idle: its providers are not in the mesh.
func (d *deriver) reportsNothing(spec map[string]any) (at, why string) {
	providers := []string{"envoy", "prometheus", "stackdriver"} // istiod's own
	if d.Collector != nil {
		providers = append(providers, collectorProvider)
	}
	for _, section := range []string{"tracing", "metrics", "accessLogging"} {
		for i, entry := range mapsOf(spec, section) {
			named := mapsOf(entry, "providers")
			for j, provider := range named {
				if name := field[string](provider, "name"); !slices.Contains(providers, name) {
					return fmt.Sprintf("spec.%s[%d].providers[%d].name", section, i, j), fmt.Sprintf("%s: must be one of %s", name, strings.Join(providers, ", "))
				}
			}
			switch {
			case section == "tracing" && d.Collector == nil:
				return "spec.tracing", "the mesh has no collector of traces: OTEL_EXPORTER_OTLP_ENDPOINT sets one"
			case section == "metrics" && len(named) == 0:
				return "spec.metrics", "the proxies report their own statistics alone"
			case section == "accessLogging" && len(named) == 0:
				return "spec.accessLogging", "the mesh has no default provider: name one, such as envoy"
			}
		}
	}
	return "", ""
}

// exportedToNone returns spec.exportTo when the namespaces in it have no proxy.
func (d *deriver) exportedToNone(m manifest.Object, spec map[string]any) (at, why string) {
	namespaces := items[string](spec, "exportTo")
	for _, namespace := range namespaces {
		if namespace == "." {
			namespace = m.Namespace
		}
		if namespace == "*" || namespace == RootNamespace && len(d.Gateways) > 0 ||
			slices.ContainsFunc(d.Pods, func(pod local.MeshPod) bool { return pod.Proxied && pod.Namespace == namespace }) {
			return "", ""
		}
	}
	if len(namespaces) == 0 {
		return "", ""
	}
	return "spec.exportTo", fmt.Sprintf("%v: no pod there has a proxy", namespaces)
}

// selectsNone returns the selector's field when, in the scope of the object's namespace, the labels
// select no proxy. When there are no labels, it returns the field of the namespace instead.
func (d *deriver) selectsNone(m manifest.Object, spec map[string]any) (at, why string) {
	if spec["targetRefs"] != nil || spec["targetRef"] != nil {
		return "", ""
	}
	selector := stringMap(spec, selectorOf[m.Kind]...)
	switch t := d.targets(m, selector); {
	case len(t.pods) > 0 || len(t.gateways) > 0:
		return "", ""
	case len(selector) == 0:
		return "metadata.namespace", m.Namespace + ": no pod there has a proxy"
	}
	return "spec." + strings.Join(selectorOf[m.Kind], "."), fmt.Sprintf("%v: no pod with a proxy has these labels", selector)
}

// portsOfNone returns the first field of portLevelMtls whose port no selected pod has.
func (d *deriver) portsOfNone(m manifest.Object, spec map[string]any) (at, why string) {
	selector := stringMap(spec, selectorOf[m.Kind]...)
	for _, text := range slices.Sorted(maps.Keys(mapOf(spec["portLevelMtls"]))) {
		number, _ := strconv.Atoi(text)
		if !slices.ContainsFunc(d.Pods, func(pod local.MeshPod) bool {
			return m.Namespace == pod.Namespace && selectedBy(selector, PodLabels(&pod)) &&
				slices.ContainsFunc(pod.Inbound, func(in local.Inbound) bool { return in.Declared == number })
		}) {
			return "spec.portLevelMtls." + text, "the selected pods have no such port"
		}
	}
	return "", ""
}

// knows reports whether a host, in an object of the given namespace, is that of a Service or a
// ServiceEntry. A wildcard is known when it matches one.
func (d *deriver) knows(host, namespace string) bool {
	for known := range d.hosts() {
		if covers(host, namespace, known) {
			return true
		}
	}
	return false
}

// covers reports whether a host, in an object of the given namespace, matches a known full name. Both may
// be wildcards.
func covers(host, namespace, known string) bool {
	if !strings.ContainsAny(host, ".*") {
		host = fullName(host, namespace)
	}
	suffix, wildcard := strings.CutPrefix(host, "*")
	knownSuffix, knownWildcard := strings.CutPrefix(known, "*")
	return known == host || wildcard && strings.HasSuffix(known, suffix) || knownWildcard && strings.HasSuffix(host, knownSuffix)
}

// objectOf returns an object of the manifests as a map.
func objectOf(m manifest.Object) (object Object, err error) {
	err = json.Unmarshal(m.JSON, &object)
	return object, err
}
