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
		if field, why := d.idleBecause(m, mapOf(object["spec"])); field != "" {
			d.note("%s: %s: %s: changes no proxy: %s", m.Source, m.Ref(), field, why)
		}
	}
}

// idleBecause returns the field that makes an object idle and why, or "" when the object is not idle. It
// ignores objects for which another method adds a note.
func (d *deriver) idleBecause(m manifest.Object, spec map[string]any) (field, why string) { //nolint:gocyclo // one case for each kind
	if field, why = d.readByNone(m); field != "" {
		return field, why
	}
	if field, why = d.exportedToNone(m, spec); field != "" {
		return field, why
	}
	labels := func(field string) any { return mapOf(spec[field])["matchLabels"] }
	switch m.Kind {
	case "AuthorizationPolicy":
		return d.selectsNone(m, "spec.selector.matchLabels", labels("selector"), spec)
	case "PeerAuthentication":
		if field, why = d.selectsNone(m, "spec.selector.matchLabels", labels("selector"), spec); field == "" {
			field, why = d.portsOfNone(m, spec)
		}
	case "RequestAuthentication":
		if field, why = d.selectsNone(m, "spec.selector.matchLabels", labels("selector"), spec); field == "" && empty(spec["jwtRules"]) {
			field, why = "spec.jwtRules", "there are none"
		}
	case "Telemetry":
		if field, why = d.selectsNone(m, "spec.selector.matchLabels", labels("selector"), spec); field == "" {
			field, why = d.reportsNothing(spec)
		}
	case "EnvoyFilter":
		if field, why = d.selectsNone(m, "spec.workloadSelector.labels", mapOf(spec["workloadSelector"])["labels"], spec); field == "" && empty(spec["configPatches"]) {
			field, why = "spec.configPatches", "there are none"
		}
	case "Sidecar":
		return d.selectsNone(m, "spec.workloadSelector.labels", mapOf(spec["workloadSelector"])["labels"], spec)
	case "DestinationRule":
		if field, why = d.selectsNone(m, "spec.workloadSelector.matchLabels", labels("workloadSelector"), spec); field == "" {
			field, why = d.rulesNothing(m, spec)
		}
	case "VirtualService":
		d.unreachable(m, spec)
	case "WorkloadEntry":
		return d.joinsNothing(m, spec)
	}
	return field, why
}

// readByNone returns why no control plane reads an object: its label names another revision.
func (d *deriver) readByNone(m manifest.Object) (field, why string) {
	object, err := objectOf(m)
	if err != nil {
		return "", ""
	}
	if revision := revisionOf(object); revision != "" && !slices.Contains(d.Revisions, revision) {
		return "metadata.labels", fmt.Sprintf("%s: %s: no pod is under that revision", manifest.RevisionLabel, revision)
	}
	return "", ""
}

func empty(list any) bool {
	items, _ := list.([]any)
	return len(items) == 0
}

// rulesNothing returns why a DestinationRule is idle: an unknown host, no policy, or a policy for a port that
// the host does not have.
func (d *deriver) rulesNothing(m manifest.Object, spec map[string]any) (field, why string) {
	host, _ := spec["host"].(string)
	if !d.knows(host, m.Namespace) {
		return "spec.host", host + ": no Service and no ServiceEntry has that host"
	}
	if spec["trafficPolicy"] == nil && empty(spec["subsets"]) {
		return "spec", "neither trafficPolicy nor subsets"
	}
	var ports []int
	for known, of := range d.hosts() {
		if covers(host, m.Namespace, known) {
			ports = append(ports, of...)
		}
	}
	settings := func(at string, policy any) (field, why string) {
		list, _ := mapOf(policy)["portLevelSettings"].([]any)
		for i, setting := range list {
			if number, _ := mapOf(mapOf(setting)["port"])["number"].(float64); !slices.Contains(ports, int(number)) {
				return fmt.Sprintf("%s.portLevelSettings[%d].port.number", at, i), fmt.Sprintf("%v: %s has no such port", number, host)
			}
		}
		return "", ""
	}
	field, why = settings("spec.trafficPolicy", spec["trafficPolicy"])
	subsets, _ := spec["subsets"].([]any)
	for i := 0; i < len(subsets) && field == ""; i++ {
		field, why = settings(fmt.Sprintf("spec.subsets[%d].trafficPolicy", i), mapOf(subsets[i])["trafficPolicy"])
	}
	return field, why
}

// unreachable notes a VirtualService, for sidecars alone, whose hosts are unknown: proxies have its routes, but
// no request reaches them. istioctl analyze checks the hosts of a VirtualService for a gateway.
func (d *deriver) unreachable(m manifest.Object, spec map[string]any) {
	gateways, _ := spec["gateways"].([]any)
	hosts, _ := spec["hosts"].([]any)
	if mesh := len(gateways) == 0 || len(gateways) == 1 && gateways[0] == "mesh"; !mesh || len(hosts) == 0 {
		return
	}
	for _, host := range hosts {
		name, _ := host.(string)
		if _, known := d.fullName(name); known || d.knows(name, m.Namespace) {
			return
		}
	}
	d.note("%s: %s: spec.hosts: %v: no request reaches its routes: no Service and no ServiceEntry has one of these hosts", m.Source, m.Ref(), hosts)
}

// joinsNothing returns why a WorkloadEntry is idle: it is an endpoint of the ServiceEntries and Services that
// select its labels.
func (d *deriver) joinsNothing(m manifest.Object, spec map[string]any) (field, why string) {
	labels := stringMap(mapOf(spec["labels"]))
	for _, s := range d.services {
		if selects(s, m.Namespace, labels) {
			return "", ""
		}
	}
	for _, o := range d.objects {
		selector := mapOf(mapOf(mapOf(o["spec"])["workloadSelector"])["labels"])
		if o["kind"] == "ServiceEntry" && mapOf(o["metadata"])["namespace"] == m.Namespace && len(selector) > 0 && selectedBy(selector, labels) {
			return "", ""
		}
	}
	return "spec.labels", fmt.Sprintf("%v: no ServiceEntry and no Service of its namespace selects them", labels)
}

// reportsNothing returns why a Telemetry object is idle: its providers are not in the mesh.
func (d *deriver) reportsNothing(spec map[string]any) (field, why string) {
	providers := []string{"envoy", "prometheus", "stackdriver"} // istiod's own
	if d.Collector != nil {
		providers = append(providers, collectorProvider)
	}
	for _, section := range []string{"tracing", "metrics", "accessLogging"} {
		list, _ := spec[section].([]any)
		for i, entry := range list {
			names, _ := mapOf(entry)["providers"].([]any)
			for j, provider := range names {
				if name, _ := mapOf(provider)["name"].(string); !slices.Contains(providers, name) {
					return fmt.Sprintf("spec.%s[%d].providers[%d].name", section, i, j), fmt.Sprintf("%s: must be one of %s", name, strings.Join(providers, ", "))
				}
			}
			switch {
			case section == "tracing" && d.Collector == nil:
				return "spec.tracing", "the mesh has no collector of traces: OTEL_EXPORTER_OTLP_ENDPOINT sets one"
			case section == "metrics" && len(names) == 0:
				return "spec.metrics", "the proxies report their own statistics alone"
			case section == "accessLogging" && len(names) == 0:
				return "spec.accessLogging", "the mesh has no default provider: name one, such as envoy"
			}
		}
	}
	return "", ""
}

// exportedToNone returns spec.exportTo when the namespaces in it have no proxy.
func (d *deriver) exportedToNone(m manifest.Object, spec map[string]any) (field, why string) {
	namespaces, _ := spec["exportTo"].([]any)
	if len(namespaces) == 0 {
		return "", ""
	}
	for _, to := range namespaces {
		namespace, _ := to.(string)
		if namespace == "." {
			namespace = m.Namespace
		}
		if namespace == "*" || namespace == RootNamespace && len(d.Gateways) > 0 ||
			slices.ContainsFunc(d.Pods, func(pod local.MeshPod) bool { return pod.Proxied && pod.Namespace == namespace }) {
			return "", ""
		}
	}
	return "spec.exportTo", fmt.Sprintf("%v: no pod there has a proxy", namespaces)
}

// selectsNone returns the selector's field when, in the scope of the object's namespace, the labels
// select no proxy. When there are no labels, it returns the field of the namespace instead.
func (d *deriver) selectsNone(m manifest.Object, field string, selector any, spec map[string]any) (where, why string) {
	if spec["targetRefs"] != nil || spec["targetRef"] != nil {
		return "", ""
	}
	if t := d.targets(m, selector); len(t.pods) > 0 || len(t.gateways) > 0 {
		return "", ""
	}
	if len(mapOf(selector)) == 0 {
		return "metadata.namespace", m.Namespace + ": no pod there has a proxy"
	}
	return field, fmt.Sprintf("%v: no pod with a proxy has these labels", stringMap(mapOf(selector)))
}

// portsOfNone returns the first field of portLevelMtls whose port no selected pod has.
func (d *deriver) portsOfNone(m manifest.Object, spec map[string]any) (field, why string) {
	ports := mapOf(spec["portLevelMtls"])
	for _, text := range slices.Sorted(maps.Keys(ports)) {
		number, _ := strconv.Atoi(text)
		has := false
		for i := range d.Pods {
			pod := &d.Pods[i]
			if m.Namespace == pod.Namespace && selectedBy(mapOf(spec["selector"])["matchLabels"], PodLabels(pod)) {
				for _, in := range pod.Inbound {
					has = has || in.Declared == number
				}
			}
		}
		if !has {
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
		host += "." + namespace + ".svc.cluster.local"
	}
	suffix, wildcard := strings.CutPrefix(host, "*")
	knownSuffix, knownWildcard := strings.CutPrefix(known, "*")
	return known == host || wildcard && strings.HasSuffix(known, suffix) || knownWildcard && strings.HasSuffix(host, knownSuffix)
}

// objectOf returns an object of the manifests as a map.
func objectOf(m manifest.Object) (Object, error) {
	var object Object
	err := json.Unmarshal(m.JSON, &object)
	return object, err
}
