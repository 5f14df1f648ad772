package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/experiment"
)

// report is a vehicle's position, as the fleet's programs accept it.
const report = `{"name":"City Truck","lat":53.37,"lng":-1.48,"timestamp":"2026-01-01T00:00:00.000+0000"}`

// Requests of the fleet's programs. Those without a callee are answered by the
// program alone.
var (
	reads = map[string]string{
		"webapp": "/", "api-gateway": "/", "position-tracker": "/vehicles/",
		"staff-service": "/driver/City%20Truck", "vehicle-telemetry": "/vehicles/City%20Truck",
	}
	writes = map[string]experiment.Stream{
		"position-tracker":  {Method: "POST", Path: "/vehicles/", Body: report, Headers: asJSON},
		"staff-service":     {Method: "POST", Path: "/driver/City%20Truck/50"},
		"vehicle-telemetry": {Method: "POST", Path: "/vehicles/", Body: report, Headers: asJSON},
	}
	asJSON = map[string]string{"Content-Type": "application/json"}
	// through are requests by which a program calls another one.
	through = map[string]experiment.Stream{
		"webapp>api-gateway":                 {Path: "/api/vehicles/driver/City%20Truck"},
		"webapp>api-gateway>staff-service":   {Path: "/api/vehicles/driver/City%20Truck"},
		"api-gateway>staff-service":          {Path: "/vehicles/driver/City%20Truck"},
		"api-gateway>position-tracker":       {Path: "/vehicles/City%20Truck"},
		"position-tracker>staff-service":     {Method: "POST", Path: "/vehicles/", Body: report, Headers: asJSON},
		"position-tracker>vehicle-telemetry": {Method: "POST", Path: "/vehicles/", Body: report, Headers: asJSON},
	}
)

// program returns the program of a service's pods, or an error.
func (s *service) program() (string, error) {
	if s == nil || len(s.workloads) == 0 || s.workloads[0].program == "" {
		return "", errors.New("the Service must be in the manifests, and run one of the fleet's programs, which have the faults")
	}
	return s.workloads[0].program, nil
}

// host returns the Service that the object with the mistake is for.
func (p *proving) host() *service {
	host := p.at.object.at("spec", "host").text()
	if hosts := p.at.object.at("spec", "hosts").texts(); host == "" && len(hosts) > 0 {
		host = hosts[0]
	}
	return p.serviceOf(fullName(host, p.at.object.Namespace))
}

// caller returns whose proxy sends the load: that of a workload that calls the
// service, otherwise the service's own.
func (p *proving) caller(s *service) *workload {
	for _, e := range s.calledBy {
		if e.from.meshed && e.from.hosts > 0 && p.serviceRunning(e.from) != nil {
			return e.from
		}
	}
	return s.workloads[0]
}

// load returns a trial whose load reads from a service, as a caller of it does.
func (p *proving) load(s *service) (*trial, error) {
	program, err := s.program()
	if err != nil {
		return nil, err
	}
	return &trial{
		to: s, from: p.caller(s), streams: []experiment.Stream{{Name: "read", Path: reads[program]}},
		rate: 20, healthy: time.Second, fault: 5 * time.Second,
	}, nil
}

// loadOn is load with what a route's conditions ask for.
func (p *proving) loadOn(s *service, r *route) (*trial, error) {
	t, err := p.load(s)
	if err == nil && r != nil {
		t.streams[0].Headers = r.headers()
	}
	return t, err
}

// headers returns headers with which a request meets the first condition of a
// route.
func (r *route) headers() map[string]string {
	conditions := r.http.at("match").items()
	if len(conditions) == 0 {
		return nil
	}
	found := map[string]string{}
	for _, name := range conditions[0].at("headers").keys() {
		found[name] = conditions[0].at("headers", name).met()
	}
	return found
}

// met returns a header's value with which a request meets a condition, unless that is a regular expression.
func (v value) met() string { return cmp.Or(v.at("exact").or(v.at("prefix")).text(), "lint") }

// loadThrough returns a trial whose load reaches the callee of an edge by its
// caller, at a rate at which requests do not meet.
func (p *proving) loadThrough(e *edge, behind ...string) (*trial, error) {
	program, err := e.to.program()
	if err != nil {
		return nil, err
	}
	path := strings.Join(append([]string{e.from.program, program}, behind...), ">")
	stream, known := through[path]
	entry := p.serviceRunning(e.from)
	if !known || entry == nil {
		return nil, fmt.Errorf("no request of the fleet's programs that the load could send takes the path %s", strings.ReplaceAll(path, ">", " → "))
	}
	stream.Name = "read"
	return &trial{
		to: entry, from: p.caller(entry), streams: []experiment.Stream{stream}, needs: append(slices.Clone(e.to.workloads), e.from),
		rate: 2, healthy: time.Second, fault: 4 * time.Second,
	}, nil
}

// loadFirst returns the first of some calls that the load can let its caller make by
// a method, and a trial that does; nil and the error of the last call without one.
func (p *proving) loadFirst(calls []*edge, by func(method string) bool) (e *edge, t *trial, err error) {
	for _, e := range calls {
		if t, err = p.loadThrough(e); err == nil && by(method(t.streams[0])) {
			return e, t, nil
		}
	}
	return nil, nil, err
}

// route returns the route that a finding in a VirtualService is about, or nil.
func (p *proving) route() *route {
	if len(p.at.path) < 3 || p.at.object.Kind != "VirtualService" {
		return nil
	}
	return first(p.allRoutes, func(r *route) bool { return r.rule == p.at.object && slices.Equal(r.http.path, p.at.path[:3]) })
}

// cluster returns the first cluster that a finding in a DestinationRule is about,
// and a route that leads to it, if one is needed.
func (p *proving) cluster() (*cluster, *route) {
	subset := ""
	if len(p.at.path) > 3 && p.at.path[1].key == "subsets" {
		subset = p.at.path[2].name
	}
	c := first(p.clusters, func(c *cluster) bool {
		return c.rule == p.at.object && (c.subset == subset || subset == "") && c.service != nil
	})
	if c == nil || c.subset == "" {
		return c, nil
	}
	return c, first(p.allRoutes, func(r *route) bool { return slices.Contains(r.to, c.destination) })
}

// loadCluster is load for the cluster of a finding in a DestinationRule.
func (p *proving) loadCluster() (*cluster, *trial, error) {
	c, r := p.cluster()
	if c == nil {
		return nil, nil, errors.New("the Service must be in the manifests")
	}
	t, err := p.loadOn(c.service, r)
	return c, t, err
}

// in injects rules into some pods of a cluster: the first workload's of a subset.
func (c *cluster) in(n int, rules string) []experiment.Injection {
	service := c.service.name
	if w := first(c.service.workloads, func(w *workload) bool { return selects(c.labels, w.labels) }); w != nil && len(c.labels) > 0 {
		service = w.name
	}
	return []experiment.Injection{{Service: service, Replicas: experiment.Replicas{Some: n}, Rules: rules}}
}

// inAll injects rules into all pods of a service.
func inAll(s *service, rules string) []experiment.Injection {
	return []experiment.Injection{{Service: s.name, Replicas: experiment.Replicas{All: true}, Rules: rules}}
}

// around returns the part around a value that a key has, or the value itself if there is none.
func (v value) around(key string) value {
	i := slices.IndexFunc(v.path, func(s step) bool { return s.key == key })
	if i < 0 {
		return v
	}
	return value{v.object, v.path[:i+1], get(v.object.fields, v.path[:i+1])}
}

// put returns a node, or a new object for nil, with a value at a path below it.
// Objects that are missing are made.
func put(node, to any, path []step) any {
	if len(path) == 0 {
		return to
	}
	if s := path[0]; s.index >= 0 {
		if list, _ := node.([]any); s.index < len(list) {
			list[s.index] = put(list[s.index], to, path[1:])
		}
		return node
	}
	if node == nil {
		node = map[string]any{}
	}
	if within, ok := node.(map[string]any); ok {
		within[path[0].key] = put(within[path[0].key], to, path[1:])
	}
	return node
}

// get returns the value at a path below a node, or nil.
func get(node any, path []step) any {
	for _, s := range path {
		if list, _ := node.([]any); s.index >= 0 && s.index < len(list) {
			node = list[s.index]
			continue
		}
		within, _ := node.(map[string]any)
		node = within[s.key]
	}
	return node
}

// change returns a change that puts something in the place of a value.
func change(v value, to any) func(map[string]any) {
	return func(fields map[string]any) { put(fields, to, v.path) }
}

// removal returns a change that removes a value of an object.
func removal(v value) func(map[string]any) {
	return func(fields map[string]any) {
		last := len(v.path) - 1
		within, _ := get(fields, v.path[:last]).(map[string]any)
		delete(within, v.path[last].key)
	}
}

// variables returns a change that sets variables of a workload's first container.
func variables(w *workload, pairs ...string) func(map[string]any) {
	return func(fields map[string]any) {
		path := w.container().at("env").path
		env, _ := get(fields, path).([]any)
		for pair := range slices.Chunk(pairs, 2) {
			env = slices.DeleteFunc(env, func(item any) bool {
				fields, _ := item.(map[string]any)
				return fields["name"] == pair[0]
			})
			env = append(env, map[string]any{"name": pair[0], "value": pair[1]})
		}
		put(fields, env, path)
	}
}

// set changes a value in the repaired arm.
func (p *proving) set(v value, to any) { p.repair(v.object, change(v, to)) }

// setBoth changes a value in both arms.
func (p *proving) setBoth(v value, to any) { p.both(v.object, change(v, to)) }

// setVariables sets variables of a workload in the repaired arm.
func (p *proving) setVariables(w *workload, pairs ...string) {
	p.repair(w.object, variables(w, pairs...))
}

// bare switches off what would hide the tries of a workload's library.
func (p *proving) bare(w *workload) {
	p.both(w.object, variables(w, "FALLBACK", "false", "BREAKER_FAILURES", "0", "RETRY_BUDGET_PERCENT", "1000"))
}

// withoutEjection removes the ejection of a service's hosts in both arms: it would
// end what is measured.
func (p *proving) withoutEjection(s *service) { p.withoutBlock(s, "outlierDetection") }

// withoutBudget removes the retry budget in both arms: it would refuse the retries of a
// load as small as an experiment's.
func (p *proving) withoutBudget(s *service) { p.withoutBlock(s, "retryBudget") }

func (p *proving) withoutBlock(s *service, block string) {
	for _, rule := range p.of("DestinationRule") {
		if fullName(rule.at("spec", "host").text(), rule.Namespace) == s.host {
			p.both(rule, func(fields map[string]any) { dropEverywhere(fields["spec"], block) })
		}
	}
}

// dropEverywhere removes a key at any depth, and a trafficPolicy that has no other.
func dropEverywhere(node any, key string) {
	switch node := node.(type) {
	case map[string]any:
		delete(node, key)
		for name, inner := range node {
			dropEverywhere(inner, key)
			if fields, ok := inner.(map[string]any); ok && len(fields) == 0 && name == "trafficPolicy" {
				delete(node, name)
			}
		}
	case []any:
		for _, inner := range node {
			dropEverywhere(inner, key)
		}
	}
}
