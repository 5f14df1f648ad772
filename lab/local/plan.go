package local

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/usage"
)

// plan is the fleet of the manifests on one machine.
type plan struct {
	pods     []*podPlan
	services []servicePlan
	gateways []netip.Addr
	notes    []string // what is not applied, one line each
	later    bool     // it is a part of another plan
}

// podPlan is one replica of a Deployment.
type podPlan struct {
	MeshPod
	program, image, variant string
	// want is the port that the program has on a cluster, 0 for none; listen is
	// the one at the pod's address, another when want is privileged or when no
	// Service leads to it. The program itself listens at app, its admin listener
	// at adminAt: both at the pod's address too, unless a proxy is there.
	listen, want, admin int
	app, adminAt        netip.AddrPort

	relayed bool // the ports at IP are relays', for the program or its proxy
	env     map[string]string

	readiness, liveness, startup *probe
	preStop, grace               time.Duration

	// Where the pod is reachable as on a cluster: not a listener on loopback.
	listenOpen, adminOpen bool

	ports    map[int]int // of its Services, each with the port at IP that serves it
	forwards []portPair  // those of them that have to be opened
	notes    []string
}

type portPair struct{ from, to int }

func (p *podPlan) address(port int) string {
	return netip.AddrPortFrom(p.IP, uint16(port)).String()
}

// podID returns a pod's name, with its namespace unless that is the default one.
func podID(namespace, name string) string {
	if namespace == manifest.DefaultNamespace {
		return name
	}
	return namespace + "/" + name
}

// servicePlan is one Service that selects pods.
type servicePlan struct {
	name, namespace string
	selector        labels.Selector
	nodePorts       []nodePort
}

type nodePort struct {
	key     string // of the open port; those of other Services differ
	service string
	name    string // of the port
	port    int    // 0: any free one
	// declared is the manifests' number, which Options may replace.
	declared int
	target   func(*podPlan) int
}

func (s *servicePlan) selects(p *podPlan) bool {
	return p.Namespace == s.namespace && s.selector.Matches(p.Labels)
}

// host is what a plan depends on of the machine.
type host struct {
	firstUnprivileged int // the first port that this user may listen on
	freePort          func(ip netip.Addr, wanted int) (int, error)
}

func makePlan(objects *manifest.Objects, o Options, known programs, h host) (*plan, error) {
	return newLayout(h).plan(objects, o, known)
}

// plan returns the plan of manifests with the layout's names and addresses.
func (l *layout) plan(objects *manifest.Objects, o Options, known programs) (*plan, error) {
	p := &plan{gateways: l.gateways}
	services := manifest.Of[*corev1.Service](objects)
	fleet, notes, err := newDeploymentSet(objects, known)
	if err != nil {
		return nil, err
	}
	settings, unknown, err := fleet.settings(o.Set, o.Bin != "")
	if err != nil {
		return nil, err
	}
	replicas, err := fleet.replicas(o.Replicas)
	if err != nil {
		return nil, err
	}
	if o.Mesh && p.gateways == nil {
		if p.gateways, err = l.addresses(o.Network, len(objects.Gateways())); err != nil {
			return nil, err
		}
	}
	for _, d := range fleet {
		for i := range replicas[d.object] {
			pod, err := l.pod(d, i, o.Network, func(name string, ip netip.Addr, h host) (*podPlan, error) {
				p, err := newPod(d, name, ip, settings[d.object], services, objects, o, h)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", d.name, err)
				}
				return p, nil
			})
			if err != nil {
				return nil, err
			}
			p.pods = append(p.pods, pod)
		}
	}
	p.addServices(services, &o)
	if err := p.checkNodePorts(o.NodePorts); err != nil {
		return nil, err
	}
	p.notes = slices.Concat(LeftOut(objects, o.Mesh), notes, partsLeftOut(fleet), selectingNone(services, fleet),
		notHere(services), missing(objects, fleet), unknown, p.podNotes())
	return p, nil
}

// programsOf returns the programs of pods, sorted.
func programsOf(pods []*podPlan) []string {
	names := collect(pods, func(p *podPlan) string { return p.program })
	slices.Sort(names)
	return slices.Compact(names)
}

// addServices plans the Services that lead to pods.
func (p *plan) addServices(services []*corev1.Service, o *Options) {
	for _, s := range services {
		if len(s.Spec.Selector) > 0 && s.Spec.Type != corev1.ServiceTypeExternalName {
			p.services = append(p.services, newService(s, o))
		}
	}
}

// podNotes are the pods' own, each once: replicas have the same.
func (p *plan) podNotes() []string {
	var notes []string
	for _, pod := range p.pods {
		for _, note := range pod.notes {
			if !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
		}
	}
	return notes
}

func newPod(d *deployment, name string, ip netip.Addr, set map[string]string, services []*corev1.Service, objects *manifest.Objects, o Options, h host) (*podPlan, error) {
	spec := d.object.Spec.Template.Spec
	container := spec.Containers[0]
	namespace := namespaceOf(d.object.Namespace)
	p := &podPlan{
		MeshPod: MeshPod{
			ID: podID(namespace, name), Name: name, Namespace: namespace, Deployment: d.object, Labels: d.object.Spec.Template.Labels, IP: ip,
			HostsFile: hostsFile(o.State, namespace),
		},
		program: d.program, image: container.Image, relayed: o.Relays,
		grace: 30 * time.Second, // Kubernetes' default
	}
	if err := p.meshed(objects, o); err != nil {
		return nil, err
	}
	if spec.TerminationGracePeriodSeconds != nil {
		p.grace = time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
	}
	if hook := preStopSleep(container); hook > 0 {
		p.preStop = min(hook, p.grace)
	}
	env, err := environment(d.tagEnv, p, &container, objects)
	if err != nil {
		return nil, err
	}
	if o.adminToken != "" {
		env[adminToken] = o.adminToken
	}
	maps.Copy(env, set)
	if err := p.listenOn(env, &container, services, h); err != nil {
		return nil, err
	}
	p.env = env
	p.variant = env["VARIANT"]
	if env["PROPAGATE_HEADERS"] == "false" {
		p.variant = strings.TrimPrefix(p.variant+" no-header-propagation", " ")
	}
	for _, kind := range []struct {
		field string
		from  *corev1.Probe
		to    **probe
	}{
		{"readinessProbe", container.ReadinessProbe, &p.readiness},
		{"livenessProbe", container.LivenessProbe, &p.liveness},
		{"startupProbe", container.StartupProbe, &p.startup},
	} {
		if kind.from == nil {
			continue
		}
		if *kind.to, err = newProbe(kind.from, &container, p); err != nil {
			return nil, fmt.Errorf("spec.template.spec.containers[0].%s: %w", kind.field, err)
		}
		if port := (*kind.to).port; p.itself(port) == p.address(noPort) {
			p.notes = append(p.notes, fmt.Sprintf("%s: spec.template.spec.containers[0].%s: port %d: fails, as on a cluster: %s",
				ref(d.object), kind.field, port, p.whereItListens()))
		}
	}
	return p, nil
}

// meshed sets what a proxy beside the pod needs, if a revision of the mesh has the pod.
func (p *podPlan) meshed(objects *manifest.Objects, o Options) error {
	if o.Mesh {
		p.Revision = objects.Revision(p.Namespace, &p.Deployment.Spec.Template)
	}
	if p.Revision == "" {
		return nil
	}
	if len(validation.IsDNS1123Label(p.Revision)) > 0 { // as istioctl install --set revision requires
		return fmt.Errorf("%s: %.80q: must be a revision, of lower-case letters, digits and dashes", manifest.RevisionLabel, p.Revision)
	}
	p.Proxied, p.Outbound = true, outboundOf(p.IP, o.Network)
	if o.Relays {
		p.Bind = outboundOf(p.Outbound, o.Network)
	}
	p.HostsFile = filepath.Join(o.State, "hosts."+strings.ReplaceAll(p.ID, "/", "."))
	return nil
}

func preStopSleep(c corev1.Container) time.Duration {
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
}

func newService(s *corev1.Service, o *Options) servicePlan {
	planned := servicePlan{name: s.Name, namespace: namespaceOf(s.Namespace), selector: labels.SelectorFromSet(s.Spec.Selector)}
	if s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return planned
	}
	for _, port := range s.Spec.Ports {
		number, chosen := o.NodePorts[s.Name+":"+port.Name]
		if !chosen {
			number, chosen = o.NodePorts[s.Name]
		}
		if !chosen && !o.FreeNodePorts {
			number = int(port.NodePort)
		}
		key := strconv.Itoa(number)
		if number == 0 {
			key = planned.namespace + "/" + s.Name + ":" + port.Name
		}
		planned.nodePorts = append(planned.nodePorts, nodePort{
			key: key, service: s.Name, name: port.Name, port: number, declared: int(port.NodePort),
			target: func(p *podPlan) int { return p.portFor(int(port.Port)) },
		})
	}
	return planned
}

// hasNodePort reports whether a Service has an open port with that key.
func (p *plan) hasNodePort(key string) bool {
	for i := range p.services {
		if slices.ContainsFunc(p.services[i].nodePorts, func(port nodePort) bool { return port.key == key }) {
			return true
		}
	}
	return false
}

// checkNodePorts refuses the name of a port that is not there.
func (p *plan) checkNodePorts(chosen map[string]int) error {
	var known []string
	for _, s := range p.services {
		for _, port := range s.nodePorts {
			if len(s.nodePorts) == 1 {
				known = append(known, s.name)
			}
			if port.name != "" {
				known = append(known, s.name+":"+port.name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		if !slices.Contains(known, name) {
			return usage.Errorf("--node-port %s=%d: must be a Service with a NodePort: %s", name, chosen[name], strings.Join(known, ", "))
		}
	}
	return nil
}

func namespaceOf(namespace string) string { return cmp.Or(namespace, manifest.DefaultNamespace) }

// ref is the name of a Deployment or Service in messages.
func ref(object metav1.Object) string {
	kind := "Deployment"
	if _, ok := object.(*corev1.Service); ok {
		kind = "Service"
	}
	return manifest.Object{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName()}.Ref()
}
