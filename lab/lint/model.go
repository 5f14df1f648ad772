package lint

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fleetman.example/lab/environ"
	"fleetman.example/lab/manifest"
)

// model is the fleet of the manifests: who runs, who calls whom, and which rules
// of the mesh there are.
type model struct {
	source    *manifest.Objects
	objects   []*object
	workloads []*workload
	services  []*service
	edges     []*edge
	// mesh reports whether the manifests have any object of the mesh.
	mesh bool

	allRoutes []*route
	clusters  []*cluster
}

// workload is a Deployment, or another object that runs pods.
type workload struct {
	object   *object
	name, ns string
	labels   map[string]string
	// hosts is the number of pods; 0 when the manifests do not say it.
	hosts   int
	env     map[string]variable
	program string // of the fleet; "" for another
	library library
	// meshed reports whether its pods have a proxy.
	meshed bool
	calls  []*edge
}

// variable is a variable of a container, and where its value is set.
type variable struct {
	text string
	set  value
}

// service is a Service of the manifests.
type service struct {
	object         *object
	name, ns, host string
	workloads      []*workload
	headless       bool
	calledBy       []*edge
}

// edge is what one workload calls. The service is nil when the manifests do not
// have it.
type edge struct {
	from *workload
	to   *service
	host string
}

// name is the called service's name.
func (e *edge) name() string {
	if e.to != nil {
		return e.to.name
	}
	short, _, _ := strings.Cut(e.host, ".")
	return short
}

// domain is the end of every service's full name.
const domain = ".svc.cluster.local"

// newModel reads objects; calls are further edges, by workload, such as
// webapp=fleetman-api-gateway.
func newModel(objects *manifest.Objects, calls map[string][]string) *model {
	m := &model{source: objects}
	for _, o := range objects.All {
		m.objects = append(m.objects, newObject(o))
	}
	m.mesh = slices.ContainsFunc(m.objects, func(o *object) bool {
		return strings.HasPrefix(o.APIVersion, "networking.istio.io/") || o.Kind == "Namespace" && injects(o) || asksForProxy(o)
	})
	for _, o := range m.objects {
		if pods := o.at("spec", "template"); pods.at("spec", "containers").has() && isRunning(o.Kind) {
			m.workloads = append(m.workloads, m.newWorkload(o, pods))
		}
	}
	for _, o := range m.objects {
		if o.Kind == "Service" {
			m.services = append(m.services, m.newService(o))
		}
	}
	for _, w := range m.workloads {
		m.addCalls(w, calls[w.name])
	}
	m.allRoutes = m.findRoutes()
	m.clusters = m.findClusters()
	return m
}

// injects reports whether a namespace gives its pods proxies.
func injects(namespace *object) bool {
	return manifest.Injects(namespace.at("metadata", "labels").labels())
}

// asksForProxy reports whether pods of an object get a proxy by their own labels.
func asksForProxy(o *object) bool {
	return isRunning(o.Kind) && isInjected(nil, o.at("spec", "template"))
}

// isInjected reports whether pods of a template get a proxy in a namespace with the given labels.
func isInjected(namespace map[string]string, pods value) bool {
	var template corev1.PodTemplateSpec
	template.Labels, template.Annotations = pods.at("metadata", "labels").labels(), pods.at("metadata", "annotations").labels()
	template.Spec.HostNetwork = pods.at("spec", "hostNetwork").isTrue()
	return manifest.InjectedBy(namespace, &template) != ""
}

func isRunning(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout"}, kind)
}

func (m *model) newWorkload(o *object, pods value) *workload {
	w := &workload{object: o, name: o.Name, ns: o.Namespace, labels: pods.at("metadata", "labels").labels()}
	if o.Kind != "DaemonSet" {
		w.hosts = o.at("spec", "replicas").count(1)
	}
	for _, scaler := range m.objects {
		if target := scaler.at("spec", "scaleTargetRef"); scaler.Kind == "HorizontalPodAutoscaler" && scaler.Namespace == o.Namespace &&
			target.at("kind").text() == o.Kind && target.at("name").text() == o.Name {
			w.hosts = scaler.at("spec", "minReplicas").count(1)
		}
	}
	container := w.container()
	w.env = m.environment(container, o.Namespace)
	w.program = environ.Program(container.at("image").text())
	w.library = newLibrary(w.env, w.program != "")
	w.meshed = m.mesh && isInjected(m.namespaceLabels(o.Namespace), pods)
	return w
}

// container returns the first container of a workload's pods.
func (w *workload) container() value {
	return w.object.at("spec", "template", "spec", "containers").items()[0]
}

// namespaceLabels returns the labels of a namespace. One that the manifests do not have is taken for one with
// injection, unless pods there ask for a proxy themselves, for which they have no reason then.
func (m *model) namespaceLabels(name string) map[string]string {
	if o := first(m.objects, func(o *object) bool { return o.Kind == "Namespace" && o.Name == name }); o != nil {
		return o.at("metadata", "labels").labels()
	}
	if slices.ContainsFunc(m.objects, func(o *object) bool { return o.Namespace == name && asksForProxy(o) }) {
		return nil
	}
	return map[string]string{manifest.InjectNamespace: "enabled"}
}

// environment returns a container's variables; those that come from a Secret or
// a field are left out.
func (m *model) environment(container value, ns string) map[string]variable {
	env := map[string]variable{}
	for _, from := range container.at("envFrom").items() {
		data := m.configMap(ns, from.at("configMapRef", "name").text())
		for _, key := range data.keys() {
			env[from.at("prefix").text()+key] = variable{data.at(key).text(), data.at(key)}
		}
	}
	for _, item := range container.at("env").items() {
		name, text := item.at("name").text(), item.at("value")
		if ref := item.at("valueFrom", "configMapKeyRef"); ref.has() {
			if text = m.configMap(ns, ref.at("name").text()).at(ref.at("key").text()); !text.has() {
				continue
			}
		} else if item.at("valueFrom").has() {
			continue
		}
		env[name] = variable{text.text(), text}
		if text.object == item.object && text.has() {
			env[name] = variable{text.text(), item}
		}
	}
	return env
}

func (m *model) configMap(ns, name string) value {
	if o := first(m.objects, func(o *object) bool { return o.Kind == "ConfigMap" && o.Namespace == ns && o.Name == name }); o != nil {
		return o.at("data")
	}
	return value{object: &object{}}
}

func (m *model) newService(o *object) *service {
	s := &service{object: o, name: o.Name, ns: o.Namespace, host: o.Name + "." + o.Namespace + domain}
	s.headless = o.at("spec", "clusterIP").text() == "None"
	selector := o.at("spec", "selector").labels()
	for _, w := range m.workloads {
		if w.ns == s.ns && len(selector) > 0 && selects(selector, w.labels) {
			s.workloads = append(s.workloads, w)
		}
	}
	return s
}

// selects reports whether a selector, or the labels of a subset, select what has some labels.
func selects(selector, of map[string]string) bool {
	return labels.SelectorFromSet(selector).Matches(labels.Set(of))
}

// hosts returns the number of pods with the labels of a subset; 0 when it is not
// known.
func (s *service) hosts(subset map[string]string) int {
	if s == nil {
		return 0
	}
	n := 0
	for _, w := range s.workloads {
		if !selects(subset, w.labels) {
			continue
		}
		if w.hosts == 0 {
			return 0
		}
		n += w.hosts
	}
	return n
}

// callees are the names of what a service's pods call.
func (s *service) callees() []string {
	var names []string
	for _, w := range s.workloads {
		for _, e := range w.calls {
			if !slices.Contains(names, e.name()) {
				names = append(names, e.name())
			}
		}
	}
	return names
}

// runs reports whether a workload's pods are the service's.
func (s *service) runs(w *workload) bool { return slices.Contains(s.workloads, w) }

// fullName returns a host's full name as objects of a namespace mean it.
func fullName(host, ns string) string {
	if strings.ContainsAny(host, ".*") {
		return host
	}
	return host + "." + ns + domain
}

// dialName is fullName for a name that a pod looks up, which DNS completes.
func dialName(host, ns string) string {
	switch parts := strings.Split(host, "."); {
	case len(parts) == 2:
		return host + domain
	case len(parts) == 3 && parts[2] == "svc":
		return host + ".cluster.local"
	}
	return fullName(host, ns)
}

// serviceOf returns the Service with a full name, or nil.
func (m *model) serviceOf(host string) *service {
	return first(m.services, func(s *service) bool { return s.host == host })
}

// named returns the first Service with a name, of any namespace, or nil.
func (m *model) named(name string) *service {
	return first(m.services, func(s *service) bool { return s.name == name })
}

// serviceRunning returns the first Service of a workload's pods, or nil.
func (m *model) serviceRunning(w *workload) *service {
	return first(m.services, func(s *service) bool { return s.runs(w) })
}

// first returns the first of all for which is holds, or nil.
func first[T any](all []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i]
	}
	return nil
}

// addCalls adds the edges of a workload: from its variables NAME_URL, from its
// program's defaults for those that are not set, and those that are given.
func (m *model) addCalls(w *workload, given []string) {
	addresses := maps.Clone(defaultAddresses[w.program])
	if addresses == nil {
		addresses = map[string]string{}
	}
	for name, v := range w.env {
		if strings.HasSuffix(name, "_URL") {
			addresses[name] = v.text
		}
	}
	hosts := slices.Clone(given)
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if parsed, err := url.Parse(addresses[name]); err == nil && parsed.Hostname() != "" {
			hosts = append(hosts, parsed.Hostname())
		}
	}
	for _, host := range hosts {
		full := dialName(host, w.ns)
		to := m.serviceOf(full)
		if slices.ContainsFunc(w.calls, func(e *edge) bool { return e.host == full }) || to == nil && !strings.HasSuffix(full, domain) && !m.isEntry(full) {
			continue
		}
		e := &edge{from: w, to: to, host: full}
		w.calls = append(w.calls, e)
		m.edges = append(m.edges, e)
		if to != nil {
			to.calledBy = append(to.calledBy, e)
		}
	}
}

// isEntry reports whether a ServiceEntry has a host.
func (m *model) isEntry(host string) bool {
	return slices.ContainsFunc(m.objects, func(o *object) bool {
		return o.Kind == "ServiceEntry" && slices.Contains(o.at("spec", "hosts").texts(), host)
	})
}

// of returns the objects of a kind of the mesh.
func (m *model) of(kind string) []*object {
	var found []*object
	for _, o := range m.objects {
		if o.Kind == kind && strings.Contains(o.APIVersion, ".istio.io/") {
			found = append(found, o)
		}
	}
	return found
}

// counted returns a number with its noun: "1 host", "2 hosts".
func counted(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
