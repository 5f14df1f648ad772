package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/manifest"
)

// idle notes the objects of the manifests that change no proxy's configuration:
// istiod accepts them in silence.
func (d *deriver) idle() {
	for _, m := range d.Manifests.All {
		kind := KindOf(m.APIVersion, m.Kind)
		if kind == nil || !kind.Istio() {
			continue
		}
		object, err := objectOf(m)
		if err != nil {
			continue // read has returned it
		}
		if field, why := d.idleBecause(m, mapOf(object["spec"])); field != "" {
			d.note("%s: %s: %s: changes no proxy: %s", m.Source, m.Ref(), field, why)
		}
	}
}

// idleBecause returns the field that makes an object idle, "" when none does.
// The objects that are noted elsewhere are not among them.
func (d *deriver) idleBecause(m manifest.Object, spec map[string]any) (field, why string) {
	switch m.Kind {
	case "AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "Telemetry":
		if field, why = d.selectsNone(m, "spec.selector.matchLabels", mapOf(mapOf(spec["selector"])["matchLabels"]), spec); field != "" {
			return field, why
		}
		return d.portsOfNone(m, spec)
	case "EnvoyFilter", "Sidecar":
		return d.selectsNone(m, "spec.workloadSelector.labels", mapOf(mapOf(spec["workloadSelector"])["labels"]), spec)
	case "DestinationRule":
		host, _ := spec["host"].(string)
		if field, why = d.selectsNone(m, "spec.workloadSelector.matchLabels", mapOf(mapOf(spec["workloadSelector"])["matchLabels"]), spec); field != "" {
			return field, why
		}
		if !d.knows(host, m.Namespace) {
			return "spec.host", host + ": no Service and no ServiceEntry has that host"
		}
	case "VirtualService":
		gateways, _ := spec["gateways"].([]any)
		hosts, _ := spec["hosts"].([]any)
		unknown := func(host any) bool { text, _ := host.(string); return !d.knows(text, m.Namespace) }
		if len(hosts) > 0 && (len(gateways) == 0 || len(gateways) == 1 && gateways[0] == "mesh") && !slices.ContainsFunc(hosts, func(h any) bool { return !unknown(h) }) {
			return "spec.hosts", fmt.Sprintf("%v: no Service and no ServiceEntry has one of these hosts", hosts)
		}
	}
	return "", ""
}

// selectsNone returns the field when the labels, in the scope of the object's
// namespace, select no proxy, and the namespace when there are no labels.
func (d *deriver) selectsNone(m manifest.Object, field string, selector, spec map[string]any) (where, why string) {
	if spec["targetRefs"] != nil || spec["targetRef"] != nil {
		return "", ""
	}
	inScope := func(namespace string, set map[string]string) bool {
		return (m.Namespace == namespace || m.Namespace == RootNamespace) && selectedBy(selector, set)
	}
	for i := range d.Pods {
		if pod := &d.Pods[i]; pod.Proxied && inScope(pod.Namespace, PodLabels(pod)) {
			return "", ""
		}
	}
	for i := range d.Gateways {
		if inScope(RootNamespace, d.Gateways[i].Labels()) {
			return "", ""
		}
	}
	if len(selector) == 0 {
		return "metadata.namespace", m.Namespace + ": no pod there has a proxy"
	}
	return field, fmt.Sprintf("%v: no pod with a proxy has these labels", stringMap(selector))
}

// portsOfNone returns the field of portLevelMtls for a port that no selected pod
// has.
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

// knows reports whether a host, as an object of a namespace names it, is that of
// a Service or ServiceEntry. A wildcard is known when it covers one.
func (d *deriver) knows(host, namespace string) bool {
	full := host
	if !strings.ContainsAny(host, ".*") {
		full = host + "." + namespace + ".svc.cluster.local"
	}
	same := func(known string) bool {
		suffix, wildcard := strings.CutPrefix(full, "*")
		knownSuffix, knownWildcard := strings.CutPrefix(known, "*")
		return known == full || wildcard && strings.HasSuffix(known, suffix) || knownWildcard && strings.HasSuffix(full, knownSuffix)
	}
	for _, s := range d.services {
		qualified := s.Name + "." + s.Namespace + ".svc.cluster.local"
		if same(qualified) || full == s.Name+"."+s.Namespace || full == s.Name+"."+s.Namespace+".svc" {
			return true
		}
	}
	for _, o := range d.objects {
		if o["kind"] != "ServiceEntry" {
			continue
		}
		hosts, _ := mapOf(o["spec"])["hosts"].([]any)
		for _, known := range hosts {
			if text, ok := known.(string); ok && (same(text) || text == host) {
				return true
			}
		}
	}
	return false
}

// objectOf is an object of the manifests as a map.
func objectOf(m manifest.Object) (Object, error) {
	var object Object
	err := json.Unmarshal(m.JSON, &object)
	return object, err
}
