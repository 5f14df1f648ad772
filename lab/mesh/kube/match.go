package kube

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// targets are the proxies that an object selects.
type targets struct {
	d        *deriver
	pods     []*local.MeshPod
	gateways []*Gateway
}

func (d *deriver) targets(m manifest.Object, selector map[string]string) targets {
	t := targets{d: d}
	in := func(namespace string) bool { return m.Namespace == namespace || m.Namespace == RootNamespace }
	for i := range d.Pods {
		if pod := &d.Pods[i]; pod.Proxied && in(pod.Namespace) && selectedBy(selector, PodLabels(pod)) {
			t.pods = append(t.pods, pod)
		}
	}
	for i := range d.Gateways {
		if g := &d.Gateways[i]; in(RootNamespace) && selectedBy(selector, g.Labels()) {
			t.gateways = append(t.gateways, g)
		}
	}
	return t
}

// without returns the first field of a patch that matches nothing, and why.
func (t targets) without(patch map[string]any) (at, why string) {
	applyTo, match := field[string](patch, "applyTo"), mapOf(patch["match"])
	context := field[string](match, "context")
	switch {
	case applyTo == "BOOTSTRAP":
		return "applyTo", "BOOTSTRAP: a proxy here has a bootstrap of its own"
	case context == "GATEWAY" && len(t.gateways) == 0, strings.HasPrefix(context, "SIDECAR_") && len(t.pods) == 0:
		return "match.context", context + ": the filter selects no such proxy"
	}
	if version := field[string](match, "proxy", "proxyVersion"); version != "" && t.d.IstioVersion != "" {
		if expression, err := regexp.Compile(version); err == nil && !expression.MatchString(t.d.IstioVersion) {
			return "match.proxy.proxyVersion", fmt.Sprintf("%s: the proxies' version is %s", version, t.d.IstioVersion)
		}
	}
	if field[string](patch, "patch", "operation") == "ADD" && slices.Contains([]string{"CLUSTER", "LISTENER", "EXTENSION_CONFIG"}, applyTo) {
		return "", "" // istiod adds these whatever else the match has
	}
	if cluster := mapOf(match["cluster"]); len(cluster) > 0 {
		return t.withoutCluster(context, cluster)
	}
	if routes := mapOf(match["routeConfiguration"]); len(routes) > 0 {
		return t.withoutRoute(context, routes)
	}
	return t.withoutListener(context, mapOf(match["listener"]))
}

// cluster is a cluster that istiod generates. Its name is direction|port|subset|host.
type cluster struct {
	direction, subset string
	port              int
	hosts             []string // for an inbound one, of the Services that lead to it
}

func (c cluster) name() string {
	if c.direction == "inbound" {
		return fmt.Sprintf("inbound|%d||", c.port)
	}
	return fmt.Sprintf("outbound|%d|%s|%s", c.port, c.subset, c.hosts[0])
}

// alwaysClusters are the names of the clusters that every proxy has.
var alwaysClusters = []string{"BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"}

func (t targets) withoutCluster(context string, match map[string]any) (at, why string) {
	name, service, subset := field[string](match, "name"), field[string](match, "service"), field[string](match, "subset")
	port := number(match, "portNumber")
	if full, known := t.d.fullName(service); known && full != service {
		return "match.cluster.service", fmt.Sprintf("%s: must be the full name %s", service, full)
	}
	if slices.Contains(alwaysClusters, name) || slices.ContainsFunc(t.clusters(context), func(c cluster) bool {
		if name != "" { // the only field that counts then
			return c.name() == name
		}
		return (service == "" || slices.Contains(c.hosts, service)) && (subset == "" || c.subset == subset) && (port == 0 || c.port == port)
	}) {
		return "", ""
	}
	written, _ := json.Marshal(match) // decoded from JSON
	return "match.cluster", string(written) + ": no proxy has such a cluster"
}

// clusters returns the clusters of the selected proxies in a context.
func (t targets) clusters(context string) (all []cluster) {
	if context != "SIDECAR_INBOUND" {
		for host, ports := range t.d.hosts() {
			for _, port := range ports {
				for _, subset := range append(t.d.subsets(host), "") {
					all = append(all, cluster{direction: "outbound", subset: subset, port: port, hosts: []string{host}})
				}
			}
		}
	}
	if context == "SIDECAR_OUTBOUND" || context == "GATEWAY" {
		return all
	}
	for _, pod := range t.pods {
		for _, in := range pod.Inbound {
			c := cluster{direction: "inbound", port: in.Port}
			for _, s := range t.d.services {
				if selects(s, pod.Namespace, pod.Labels) {
					c.hosts = append(c.hosts, fullName(s.Name, s.Namespace))
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// withoutRoute checks each field separately: the names of a route configuration, a virtual host and a route.
func (t targets) withoutRoute(context string, match map[string]any) (at, why string) {
	const configuration = "match.routeConfiguration."
	ports, port, name := t.ports(context), number(match, "portNumber"), field[string](match, "name")
	portOfName, _ := strconv.Atoi(digits.FindString(name))
	host, route := field[string](match, "vhost", "name"), field[string](match, "vhost", "route", "name")
	switch {
	case port != 0 && !slices.Contains(ports, port):
		return configuration + "portNumber", fmt.Sprintf("%d: no proxy has routes for that port", port)
	case name != "" && !slices.Contains(ports, portOfName):
		return configuration + "name", name + ": no proxy has routes of that name"
	case host != "" && !t.hasVirtualHost(host, ports):
		return configuration + "vhost.name", host + ": no proxy has a virtual host of that name"
	case route != "" && !t.d.hasRoute(route):
		return configuration + "vhost.route.name", route + ": no proxy has a route of that name"
	}
	return "", ""
}

var digits = regexp.MustCompile(`[0-9]+`)

// hasVirtualHost reports whether a proxy has a virtual host of the name: HOST:PORT, inbound|http|PORT or that
// of calls to unknown hosts.
func (t targets) hasVirtualHost(name string, ports []int) bool {
	if slices.Contains([]string{"allow_any", "block_all"}, name) {
		return true
	}
	at := strings.LastIndexAny(name, ":|")
	if at < 0 {
		return false
	}
	port, err := strconv.Atoi(name[at+1:])
	if err != nil || !slices.Contains(ports, port) {
		return false
	}
	host := name[:at]
	if host == "inbound|http" || host == "blackhole" || host == "*" {
		return true
	}
	if _, known := t.d.hosts()[host]; known {
		return true
	}
	return strings.Contains(host, ".") && slices.ContainsFunc(t.d.specs("VirtualService"), func(spec map[string]any) bool {
		return slices.Contains(items[string](spec, "hosts"), host)
	})
}

// hasRoute reports whether a proxy has a route of the name: that of a VirtualService's route, with or without
// the name of a match, or one of istiod's own.
func (d *deriver) hasRoute(name string) bool {
	if slices.Contains([]string{"default", "allow_any", "block_all"}, name) {
		return true
	}
	return slices.ContainsFunc(d.specs("VirtualService"), func(spec map[string]any) bool {
		return slices.ContainsFunc(mapsOf(spec, "http"), func(route map[string]any) bool {
			own := field[string](route, "name")
			return route["delegate"] != nil || own != "" && (own == name || strings.HasPrefix(name, own+"."))
		})
	})
}

// The filters that istiod generates for proxies without iptables and without Istio's own build of Envoy. A
// test compares them with a running mesh.
var (
	listenerFilters = []string{"envoy.filters.listener.tls_inspector", "envoy.filters.listener.http_inspector"}
	networkFilters  = []string{"envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy", "envoy.filters.network.mongo_proxy", "envoy.filters.network.redis_proxy", "envoy.filters.network.mysql_proxy"}
	httpFilters     = []string{"envoy.filters.http.router", "envoy.filters.http.cors", "envoy.filters.http.fault", "envoy.filters.http.grpc_stats", "envoy.filters.http.grpc_web"}
	// policyFilters are the filters of a kind's objects.
	policyFilters = map[string]string{
		"envoy.filters.network.rbac": "AuthorizationPolicy", "envoy.filters.http.rbac": "AuthorizationPolicy", "envoy.filters.http.jwt_authn": "RequestAuthentication",
	}
)

func (t targets) withoutListener(context string, match map[string]any) (at, why string) {
	if port := number(match, "portNumber"); port != 0 && !slices.Contains(t.ports(context), port) {
		return "match.listener.portNumber", fmt.Sprintf("%d: no proxy has a listener at that port", port)
	}
	for _, f := range []struct {
		path    string
		known   []string
		applyTo string
	}{
		{"listenerFilter", listenerFilters, "LISTENER_FILTER"},
		{"filterChain.filter.name", networkFilters, "NETWORK_FILTER"},
		{"filterChain.filter.subFilter.name", httpFilters, "HTTP_FILTER"},
	} {
		name := field[string](match, strings.Split(f.path, ".")...)
		if name == "" || slices.Contains(f.known, name) || t.d.inserted(f.applyTo, name) || policyFilters[name] != "" && len(t.d.specs(policyFilters[name])) > 0 {
			continue
		}
		return "match.listener." + f.path, name + ": no proxy has a filter of that name"
	}
	return "", ""
}

// inserted reports whether an EnvoyFilter adds a filter of the name, which another EnvoyFilter may match.
func (d *deriver) inserted(applyTo, name string) bool {
	return slices.ContainsFunc(d.specs("EnvoyFilter"), func(spec map[string]any) bool {
		return slices.ContainsFunc(mapsOf(spec, "configPatches"), func(patch map[string]any) bool {
			return patch["applyTo"] == applyTo && field[string](patch, "patch", "value", "name") == name
		})
	})
}

// ports returns the ports of the selected proxies' listeners in a context, and those of the Services behind a
// gateway's.
func (t targets) ports(context string) (all []int) {
	any := context == "" || context == "ANY"
	if any || context == "SIDECAR_INBOUND" {
		for _, pod := range t.pods {
			for _, in := range pod.Inbound {
				all = append(all, in.Port)
			}
		}
	}
	if any && len(t.pods) > 0 || context == "SIDECAR_OUTBOUND" {
		for _, ports := range t.d.hosts() {
			all = append(all, ports...)
		}
	}
	if any || context == "GATEWAY" {
		for _, g := range t.gateways {
			for port := range t.d.gatewayPorts(g) {
				all = append(all, port, GatewayPort(port))
			}
		}
	}
	return all
}

// specs returns the specs of the objects of one of Istio's kinds.
func (d *deriver) specs(kind string) (all []map[string]any) {
	for _, o := range d.objects {
		if o["kind"] == kind {
			all = append(all, mapOf(o["spec"]))
		}
	}
	return all
}

// hosts returns the ports of all Services and ServiceEntries, keyed by their full names.
func (d *deriver) hosts() map[string][]int {
	all := map[string][]int{}
	for _, s := range d.services {
		host := fullName(s.Name, s.Namespace)
		all[host] = nil
		for _, port := range s.Spec.Ports {
			all[host] = append(all[host], int(port.Port))
		}
	}
	for _, spec := range d.specs("ServiceEntry") {
		for _, host := range items[string](spec, "hosts") {
			all[host] = slices.Clone(all[host])
			for _, port := range mapsOf(spec, "ports") {
				all[host] = append(all[host], number(port, "number"))
			}
		}
	}
	return all
}

// fullName returns the full name of a Service, or the host of a ServiceEntry, for any of its names. Of several
// Services with the same short name it returns the first.
func (d *deriver) fullName(name string) (full string, known bool) {
	if _, known := d.hosts()[name]; known {
		return name, true
	}
	for _, s := range d.services {
		if slices.Contains(shortNames(s.Name, s.Namespace), name) {
			return fullName(s.Name, s.Namespace), true
		}
	}
	return name, false
}

// subsets returns the names of a host's subsets, from the DestinationRules.
func (d *deriver) subsets(host string) (names []string) {
	for _, o := range d.objects {
		if o["kind"] != "DestinationRule" || !covers(field[string](o, "spec", "host"), field[string](o, "metadata", "namespace"), host) {
			continue
		}
		for _, subset := range mapsOf(o, "spec", "subsets") {
			names = append(names, field[string](subset, "name"))
		}
	}
	return names
}
