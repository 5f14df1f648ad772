package console

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/scrape"
)

// Launcher is the source of a fleet of this machine, in its launcher. It changes the fleet by the control
// socket, as other commands do.
type Launcher struct {
	fleet   *local.Fleet
	mesh    *mesh.Mesh // nil without
	control *control.Client
	lessons lessons
	since   time.Time
	http    http.Client
	faults  faults.Client

	mu        sync.Mutex
	manifests []string
}

// NewLauncher returns a source. meshed is nil without a mesh; scenarios is the directory of the
// scenarios, empty for none; manifests are the paths of the manifests in force.
func NewLauncher(fleet *local.Fleet, meshed *mesh.Mesh, client *control.Client, scenarios string, manifests []string) *Launcher {
	return &Launcher{
		fleet: fleet, mesh: meshed, control: client, lessons: lessons{scenarios}, since: time.Now(), manifests: manifests,
		// without compression, which costs a pod more than the bytes
		http: http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 3 * every}},
	}
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

// Read implements Source.
func (l *Launcher) Read(ctx context.Context) (*Reading, error) {
	r := &Reading{Time: time.Now(), Since: l.since, Manifests: l.inForce()}
	var reading sync.WaitGroup
	if l.mesh != nil {
		reading.Go(func() { r.Proxies = l.mesh.Traffic(ctx) })
	}
	pods := l.fleet.Pods()
	r.Pods = make([]Pod, len(pods))
	for i, pod := range pods {
		r.Pods[i].Pod = pod
		if pod.PID == 0 || pod.AdminPort == 0 {
			continue
		}
		p := &r.Pods[i]
		reading.Go(func() {
			p.Metrics, _ = scrape.Get(ctx, &l.http, faults.Admin(pod), Metrics...)
			p.Upstreams = l.upstreams(ctx, pod)
			if pod.Port == 0 {
				return
			}
			if state, err := l.rules(ctx, pod); err == nil {
				p.Faults = state
			}
		})
	}
	reading.Wait()
	return r, nil
}

// rules returns a pod's rules of requests and of connections.
func (l *Launcher) rules(ctx context.Context, pod local.Pod) (string, error) {
	client := faults.Client{HTTP: l.http}
	state, err := client.Get(ctx, pod)
	if err != nil {
		return "", err
	}
	var rules []string
	if text := state.Text(); text != "" {
		rules = append(rules, text)
	}
	if connect, err := l.fleet.Connect(id(pod)); err == nil && connect.Rule != "" {
		rules = append(rules, connect.Rule)
	}
	return strings.Join(rules, ";"), nil
}

// upstreams returns the state of a pod's resilience chains, nil when it cannot be read.
func (l *Launcher) upstreams(ctx context.Context, pod local.Pod) []Upstream {
	var shown struct{ Upstreams []Upstream }
	if faults.ReadResilience(ctx, &l.http, pod, &shown) != nil {
		return nil
	}
	return shown.Upstreams
}

// Events implements Source.
func (l *Launcher) Events(ctx context.Context) iter.Seq[local.Event] { return l.fleet.Events(ctx) }

// Entry implements Source: the ingress gateway, else the page's NodePort, else a pod of api-gateway.
func (l *Launcher) Entry() (address, prefix string, err error) {
	ports := l.fleet.NodePorts()
	for _, service := range []string{"istio-ingressgateway", "fleetman-webapp"} {
		for _, port := range ports {
			if port.Service == service && (port.Name == "http" || service != "istio-ingressgateway") {
				return port.Address.String(), "/api", nil
			}
		}
	}
	pods, err := faults.Find(l.fleet.Pods(), "api-gateway")
	if err != nil {
		return "", "", fmt.Errorf("entry: no ingress gateway, no NodePort of fleetman-webapp, no api-gateway")
	}
	for _, pod := range pods {
		if pod.Ready {
			return net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port)), "", nil
		}
	}
	return "", "", errors.New("entry: no pod of api-gateway is ready")
}

// pause is how long a paused pod stops.
const pause = 5 * time.Second

// signals are those that Change sends.
var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}

// Change implements Source.
func (l *Launcher) Change(ctx context.Context, c Change) (string, error) {
	switch c.Do {
	case "fault":
		return l.setFaults(ctx, c.Pod, c.Rules)
	case "kill":
		sig, ok := signals[c.Signal]
		if !ok {
			return "", fmt.Errorf("signal: %.20q: must be TERM or KILL", c.Signal)
		}
		return l.control.Kill(ctx, c.Pod, sig)
	case "pause":
		return l.pause(ctx, c.Pod)
	case "set":
		return l.set(ctx, control.Override{Set: []local.Setting{{Target: c.Deployment, Name: c.Name, Value: c.Value}}})
	case "scale":
		if c.Replicas < 1 || c.Replicas > maxReplicas {
			return "", fmt.Errorf("replicas: %d: must be between 1 and %d", c.Replicas, maxReplicas)
		}
		return l.set(ctx, control.Override{Replicas: map[string]int{c.Deployment: c.Replicas}})
	case "apply":
		return l.apply(ctx, c.Scenario)
	}
	return "", fmt.Errorf("do: %.20q: must be fault, kill, pause, set, scale or apply", c.Do)
}

// maxReplicas is the largest number of pods of a Deployment that the page starts.
const maxReplicas = 20

func (l *Launcher) set(ctx context.Context, o control.Override) (string, error) {
	applied, err := l.control.Set(ctx, o)
	if err != nil {
		return "", err
	}
	if applied.Pods == "" {
		return "nothing changed", nil
	}
	return fmt.Sprintf("%s, within %.1f s", applied.Pods, applied.Seconds), nil
}

// setFaults replaces the rules of a pod, those of connections too.
func (l *Launcher) setFaults(ctx context.Context, name, rules string) (string, error) {
	pods, err := faults.Find(l.fleet.Pods(), name)
	if err != nil {
		return "", fmt.Errorf("pod: %w", err)
	}
	ofPod, ofConnect := faults.Split(rules)
	for _, pod := range pods {
		if pod.Port == 0 {
			return "", fmt.Errorf("pod %s: it has no port for requests", pod.Name)
		}
		if _, err := l.control.SetConnect(ctx, id(pod), ofConnect); err != nil {
			return "", err
		}
		if _, err := l.faults.Set(ctx, pod, ofPod); err != nil {
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

func (l *Launcher) apply(ctx context.Context, name string) (string, error) {
	dir, err := l.lessons.dir(name)
	if err != nil {
		return "", err
	}
	applied, err := l.control.Apply(ctx, []string{dir})
	if err != nil {
		return "", err
	}
	if len(applied.Changed) == 0 {
		return "nothing changed", nil
	}
	return fmt.Sprintf("%s; in every proxy after %.1f s", strings.Join(applied.Changed, ", "), applied.Seconds), nil
}

// Lessons implements Source.
func (l *Launcher) Lessons() (Lessons, error) { return l.lessons.read(l.inForce()) }

// id is a pod's name, with its namespace unless that is the default one.
func id(pod local.Pod) string {
	if pod.Namespace == manifest.DefaultNamespace || strings.Contains(pod.Name, "/") {
		return pod.Name
	}
	return pod.Namespace + "/" + pod.Name
}
