package console

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/runner"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/scrape"
)

// Launcher is the source of a fleet of this machine, in its launcher. It changes the fleet by the control
// socket, as other commands do.
type Launcher struct {
	fleet   *local.Fleet
	mesh    *mesh.Mesh // nil without
	control *control.Client
	since   time.Time
	http    http.Client
	faults  faults.Client
	// Place is this machine. It must not change once the source is served.
	Place Place
	lessons

	mu        sync.Mutex
	manifests []string
}

// NewLauncher returns a source. meshed is nil without a mesh; scenarios is the directory of the
// scenarios, empty for none; manifests are the paths of the manifests in force.
func NewLauncher(fleet *local.Fleet, meshed *mesh.Mesh, client *control.Client, scenarios string, manifests []string) *Launcher {
	l := &Launcher{
		fleet: fleet, mesh: meshed, control: client, since: time.Now(), manifests: manifests,
		// without compression, which costs a pod more than the bytes
		http: http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 3 * every}},
	}
	l.lessons = lessons{
		root: scenarios, inForce: l.inForce, pods: fleet.Pods,
		target: func(context.Context) (check.Target, error) { return runner.Running(fleet, meshed), nil },
		faults: func(context.Context) (*faults.Client, error) { return &l.faults, nil },
	}
	return l
}

// Applied sets the paths of the manifests in force.
func (l *Launcher) Applied(manifests []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.manifests = manifests
}

func (l *Launcher) inForce() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.manifests
}

// Patience implements Source.
func (l *Launcher) Patience() time.Duration { return every * 4 / 5 }

// Read implements Source.
func (l *Launcher) Read(ctx context.Context) (*Reading, error) {
	r := &Reading{Place: l.Place, Time: time.Now(), Since: l.since, Manifests: l.inForce()}
	var reading sync.WaitGroup
	if l.mesh != nil {
		reading.Go(func() { r.Proxies = l.mesh.Traffic(ctx) })
	}
	pods := l.fleet.Pods()
	r.Pods = make([]*Pod, len(pods))
	for i, pod := range pods {
		p := &Pod{Pod: pod}
		r.Pods[i] = p
		if pod.PID == 0 || pod.AdminPort == 0 {
			continue
		}
		reading.Go(func() {
			if p.readAdmin(ctx, &l.http) {
				l.fleet.AddConnect(&p.Pod)
			}
		})
	}
	reading.Wait()
	return r, nil
}

// readAdmin reads what a pod's admin listener returns. It reports whether the pod's faults are known.
func (p *Pod) readAdmin(ctx context.Context, client *http.Client) bool {
	p.Metrics, _ = scrape.Get(ctx, client, faults.Admin(p.Pod), Metrics...)
	if shown, err := faults.ReadResilience(ctx, client, p.Pod); err == nil {
		p.Upstreams = shown.Upstreams
	}
	if p.Port == 0 {
		return false
	}
	state, err := (&faults.Client{HTTP: *client}).Get(ctx, p.Pod)
	p.Faults = state.Text()
	return err == nil
}

// Events implements Source.
func (l *Launcher) Events(ctx context.Context) iter.Seq[local.Event] { return l.fleet.Events(ctx) }

// Entry implements Source.
func (l *Launcher) Entry(context.Context) (Entry, error) {
	if port, ok := entryPort(l.fleet.NodePorts()); ok {
		return Entry{Address: port.Address.String(), Prefix: "/api"}, nil
	}
	pod, err := entryPod(l.fleet.Pods())
	if err != nil {
		return Entry{}, err
	}
	return Entry{Address: net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port))}, nil
}

// entryPort returns the port of the ingress gateway, else the page's NodePort.
func entryPort(ports []local.NodePort) (found local.NodePort, ok bool) {
	for _, service := range []string{ingressGateway, "fleetman-webapp"} {
		for _, port := range ports {
			if port.Service == service && (port.Name == "http" || port.Name == "http2" || service != ingressGateway) {
				return port, true
			}
		}
	}
	return found, false
}

const ingressGateway = "istio-ingressgateway"

// entryPod returns a pod of api-gateway, for a fleet without a port at the node.
func entryPod(all []local.Pod) (local.Pod, error) {
	pods, err := faults.Find(all, "api-gateway")
	if err != nil {
		return local.Pod{}, errors.New("entry: no ingress gateway, no NodePort of fleetman-webapp, no api-gateway")
	}
	i := slices.IndexFunc(pods, isReady)
	if i < 0 {
		return local.Pod{}, errors.New("entry: no pod of api-gateway is ready")
	}
	return pods[i], nil
}

func isReady(pod local.Pod) bool { return pod.Ready }

// pause is how long a paused pod stops.
const pause = 5 * time.Second

// Change implements Source.
func (l *Launcher) Change(ctx context.Context, c Change) (string, error) {
	switch c.Do {
	case "fault":
		return setFaults(ctx, faults.Access{Client: &l.faults, Connections: l.control}, l.fleet.Pods(), c.Pod, c.Rules)
	case "pause":
		return l.pause(ctx, c.Pod)
	}
	return c.carryOut(ctx, l.control, l.lessons)
}

// signals are those of a kill.
var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}

// carryOut carries out a change that is the same on this machine and on a cluster.
func (c Change) carryOut(ctx context.Context, on fleet, known lessons) (string, error) {
	switch c.Do {
	case "kill":
		sig, ok := signals[c.Signal]
		if !ok {
			return "", fmt.Errorf("signal: %.20q: must be TERM or KILL", c.Signal)
		}
		return on.Kill(ctx, c.Pod, sig)
	case "set", "scale":
		return c.override(ctx, on)
	case "apply":
		return c.apply(ctx, on, known)
	}
	return "", fmt.Errorf("do: %.20q: must be fault, kill, pause, set, scale or apply", c.Do)
}

// maxReplicas is the largest number of pods of a Deployment that the page starts.
const maxReplicas = 20

// fleet is what changes a fleet in the same way on this machine and on a cluster.
type fleet interface {
	Kill(ctx context.Context, pod string, sig syscall.Signal) (did string, err error)
	Set(ctx context.Context, o control.Override) (mesh.Applied, error)
	Apply(ctx context.Context, paths []string) (mesh.Applied, error)
}

// override makes a change that is a set or a scale.
func (c Change) override(ctx context.Context, on fleet) (string, error) {
	o := control.Override{Set: []local.Setting{{Target: c.Deployment, Name: c.Name, Value: c.Value}}}
	if c.Do == "scale" {
		if c.Replicas < 1 || c.Replicas > maxReplicas {
			return "", fmt.Errorf("replicas: %d: must be between 1 and %d", c.Replicas, maxReplicas)
		}
		o = control.Override{Replicas: map[string]int{c.Deployment: c.Replicas}}
	}
	applied, err := on.Set(ctx, o)
	if err != nil {
		return "", err
	}
	if applied.Pods == "" {
		return "nothing changed", nil
	}
	return fmt.Sprintf("%s, within %.1f s", applied.Pods, applied.Seconds), nil
}

// setFaults replaces the rules of the pods with a name, and returns, in words, which they have now.
func setFaults(ctx context.Context, access faults.Access, all []local.Pod, name, rules string) (string, error) {
	pods, err := faults.Find(all, name)
	if err != nil {
		return "", fmt.Errorf("pod: %w", err)
	}
	for _, pod := range pods {
		if pod.Port == 0 {
			return "", fmt.Errorf("pod %s: it has no port for requests", pod.Name)
		}
		if _, err := access.Set(ctx, pod, rules); err != nil {
			return "", err
		}
	}
	if strings.TrimSpace(rules) == "" {
		return name + ": no faults", nil
	}
	return name + ": " + rules, nil
}

// pause stops a pod's process, and continues it later.
func (l *Launcher) pause(ctx context.Context, pod string) (string, error) {
	if _, err := l.control.Kill(ctx, pod, syscall.SIGSTOP); err != nil {
		return "", err
	}
	time.AfterFunc(pause, func() { _, _ = l.control.Kill(context.WithoutCancel(ctx), pod, syscall.SIGCONT) })
	return fmt.Sprintf("%s stops for %v", pod, pause), nil
}

// apply applies the scenario of a change.
func (c Change) apply(ctx context.Context, on fleet, known lessons) (string, error) {
	dir, err := known.dir(c.Scenario)
	if err != nil {
		return "", err
	}
	applied, err := on.Apply(ctx, []string{dir})
	if err != nil {
		return "", err
	}
	if len(applied.Changed) == 0 {
		return "nothing changed", nil
	}
	return fmt.Sprintf("%s; in every proxy after %.1f s", strings.Join(applied.Changed, ", "), applied.Seconds), nil
}
