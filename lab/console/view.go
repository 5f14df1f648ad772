package console

import (
	"cmp"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/mesh"
)

// view makes states of readings.
type view struct {
	meter *meter
	edges map[edge]bool // all that have had a request
	tls   map[edge]secured
	// entered has the entries that have had a request.
	entered map[string]bool
	// excess is the last difference of answeredInstead, instead the part of it that was counted.
	excess, instead float64
}

// secured has the handshakes and connections of an edge since its proxies started.
type secured struct{ handshakes, connections float64 }

type edge struct{ from, to string }

func newView() *view {
	return &view{meter: newMeter(), edges: map[edge]bool{}, entered: map[string]bool{}}
}

// state adds a reading and returns the fleet's state.
func (v *view) state(r *Reading) *State {
	names := newNames(r)
	for _, p := range r.Pods {
		v.countPod(p, names)
	}
	v.tls = map[edge]secured{}
	for i := range r.Proxies {
		v.countProxy(&r.Proxies[i], names)
	}
	v.meter.close(r.Time)
	s := &State{Place: r.Place, Time: r.Time, Since: r.Since, Manifests: r.Manifests, Mesh: r.Proxies != nil}
	blocks := blocksOf(r, names)
	v.addEdges(s, r, blocks)
	v.addNodes(s, r, names, blocks)
	s.Point = v.point(r, names)
	return s
}

// names finds the node of a pod, and that of a name or an address that is called.
type names struct {
	ofPod     map[string]string // by the pod's ID
	ofAddress map[string]string // the pod's ID
	nodes     map[string]bool
}

func newNames(r *Reading) *names {
	n := &names{map[string]string{}, map[string]string{}, map[string]bool{}}
	for _, p := range r.Pods {
		node := nodeOf(p)
		n.ofPod[p.Name], n.ofAddress[p.Address], n.nodes[node] = node, p.Name, true
	}
	return n
}

// nodeOf returns a pod's node: its Service, without the prefix that all have; of several the one that is
// named like its program; a pod without one has its Deployment's.
func nodeOf(p *Pod) string {
	for _, service := range p.Services {
		if short(service) == p.Program {
			return p.Program
		}
	}
	if len(p.Services) > 0 {
		return short(p.Services[0])
	}
	return short(p.Deployment)
}

func short(name string) string { return strings.TrimPrefix(name, "fleetman-") }

// called returns the node of a host that is called, such as staff-service or
// fleetman-staff-service.default.svc.cluster.local.
func (n *names) called(host string) string {
	first, _, _ := strings.Cut(host, ".")
	if node := short(first); n.nodes[node] {
		return node
	}
	return short(strings.TrimSuffix(host, ".svc.cluster.local"))
}

func (v *view) countPod(p *Pod, n *names) {
	if p.Metrics == nil {
		return
	}
	add := v.meter.open(p.Name, p.Started)
	node := n.ofPod[p.Name]
	for _, s := range p.Metrics {
		id, value := s.Metric.Fingerprint(), float64(s.Value)
		label := func(name string) string { return string(s.Metric[model.LabelName(name)]) }
		to := n.called(label("server_address"))
		switch name := string(s.Metric[model.MetricNameLabel]); name {
		case clientCount:
			v.edges[edge{node, to}] = v.edges[edge{node, to}] || value > 0
			add(id, value, fails(label, total{what: calls, from: node, to: to}, failed)...)
		case clientBucket:
			add(id, value, total{took, node, to, bound(label("le"))})
		case retriesTotal:
			add(id, value, total{what: retried, from: node, to: to})
		case fallbacks:
			add(id, value, total{what: replaced, from: node})
		case serverCount:
			to := fails(label, total{what: served, from: p.Name}, servedFail)
			if routes, ok := entries[node]; ok && strings.HasPrefix(label("http_route"), routes) {
				v.entered[node] = v.entered[node] || value > 0
				to = append(to, fails(label, total{what: entered, from: node}, enteredFail)...)
			}
			add(id, value, to...)
		case serverBucket:
			add(id, value, total{servedTook, p.Name, "", bound(label("le"))})
		}
	}
}

// fails returns the totals of a series: all, and failed when its label is of a failure.
func fails(label func(string) string, all total, what what) []total {
	if status := label("http_response_status_code"); !strings.HasPrefix(status, "5") && label("error_type") == "" {
		return []total{all}
	}
	failed := all
	failed.what = what
	return []total{all, failed}
}

func bound(text string) float64 {
	le, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.Inf(1)
	}
	return le
}

// ofCluster names one of a cluster's counters.
type ofCluster struct {
	cluster string
	counter what
	code    int
	le      float64
}

func (v *view) countProxy(t *mesh.Traffic, n *names) {
	if t.Clusters == nil {
		return
	}
	add := v.meter.open("proxy of "+t.Proxy, t.Started)
	from := cmp.Or(n.ofPod[t.Proxy], t.Proxy)
	for name, c := range t.Clusters {
		failures := func(of total) {
			for code, value := range c.Codes {
				if code >= 500 {
					add(ofCluster{cluster: name, counter: of.what, code: code}, float64(value), of)
				}
			}
		}
		to, ok := n.cluster(name)
		if !ok { // inbound: what the proxy of an entry responded for its program, or instead of it
			if _, isEntry := entries[from]; isEntry {
				failures(total{what: refused, from: from})
			}
			continue
		}
		v.edges[edge{from, to}] = v.edges[edge{from, to}] || c.Requests > 0
		opened := c.Connections - min(c.ConnectFailures, c.Connections)
		now := v.tls[edge{from, to}]
		v.tls[edge{from, to}] = secured{now.handshakes + float64(c.Handshakes), now.connections + float64(opened)}
		for counter, value := range map[what]uint64{wire: c.Requests, rerouted: c.Retries, handshake: c.Handshakes, connected: opened} {
			add(ofCluster{cluster: name, counter: counter}, float64(value), total{what: counter, from: from, to: to})
		}
		failures(total{what: wireFail, from: from, to: to})
		for i, b := range c.Took {
			counts := []total{{wireTook, from, to, b.Le}}
			if i == len(c.Took)-1 {
				counts = append(counts, total{wireTook, from, to, math.Inf(1)})
			}
			add(ofCluster{cluster: name, counter: wireTook, le: b.Le}, float64(b.Count), counts...)
		}
	}
}

// cluster returns the node that an outbound cluster leads to.
func (n *names) cluster(name string) (node string, ok bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 4 || parts[0] != "outbound" {
		return "", false
	}
	return n.called(parts[3]), true
}

// blocksOf returns the breakers that are not closed and the ejections, by edge.
func blocksOf(r *Reading, n *names) map[edge][]Block {
	found := map[edge][]Block{}
	pod := func(address string) string {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return ""
		}
		return n.ofAddress[host]
	}
	for _, p := range r.Pods {
		for _, u := range p.Upstreams {
			for _, e := range u.Endpoints {
				if e.State != "closed" {
					at := edge{n.ofPod[p.Name], n.called(u.Name)}
					found[at] = append(found[at], Block{By: byLibrary, In: p.Name, State: e.State, Until: e.OpenUntil, Cause: e.LastFailure, pod: pod(e.Address)})
				}
			}
		}
	}
	for i := range r.Proxies {
		t := &r.Proxies[i]
		for _, e := range t.Ejections {
			if to, ok := n.cluster(e.Cluster); ok {
				at := edge{cmp.Or(n.ofPod[t.Proxy], t.Proxy), to}
				found[at] = append(found[at], Block{By: byMesh, In: t.Proxy, State: "ejected", Since: e.Since, Until: e.Until, Cause: e.Cause, Times: e.Times, pod: pod(e.Host)})
			}
		}
	}
	return found
}

func (v *view) addEdges(s *State, r *Reading, blocks map[edge][]Block) {
	bounds, ofGateways := v.meter.bounds(took), v.meter.bounds(wireTook)
	gateways := map[string]bool{}
	for i := range r.Proxies {
		gateways[r.Proxies[i].Proxy] = r.Proxies[i].Gateway
	}
	order := func(a, b edge) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }
	for _, at := range slices.SortedFunc(maps.Keys(v.edges), order) {
		if !v.edges[at] {
			continue
		}
		of := func(what what) total { return total{what: what, from: at.from, to: at.to} }
		e := Edge{
			From: at.from, To: at.to, Retries: v.meter.rate(of(retried)), MeshRetries: v.meter.rate(of(rerouted)), Blocks: blocks[at],
			Counts: Counts{v.meter.totals[of(calls)], v.meter.totals[of(failed)], v.meter.totals[of(retried)], v.meter.totals[of(wire)], v.meter.totals[of(rerouted)]},
		}
		if gateways[at.from] {
			e.Flow = v.flow(of(wire), of(wireFail), of(wireTook), ofGateways)
		} else {
			e.Flow = v.flow(of(calls), of(failed), of(took), bounds)
		}
		e.TLS = security(secured{v.meter.within(of(handshake)), v.meter.within(of(connected))}, v.tls[at])
		s.Edges = append(s.Edges, e)
	}
}

func (v *view) flow(all, failed, took total, bounds []float64) Flow {
	f := Flow{Rate: v.meter.rate(all)}
	if n := v.meter.within(all); n > 0 {
		f.Errors = min(v.meter.within(failed)/n, 1)
	}
	f.P50, f.P99 = v.meter.quantile(0.5, took, bounds), v.meter.quantile(0.99, took, bounds)
	return f
}

// security returns how the connections within the window are encrypted, or all of them when there was none.
func security(recent, all secured) string {
	if recent.connections > 0 {
		all = recent
	}
	switch {
	case all.connections <= 0:
		return ""
	case all.handshakes <= 0:
		return "plain"
	case all.handshakes < all.connections:
		return "mixed"
	}
	return "mutual"
}

func (v *view) addNodes(s *State, r *Reading, n *names, blocks map[edge][]Block) {
	nodes := map[string]*Node{}
	node := func(id, kind string) *Node {
		if nodes[id] == nil {
			nodes[id] = &Node{ID: id, Kind: kind, Pods: []PodView{}}
			s.Nodes = append(s.Nodes, nodes[id])
		}
		return nodes[id]
	}
	proxied := map[string]bool{}
	for i := range r.Proxies {
		if t := &r.Proxies[i]; t.Gateway {
			node(t.Proxy, kindGateway)
		} else {
			proxied[t.Proxy] = true
		}
	}
	onPod := map[string][]Block{}
	for at := range blocks {
		for _, b := range blocks[at] {
			onPod[b.pod] = append(onPod[b.pod], b)
		}
	}
	bounds := v.meter.bounds(servedTook)
	for _, p := range r.Pods {
		in := node(n.ofPod[p.Name], kindService)
		in.Pods = append(in.Pods, PodView{
			Name: p.Name, Deployment: p.Deployment, Image: p.Image, Variant: p.Variant, Ready: p.Ready, State: p.State, Why: p.Why,
			Restarts: p.Restarts, Started: p.Started, Serves: p.Port != 0, Faults: p.Faults, Proxied: proxied[p.Name],
			Library: slices.ContainsFunc(p.Upstreams, faults.Upstream.Protected), Blocks: onPod[p.Name],
			Received: v.flow(total{what: served, from: p.Name}, total{what: servedFail, from: p.Name}, total{what: servedTook, from: p.Name}, bounds),
		})
	}
	for _, e := range s.Edges {
		node(e.From, kindService)
		node(e.To, kindExternal)
	}
}

// entries are the nodes that users call, and what their routes of data begin with.
var entries = map[string]string{"webapp": "/api", "api-gateway": "/"}

// entry returns the node at which the outcomes are counted: webapp, when it forwards requests, because it may
// fail a request that api-gateway has answered.
func (v *view) entry(n *names) string {
	switch {
	case v.entered["webapp"]:
		return "webapp"
	case n.nodes["api-gateway"]:
		return "api-gateway"
	}
	return ""
}

// answeredInstead returns how many more failures than before the proxies of an entry have answered instead of
// its program. Proxies and programs are not read at the same time: a difference counts when two readings have
// it.
func (v *view) answeredInstead(r *Reading, n *names, entry string) (more float64) {
	now := v.meter.totals[total{what: refused, from: entry}]
	for _, p := range r.Pods {
		if n.ofPod[p.Name] == entry {
			now -= v.meter.totals[total{what: servedFail, from: p.Name}]
		}
	}
	more = max(min(now, v.excess)-v.instead, 0)
	v.excess = now
	v.instead += more
	return more
}

// point returns what the last reading added: the outcomes at the entry, and the attempts for all calls
// between services.
func (v *view) point(r *Reading, n *names) Point {
	p := Point{Time: r.Time, Of: v.entry(n)}
	if p.Of != "" {
		all := v.meter.last(total{what: entered, from: p.Of})
		p.Failed = v.meter.last(total{what: enteredFail, from: p.Of})
		instead := v.answeredInstead(r, n, p.Of)
		p.Failed, all = p.Failed+instead, all+instead
		for entry := range entries {
			p.Degraded += v.meter.last(total{what: replaced, from: entry})
		}
		p.Degraded = min(p.Degraded, all-p.Failed)
		p.Good = all - p.Failed - p.Degraded
	}
	for at := range v.edges {
		of := func(what what) float64 { return v.meter.last(total{what: what, from: at.from, to: at.to}) }
		made := of(calls) - of(retried)
		if made <= 0 {
			continue // of a gateway, or idle
		}
		p.Calls += made
		p.Attempts += cmp.Or(of(wire), of(calls))
	}
	return p
}
