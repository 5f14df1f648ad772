package kube

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// translateAll replaces the ports of the manifests in Istio's objects by those of this mesh: a pod's port below
// 1024 is replaced where the user may not listen at it.
func (d *deriver) translateAll() {
	for m := range d.istio() {
		i := slices.IndexFunc(d.objects, func(o Object) bool {
			return o["kind"] == m.Kind && field[string](o, "metadata", "name") == m.Name && field[string](o, "metadata", "namespace") == m.Namespace
		})
		if i < 0 {
			continue
		}
		switch spec := mapOf(d.objects[i]["spec"]); m.Kind {
		case "EnvoyFilter":
			d.envoyFilter(m, spec)
		case "PeerAuthentication":
			movePortLevel(mapOf(spec["portLevelMtls"]), d.selected(m, spec))
		case "AuthorizationPolicy":
			moveOperations(spec, d.selected(m, spec))
		case "ServiceEntry":
			if selector := stringMap(spec, "workloadSelector", "labels"); len(selector) > 0 {
				moveTargets(spec, d.targets(m, selector).pods)
			}
		}
	}
}

// istio returns the objects of the manifests whose kinds are Istio's.
func (d *deriver) istio() iter.Seq[manifest.Object] {
	return func(yield func(manifest.Object) bool) {
		for _, m := range d.Manifests.All {
			if kind := KindOf(m.APIVersion, m.Kind); kind != nil && kind.Istio() && !yield(m) {
				return
			}
		}
	}
}

// selected returns the pods that a policy selects.
func (d *deriver) selected(m manifest.Object, spec map[string]any) []*local.MeshPod {
	return d.targets(m, stringMap(spec, selectorOf[m.Kind]...)).pods
}

// moved returns the other ports at which pods serve a port of the manifests. kept reports whether a pod serves
// it at the same port.
func moved(pods []*local.MeshPod, port int) (to []int, kept bool) {
	for _, pod := range pods {
		for _, in := range pod.Inbound {
			switch {
			case in.Declared != port:
			case in.Port == port:
				kept = true
			case !slices.Contains(to, in.Port):
				to = append(to, in.Port)
			}
		}
	}
	return to, kept
}

func movePortLevel(modes map[string]any, pods []*local.MeshPod) {
	for _, text := range slices.Sorted(maps.Keys(modes)) {
		port, _ := strconv.Atoi(text)
		to, kept := moved(pods, port)
		for _, number := range to {
			modes[strconv.Itoa(number)] = modes[text]
		}
		if len(to) > 0 && !kept {
			delete(modes, text)
		}
	}
}

// moveOperations adds the other ports to a policy's ports. In such a list a port that no pod has is harmless.
func moveOperations(spec map[string]any, pods []*local.MeshPod) {
	add := func(fields map[string]any, names ...string) {
		for _, name := range names {
			for _, text := range items[string](fields, name) {
				port, _ := strconv.Atoi(text)
				to, _ := moved(pods, port)
				for _, other := range to {
					fields[name] = append(slices.Clone(fields[name].([]any)), strconv.Itoa(other))
				}
			}
		}
	}
	for _, rule := range mapsOf(spec, "rules") {
		for _, entry := range mapsOf(rule, "to") {
			add(mapOf(entry["operation"]), "ports", "notPorts")
		}
		for _, condition := range mapsOf(rule, "when") {
			if condition["key"] == "destination.port" {
				add(condition, "values", "notValues")
			}
		}
	}
}

// moveTargets replaces the target ports of a ServiceEntry that selects pods.
func moveTargets(spec map[string]any, pods []*local.MeshPod) {
	for _, port := range mapsOf(spec, "ports") {
		if to, _ := moved(pods, cmp.Or(number(port, "targetPort"), number(port, "number"))); len(to) > 0 {
			port["targetPort"] = float64(to[0])
		}
	}
}

// atMovedPorts returns a copy of an EnvoyFilter's patch for each inbound port that its match means here.
func (t targets) atMovedPorts(patch map[string]any) []map[string]any {
	match := mapOf(patch["match"])
	context := field[string](match, "context")
	if context == "SIDECAR_OUTBOUND" || context == "GATEWAY" {
		return []map[string]any{patch}
	}
	for _, object := range []string{"listener", "cluster", "routeConfiguration"} {
		fields := mapOf(match[object])
		port, name := number(fields, "portNumber"), field[string](fields, "name")
		inbound := strings.HasPrefix(name, "inbound|")
		if inbound {
			port, _ = strconv.Atoi(strings.Split(name, "|")[1])
		}
		to, kept := moved(t.pods, port)
		if len(to) == 0 {
			continue
		}
		var patches []map[string]any
		if kept || context != "SIDECAR_INBOUND" && !inbound {
			patches = append(patches, patch)
		}
		for _, other := range to {
			copied, there, at := maps.Clone(patch), maps.Clone(match), maps.Clone(fields)
			if number(fields, "portNumber") != 0 {
				at["portNumber"] = float64(other)
			}
			if inbound {
				at["name"] = fmt.Sprintf("inbound|%d||", other)
			}
			there["context"], there[object], copied["match"] = "SIDECAR_INBOUND", at, there
			patches = append(patches, copied)
		}
		return patches
	}
	return []map[string]any{patch}
}
