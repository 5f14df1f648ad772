//go:build !local

package console

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/runner"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/tcp"
)

const (
	// listEvery is how often the pods of a cluster are listed. The pods' own listeners and the proxies are read
	// with every reading, through tunnels that stay open.
	listEvery = 2 * time.Second
	// enterEvery is how often the entry of a fleet on a cluster is looked for.
	enterEvery      = 10 * time.Second
	clusterPatience = 10 * time.Second
	// podPatience is how long a pod or proxy may take to respond. The first response needs a tunnel.
	podPatience = 3 * time.Second
	// reachWithin is how long a port of a node may take to accept a connection.
	reachWithin = 500 * time.Millisecond
)

// Cluster is the source of a fleet on a cluster, through its API server alone.
type Cluster struct {
	client  *cluster.Client
	traffic *cluster.Traffic
	place   Place
	events  *local.EventLog
	lessons

	mu      sync.Mutex
	admin   *faults.Client // nil before the first reading
	listed  listing
	last    *Reading
	entry   Entry
	entered time.Time
}

// listing is what the API server has listed of a fleet at one time.
type listing struct {
	at        time.Time
	pods      []local.Pod
	manifests []string
	since     time.Time
}

// NewCluster returns a source. flags select the fleet on a command line; scenarios is the directory of the
// scenarios, empty for none.
func NewCluster(client *cluster.Client, flags []string, scenarios string) *Cluster {
	c := &Cluster{
		client: client, traffic: client.NewTraffic(), events: local.NewEventLog(),
		place: Place{Flags: flags, Cannot: map[string]string{
			"pause": "The API of a cluster cannot stop a process and continue it: a fleet on this machine can.",
			"trace": "On a cluster the spans go to the collector of k8s/components/telemetry, where it is applied: its Jaeger shows them.",
		}},
	}
	c.lessons = lessons{
		root: scenarios, faults: c.faultClient,
		inForce: func() []string { return c.known().manifests },
		target:  func(ctx context.Context) (check.Target, error) { return runner.RunningOnCluster(ctx, client) },
		pods:    func() []local.Pod { return c.known().pods },
	}
	return c
}

// Close closes the connections to proxies.
func (c *Cluster) Close() { c.traffic.Close() }

// Patience implements Source: a tunnel to a new pod takes a while.
func (c *Cluster) Patience() time.Duration { return clusterPatience }

// Read implements Source.
func (c *Cluster) Read(ctx context.Context) (*Reading, error) {
	listed, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	client, err := c.faultClient(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reading{Place: c.place, Time: time.Now(), Since: listed.since, Manifests: listed.manifests, Pods: make([]*Pod, len(listed.pods))}
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, podPatience)
	defer cancel()
	var reading sync.WaitGroup
	reading.Go(func() { r.Proxies, err = c.traffic.Read(ctx, listed.pods) })
	for i, pod := range listed.pods {
		p := &Pod{Pod: pod}
		r.Pods[i] = p
		if pod.State != "running" {
			continue
		}
		reading.Go(func() {
			if !p.readAdmin(ctx, &client.HTTP) {
				p.Faults = last.faultsOf(pod.Name)
			}
		})
	}
	reading.Wait()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, event := range changes(c.last, r) {
		c.events.Add(event)
	}
	c.last = r
	return r, nil
}

// faultsOf returns the rules of a pod, as this reading has them.
func (r *Reading) faultsOf(pod string) string {
	if r != nil {
		for _, p := range r.Pods {
			if p.Name == pod {
				return p.Faults
			}
		}
	}
	return ""
}

// list lists the pods, at most every listEvery.
func (c *Cluster) list(ctx context.Context) (listing, error) {
	if last := c.known(); time.Since(last.at) < listEvery-every/2 { // readings are not exactly one second apart
		return last, nil
	}
	pods, err := c.client.Pods(ctx)
	if err != nil {
		return listing{}, err
	}
	manifests, since, err := c.client.InForce(ctx)
	if err != nil {
		return listing{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed = listing{time.Now(), pods, manifests, since}
	return c.listed, nil
}

// faultClient returns the client of the pods' admin listeners.
func (c *Cluster) faultClient(ctx context.Context) (*faults.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admin != nil {
		return c.admin, nil
	}
	client, err := c.client.FaultClient(ctx)
	if err == nil {
		c.admin = client
	}
	return client, err
}

// known returns the last listing.
func (c *Cluster) known() listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listed
}

// Events implements Source. They are the differences between two readings.
func (c *Cluster) Events(ctx context.Context) iter.Seq[local.Event] { return c.events.All(ctx) }

// Entry implements Source: the port at a node, when this machine reaches it, else a pod of the ingress gateway,
// of webapp or of api-gateway, by port-forward.
func (c *Cluster) Entry(ctx context.Context) (Entry, error) {
	c.mu.Lock()
	entry, fresh := c.entry, time.Since(c.entered) < enterEvery
	c.mu.Unlock()
	if fresh {
		return entry, nil
	}
	entry, err := c.findEntry(ctx)
	if err != nil {
		return Entry{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entry, c.entered = entry, time.Now()
	return entry, nil
}

func (c *Cluster) findEntry(ctx context.Context) (Entry, error) {
	ports, _ := c.client.NodePorts(ctx) // none without permission to list nodes
	port, found := entryPort(ports)
	if found && tcp.Accepts(ctx, port.Address.String(), reachWithin) {
		return Entry{Address: port.Address.String(), Prefix: "/api"}, nil
	}
	forward := func(pod local.Pod, port int, prefix string) (Entry, error) {
		return Entry{net.JoinHostPort(pod.Name, strconv.Itoa(port)), prefix, c.client.Dial}, nil
	}
	if gateways := c.traffic.Gateways(); found && port.Service == ingressGateway && len(gateways) > 0 {
		return forward(gateways[0], gatewayPort, "/api")
	}
	pods := c.known().pods
	webapps, _ := faults.Find(pods, "webapp") // none without webapp
	if i := slices.IndexFunc(webapps, isReady); i >= 0 {
		return forward(webapps[i], webapps[i].Port, "/api")
	}
	pod, err := entryPod(pods)
	if err != nil {
		return Entry{}, err
	}
	return forward(pod, pod.Port, "")
}

// gatewayPort is the port of the ingress gateway's pods behind the Service's port 80.
const gatewayPort = 8080

// Change implements Source.
func (c *Cluster) Change(ctx context.Context, wanted Change) (string, error) {
	if why := c.place.Cannot[wanted.Do]; why != "" {
		return "", errors.New(why)
	}
	if wanted.Do == "fault" {
		if _, ofConnect := faults.Split(wanted.Rules); ofConnect != "" {
			return "", fmt.Errorf("rules: %.60q: must be faults of requests: those of connections need a fleet on this machine, with --relays", ofConnect)
		}
		client, err := c.faultClient(ctx)
		if err != nil {
			return "", err
		}
		return setFaults(ctx, faults.Access{Client: client}, c.known().pods, wanted.Pod, wanted.Rules)
	}
	return wanted.carryOut(ctx, c.client, c.lessons)
}
