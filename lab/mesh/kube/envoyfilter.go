package kube

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"fleetman.example/lab/manifest"
)

// wildcardListener matches the name that the listener of a port has on a cluster.
var wildcardListener = regexp.MustCompile(`^0\.0\.0\.0_([0-9]+)$`)

// envoyFilter translates an EnvoyFilter's matches from the listeners and ports that proxies have on a
// cluster, with iptables, to those that they have here. It notes the patches that match in no proxy.
func (d *deriver) envoyFilter(m manifest.Object, spec map[string]any) {
	t := d.targets(m, stringMap(spec, selectorOf[m.Kind]...))
	if len(t.pods)+len(t.gateways) == 0 || spec["targetRefs"] != nil || spec["configPatches"] == nil {
		return // idle notes the first, and istiod decides on the second
	}
	translated := []any{}
	for i, patch := range mapsOf(spec, "configPatches") {
		match := mapOf(patch["match"])
		if listener := mapOf(match["listener"]); len(listener) > 0 {
			if why := translate(match, listener); why != "" {
				d.note("%s: %s: spec.configPatches[%d].match.listener: not applied: %s", m.Source, m.Ref(), i, why)
				translated = append(translated, patch)
				continue
			}
		}
		alternatives := t.atMovedPorts(patch)
		at, why := "", ""
		for _, alternative := range alternatives {
			if at, why = t.without(alternative); at == "" {
				break
			}
		}
		if at != "" {
			d.note("%s: %s: spec.configPatches[%d].%s: changes no proxy: %s", m.Source, m.Ref(), i, at, why)
		}
		for _, alternative := range alternatives {
			translated = append(translated, alternative)
		}
	}
	spec["configPatches"] = translated
}

// translate changes a match in place. It returns why no listener here can match, or "".
func translate(match, listener map[string]any) string {
	name, port := field[string](listener, "name"), number(listener, "portNumber")
	chain, chainName := mapOf(listener["filterChain"]), field[string](listener, "filterChain", "name")
	switch {
	case name == "virtualInbound" || port == 15006:
		if context := match["context"]; context == nil || context == "ANY" {
			match["context"] = "SIDECAR_INBOUND"
		}
		delete(listener, "name")
		if port == 15006 {
			delete(listener, "portNumber")
		}
		if strings.HasPrefix(chainName, "virtualInbound") {
			return fmt.Sprintf("filterChain.name: %s: a proxy here has inbound listeners for the ports of its pod alone", chainName)
		}
		delete(chain, "name") // that of a port, such as 0.0.0.0_8080
		if to := wildcardListener.FindStringSubmatch(chainName); to != nil {
			number, _ := strconv.Atoi(to[1])
			listener["portNumber"] = float64(number)
		}
		if to := chain["destinationPort"]; to != nil { // here each port has a listener
			listener["portNumber"] = to
			delete(chain, "destinationPort")
		}
	case name == "virtualOutbound" || port == 15001:
		return "virtualOutbound: a proxy here has outbound listeners for the ports of Services alone"
	case name != "":
		to := wildcardListener.FindStringSubmatch(name)
		if to == nil {
			return fmt.Sprintf("name: %s: a proxy here has its listeners at addresses of its own: match by portNumber", name)
		}
		number, _ := strconv.Atoi(to[1])
		delete(listener, "name")
		listener["portNumber"] = float64(number)
	}
	return ""
}

// certificateFiles are the fields of TLS settings that have the path of a file in the proxy's container.
var certificateFiles = []string{"serverCertificate", "clientCertificate", "privateKey", "caCertificates", "caCrl"}

// fileField returns the path of the first of certificateFiles below a value, and its value.
func fileField(value any, path string) (field, file string) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range certificateFiles {
			if file, _ := value[name].(string); strings.HasPrefix(file, "/") {
				return path + "." + name, file
			}
		}
		for name, child := range value {
			if field, file = fileField(child, path+"."+name); file != "" {
				return field, file
			}
		}
	case []any:
		for i, child := range value {
			if field, file = fileField(child, fmt.Sprintf("%s[%d]", path, i)); file != "" {
				return field, file
			}
		}
	}
	return "", ""
}
