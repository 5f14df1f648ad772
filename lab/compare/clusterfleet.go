package compare

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/record"
)

// clusterFleet is a fleet in a namespace of a cluster. Its pods have places, DEPLOYMENT-N: a pod that replaces
// another one takes its place.
type clusterFleet struct {
	client *cluster.Client
	at     *Cluster
	p      plan
	since  metav1.Time
	admins *faults.Client
	// rejections are those of the gateways before the fleet.
	rejections map[string]int
	gateways   []local.Pod

	watching sync.WaitGroup
	cancel   context.CancelFunc
	events   *local.EventLog

	mu      sync.Mutex
	places  map[string]local.Pod     // by place, with the pod's own name
	envoys  map[string]*envoy.Client // by pod
	samples []usageSample
	looked  time.Time     // last
	gap     time.Duration // the longest time between two looks
}

// usageSample is what one process has used.
type usageSample struct {
	at     time.Time
	pod    string // as in record.Sample
	counts []record.Count
}

// up starts the fleet, and begins to watch it.
func (f *clusterFleet) up(ctx context.Context, change cluster.Change) (err error) {
	if f.p.mesh {
		if f.rejections, err = f.client.Rejections(ctx); err != nil {
			return err
		}
	}
	agreed := func([]string) error { return nil } // before the first run
	o := cluster.UpOptions{Change: change, Manifests: f.p.arm.Manifests, ReadyTimeout: readyWithin, Progress: func(string) {}, Agree: agreed}
	if err := f.client.Up(ctx, f.p.objects, o); err != nil {
		return err
	}
	if err := f.client.AwaitMesh(ctx, f.rejections); err != nil {
		return err
	}
	if f.admins, err = f.client.FaultClient(ctx); err != nil {
		return err
	}
	if f.hasGateway() {
		if f.gateways, err = f.client.Gateways(ctx); err != nil {
			return err
		}
	}
	if err := f.look(ctx); err != nil {
		return err
	}
	nodes, istiods, err := f.nodes(ctx)
	if err != nil {
		return err
	}
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel = cancel
	look := func(ctx context.Context) { _ = f.look(ctx) } // err reports what was missed
	f.watching.Go(func() { wait.UntilWithContext(watch, look, lookEvery) })
	f.watching.Go(func() {
		wait.UntilWithContext(watch, func(ctx context.Context) { f.measure(ctx, nodes, istiods) }, sampleEvery)
	})
	return nil
}

func (f *clusterFleet) hasGateway() bool {
	return f.p.mesh && slices.ContainsFunc(f.p.objects.All, func(o manifest.Object) bool { return o.Kind == "Gateway" })
}

// nodes returns those whose kubelets measure the fleet and, in a mesh, Istio, and the pods of istiod.
func (f *clusterFleet) nodes(ctx context.Context) (nodes, istiods []string, err error) {
	if nodes, err = f.client.NodesOf(ctx); err != nil || !f.p.mesh {
		return nodes, nil, err
	}
	more, istiods, err := f.client.IstioNodes(ctx)
	return sets.List(sets.New(slices.Concat(nodes, more)...)), istiods, err
}

// lookEvery is the time between two looks at the pods.
const lookEvery = 500 * time.Millisecond

// look reads the pods, and notes what has changed.
func (f *clusterFleet) look(ctx context.Context) error {
	pods, err := f.client.Pods(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.looked.IsZero() {
		f.gap = max(f.gap, now.Sub(f.looked))
	}
	f.looked = now
	next := assign(f.places, pods)
	for _, place := range slices.Sorted(maps.Keys(next)) {
		before, known := f.places[place]
		if known {
			for _, event := range changes(place, before, next[place], now) {
				f.events.Add(event)
			}
		}
	}
	f.places = next
	return nil
}

// assign gives each pod of a Deployment its place: that which it has, that of one which is gone or terminating, or
// the next one.
func assign(places map[string]local.Pod, pods []local.Pod) map[string]local.Pod {
	there := map[string]local.Pod{}
	for _, pod := range pods {
		there[pod.Name] = pod
	}
	alive := func(pod local.Pod) bool { return pod.State != "terminating" && pod.State != "stopped" }
	next, taken := map[string]local.Pod{}, map[string]bool{}
	for place, pod := range places {
		now, found := there[pod.Name]
		if !found {
			now = pod
			now.Ready, now.State, now.Why = false, "terminating", "it is gone"
		}
		next[place], taken[now.Name] = now, true
	}
	for _, pod := range slices.SortedFunc(slices.Values(pods), byOrder) {
		if pod.Deployment == "" || taken[pod.Name] || !alive(pod) {
			continue
		}
		for n := 0; ; n++ {
			place := pod.Deployment + "-" + strconv.Itoa(n)
			if old, used := next[place]; !used || !alive(old) {
				next[place] = pod
				break
			}
		}
	}
	return next
}

// changes returns the events between two looks at a place.
func changes(place string, before, now local.Pod, at time.Time) (events []local.Event) {
	note := func(kind local.EventKind, detail string) {
		events = append(events, local.Event{Time: at, Pod: place, Kind: kind, Detail: detail, Restarts: now.Restarts})
	}
	replaced, restarted := now.Name != before.Name, now.Name == before.Name && now.Restarts > before.Restarts
	switch {
	case replaced:
		if before.Why != "it is gone" {
			note(local.Exited, "pod "+before.Name)
		}
		note(local.Started, "pod "+now.Name)
	case restarted:
		note(local.Exited, "its container ended")
	case now.Why == "it is gone" && before.Why != now.Why:
		note(local.Exited, "pod "+before.Name)
	}
	switch {
	case now.Ready && (!before.Ready || replaced || restarted):
		note(local.Ready, "")
	case !now.Ready && before.Ready && !replaced:
		note(local.NotReady, now.Why)
	}
	return events
}

// Pods implements fleet.
func (f *clusterFleet) Pods() (pods []local.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, place := range slices.Sorted(maps.Keys(f.places)) {
		pod := f.places[place]
		pod.Name = place
		pods = append(pods, pod)
	}
	return pods
}

// pod returns the pod of a place, with its own name.
func (f *clusterFleet) pod(place string) local.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.places[place]
}

// Events implements fleet.
func (f *clusterFleet) Events(ctx context.Context) iter.Seq[local.Event] { return f.events.All(ctx) }

// killWithin bounds the deletion of a pod.
const killWithin = 10 * time.Second

// Kill implements fleet: it deletes the pod, which its Deployment replaces.
func (f *clusterFleet) Kill(place string, sig syscall.Signal) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), killWithin)
	defer cancel()
	return f.client.Kill(ctx, f.pod(place).Name, sig)
}

// SetConnect implements fleet. The experiment has no such faults: see mistakes.
func (f *clusterFleet) SetConnect(string, *local.ConnectFault) (local.ConnectState, error) {
	return local.ConnectState{}, nil
}

func (f *clusterFleet) admin() *faults.Client { return f.admins }
func (f *clusterFleet) controlled() bool      { return false } // it is measured with the others
func (f *clusterFleet) notes() []string       { return nil }

// proxies returns the proxies of the pods that there are now, and of the ingress gateway.
func (f *clusterFleet) proxies() (all []proxy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	add := func(name string, gateway bool, pod local.Pod) {
		if f.envoys[pod.Name] == nil {
			f.envoys[pod.Name] = f.client.Proxy(pod)
		}
		all = append(all, proxy{name, gateway, pod.Address, f.envoys[pod.Name], func(ctx context.Context) ([]byte, error) {
			return f.client.ProxyText(ctx, pod, f.since)
		}})
	}
	for _, place := range slices.Sorted(maps.Keys(f.places)) {
		if pod := f.places[place]; pod.AppAddress != "" && pod.State != "terminating" {
			add(place, false, pod)
		}
	}
	for _, pod := range f.gateways {
		add(gatewayName, true, pod)
	}
	return all
}

const gatewayName = "istio-ingressgateway"

// logDelay implements fleet: Istio lets Envoy buffer lines for a second, and the kubelet needs some time, too.
func (f *clusterFleet) logDelay() time.Duration { return 1500 * time.Millisecond }

func (f *clusterFleet) usage(context.Context, string) ([]record.Count, error) { return nil, nil }

// measure reads what all processes have used.
func (f *clusterFleet) measure(ctx context.Context, nodes, istiods []string) {
	all, err := f.client.Usage(ctx, nodes)
	if err != nil {
		return // the next one has the same counters
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	names := map[string]string{}
	for place, pod := range f.places {
		names[pod.Namespace+"/"+pod.Name] = place
	}
	for _, pod := range f.gateways {
		names[pod.Namespace+"/"+pod.Name] = gatewayName
	}
	var control usageSample
	var cpu, memory float64
	for _, u := range all {
		if slices.Contains(istiods, u.Pod) {
			control = usageSample{at: u.At, pod: record.ControlPlane}
			cpu, memory = cpu+u.CPU, memory+u.Memory
		}
		name := names[u.Namespace+"/"+u.Pod]
		if name == "" {
			continue
		}
		if u.Proxy {
			name += record.ProxySuffix
		}
		f.samples = append(f.samples, usageSample{u.At, name, used(u.CPU, u.Memory)})
	}
	if control.pod != "" {
		control.counts = used(cpu, memory)
		f.samples = append(f.samples, control)
	}
}

func used(cpu, memory float64) []record.Count {
	return []record.Count{{Name: record.CountCPU, N: cpu}, {Name: record.CountMemory, N: memory}}
}

// used implements fleet. A kubelet that has not measured again has the same time.
func (f *clusterFleet) used(since time.Time) (samples []record.Sample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := map[string]time.Time{}
	for _, s := range f.samples {
		if s.at.Before(since) || !s.at.After(last[s.pod]) {
			continue
		}
		last[s.pod] = s.at
		samples = append(samples, record.Sample{At: record.Offset(s.at.Sub(since)), Pod: s.pod, Counts: s.counts})
	}
	return samples
}

// maxGap is the longest time without a look at the pods, in which nothing of a run may be missed.
const maxGap = 20 * time.Second

// err implements fleet.
func (f *clusterFleet) err(ctx context.Context) error {
	f.mu.Lock()
	gap := max(f.gap, time.Since(f.looked))
	nodes := sets.New[string]()
	for _, pod := range f.places {
		if strings.HasPrefix(pod.Why, "node ") {
			nodes.Insert(pod.Why)
		}
	}
	f.mu.Unlock()
	switch {
	case gap > maxGap:
		return lostError{fmt.Errorf("API server: no response for %v", gap.Round(time.Second))}
	case len(nodes) > 0:
		return lostError{errors.New(strings.Join(sets.List(nodes), ", "))}
	case !f.p.mesh:
		return nil
	}
	status, err := f.client.Mesh(ctx)
	if err != nil {
		return err
	}
	return status.RejectedSince(f.rejections)
}

// stop implements fleet: it removes the namespace, even after the context has ended.
func (f *clusterFleet) stop() error {
	f.cancel()
	f.watching.Wait()
	for _, admin := range f.envoys {
		admin.Close()
	}
	defer f.client.Close()
	if err := f.client.Remove(context.Background()); err != nil {
		return fmt.Errorf("%w; %s removes what is left", err, f.client.DownCommand(f.at.client.Namespace()))
	}
	return nil
}
