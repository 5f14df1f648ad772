package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// objectLists are, by kind, the paths below spec of the lists of objects that fleetman reads. The code that reads
// them may skip an element that is not an object, so checkLists rejects it first.
var objectLists = map[string][]string{
	"VirtualService":        {"http[].match[]", "http[].route[]", "tcp[].match[]", "tcp[].route[]", "tls[].match[]", "tls[].route[]"},
	"DestinationRule":       {"trafficPolicy.portLevelSettings[]", "subsets[].trafficPolicy.portLevelSettings[]"},
	"Gateway":               {"servers[]", "listeners[]"},
	"ServiceEntry":          {"ports[]", "endpoints[]"},
	"Sidecar":               {"ingress[]", "egress[]"},
	"EnvoyFilter":           {"configPatches[]"},
	"AuthorizationPolicy":   {"rules[].from[]", "rules[].to[]", "rules[].when[]"},
	"RequestAuthentication": {"jwtRules[]"},
	"Telemetry":             {"tracing[].providers[]", "metrics[].providers[]", "metrics[].overrides[]", "accessLogging[].providers[]"},
	"HTTPRoute":             routeLists,
	"GRPCRoute":             routeLists,
}

var routeLists = []string{
	"parentRefs[]", "rules[].matches[].headers[]", "rules[].matches[].queryParams[]", "rules[].filters[]", "rules[].backendRefs[].filters[]",
}

// checkLists returns an error if a value in objectLists is not a list, or if one of its elements is not an object.
func checkLists(kind string, data []byte) error {
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return errors.New(wrongType(err))
	}
	for _, path := range objectLists[kind] {
		if err := checkList("spec", object.Spec, strings.Split(path, ".")); err != nil {
			return err
		}
	}
	return nil
}

// checkList checks the lists at a path below an object. at is the path of the object itself.
func checkList(at string, object map[string]any, path []string) error {
	if len(path) == 0 {
		return nil
	}
	name, isList := strings.CutSuffix(path[0], "[]")
	value := object[name]
	at += "." + name
	list, ok := value.([]any)
	switch {
	case value == nil:
		return nil
	case !isList:
		return checkElement(at, value, path[1:])
	case !ok:
		return fmt.Errorf("%s: %s: must be a list", at, typeOf(value))
	}
	for i, element := range list {
		if err := checkElement(fmt.Sprintf("%s[%d]", at, i), element, path[1:]); err != nil {
			return err
		}
	}
	return nil
}

func checkElement(at string, value any, path []string) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %s: must be an object", at, typeOf(value))
	}
	return checkList(at, object, path)
}

// typeOf returns the type of a decoded value, in the terms of YAML.
func typeOf(value any) string {
	if value == nil {
		return "null"
	}
	return goType(reflect.TypeOf(value))
}
