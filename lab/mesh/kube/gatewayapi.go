package kube

import "fleetman.example/lab/manifest"

// routeDefaults sets the defaults that the schema of Gateway API gives a route's fields. istiod ends with a
// panic without some of them.
func routeDefaults(kind *Kind, spec map[string]any) {
	if kind.Group != manifest.GatewayGroup || kind.Kind != "HTTPRoute" && kind.Kind != "GRPCRoute" {
		return
	}
	for _, parent := range mapsOf(spec, "parentRefs") {
		setField(parent, "group", manifest.GatewayGroup)
		setField(parent, "kind", "Gateway")
	}
	http := kind.Kind == "HTTPRoute"
	if http {
		setField(spec, "rules", []any{map[string]any{}})
	}
	for _, rule := range mapsOf(spec, "rules") {
		if http {
			setField(rule, "matches", []any{map[string]any{}})
		}
		for _, match := range mapsOf(rule, "matches") {
			matchDefaults(match, http)
		}
		filterDefaults(rule)
		for _, ref := range mapsOf(rule, "backendRefs") {
			setField(ref, "weight", float64(1))
			backendDefaults(ref)
			filterDefaults(ref)
		}
	}
}

func matchDefaults(match map[string]any, http bool) {
	if http {
		setField(match, "path", map[string]any{})
		setField(mapOf(match["path"]), "type", "PathPrefix")
		setField(mapOf(match["path"]), "value", "/")
	} else if method := mapOf(match["method"]); method != nil {
		setField(method, "type", "Exact")
	}
	for _, list := range []string{"headers", "queryParams"} {
		for _, condition := range mapsOf(match, list) {
			setField(condition, "type", "Exact")
		}
	}
}

// filterDefaults sets those of the filters of a rule or a backend.
func filterDefaults(of map[string]any) {
	for _, filter := range mapsOf(of, "filters") {
		if mirror := field[map[string]any](filter, "requestMirror", "backendRef"); mirror != nil {
			backendDefaults(mirror)
		}
		if redirect := mapOf(filter["requestRedirect"]); redirect != nil {
			setField(redirect, "statusCode", float64(302))
		}
	}
}

func backendDefaults(ref map[string]any) {
	setField(ref, "group", "")
	setField(ref, "kind", "Service")
}

// setField sets a field that is not there.
func setField(of map[string]any, name string, value any) {
	if _, there := of[name]; !there {
		of[name] = value
	}
}
