package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

func (g *Gateway) podName() string { return g.Name + "-0" }

// Labels returns the labels of the gateway's pod. security.istio.io/tlsMode is not among them: Istio's
// injector sets it for sidecars alone, and with it callers in the mesh would use mutual TLS to a
// Gateway's plaintext server.
func (g *Gateway) Labels() map[string]string {
	return map[string]string{"app": g.Name, "istio": g.Istio, PodLabel: g.podName()}
}

// GatewayPort returns the port at which a gateway's pod listens for a port of its Service. It is above
// 1024, as on a cluster, so the pod needs no root.
func GatewayPort(port int) int {
	if port < 1024 {
		return port + 8000
	}
	return port
}

// gateway adds the pod and the Service that Istio's installation creates for a gateway.
func (d *deriver) gateway(g *Gateway) {
	d.addPod(metav1.ObjectMeta{Name: g.podName(), Namespace: RootNamespace, Labels: g.Labels()},
		corev1.PodSpec{ServiceAccountName: g.Name, Containers: []corev1.Container{{Name: "istio-proxy", Image: "envoy"}}}, g.IP.String(), true, 0)
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: g.Name, Namespace: RootNamespace, Labels: map[string]string{"app": g.Name, "istio": g.Istio}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": g.Name, "istio": g.Istio}},
	}
	for _, number := range slices.Sorted(maps.Keys(d.gatewayPorts(g))) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: fmt.Sprintf("%s-%d", d.gatewayPorts(g)[number], number), Port: int32(number), TargetPort: intstr.FromInt32(int32(GatewayPort(number))),
			NodePort: int32(g.NodePorts[number]),
		})
	}
	d.defaults(s)
	d.services = append(d.services, s)
	d.addTyped(s)
}

// gatewayPorts returns the protocols of a gateway's ports: port 80 and those of the Gateways that select
// it.
func (d *deriver) gatewayPorts(g *Gateway) map[int]string {
	ports := map[int]string{80: "http"}
	for _, o := range d.objects {
		if !isGateway(o) || !selectedBy(mapOf(o["spec"])["selector"], g.Labels()) {
			continue
		}
		servers, _ := mapOf(o["spec"])["servers"].([]any)
		for _, server := range servers {
			port := mapOf(mapOf(server)["port"])
			if number, ok := port["number"].(float64); ok && number > 0 {
				protocol, _ := port["protocol"].(string)
				ports[int(number)] = strings.ToLower(cmp.Or(protocol, "tcp"))
			}
		}
	}
	return ports
}

// isGateway reports whether an object is a Gateway of Istio's own API.
func isGateway(o Object) bool {
	apiVersion, _ := o["apiVersion"].(string)
	return o["kind"] == "Gateway" && strings.HasPrefix(apiVersion, "networking.istio.io/")
}

// HasGateway reports whether a Gateway selects the gateway's proxy.
func HasGateway(objects []Object, g *Gateway) bool {
	for _, o := range objects {
		if isGateway(o) && selectedBy(mapOf(o["spec"])["selector"], g.Labels()) {
			return true
		}
	}
	return false
}

// GatewayPorts returns the ports of a gateway's Service.
func GatewayPorts(objects []Object, name string) []int {
	var found []int
	for _, o := range objects {
		metadata := mapOf(o["metadata"])
		if o["kind"] != "Service" || metadata["name"] != name || metadata["namespace"] != RootNamespace {
			continue
		}
		ports, _ := mapOf(o["spec"])["ports"].([]any)
		for _, port := range ports {
			if number, ok := mapOf(port)["port"].(float64); ok {
				found = append(found, int(number))
			}
		}
	}
	return found
}

func selectedBy(selector any, set map[string]string) bool {
	wanted := stringMap(mapOf(selector))
	return labels.SelectorFromSet(wanted).Matches(labels.Set(set))
}

// bind sets the address of a Gateway's servers to that of the gateway that it selects. Without it they
// would listen at all addresses of this machine.
func (d *deriver) bind(m manifest.Object, object Object) {
	spec := mapOf(object["spec"])
	var known []string
	for i := range d.Gateways {
		g := &d.Gateways[i]
		known = append(known, "istio: "+g.Istio)
		if !selectedBy(spec["selector"], g.Labels()) {
			continue
		}
		servers, _ := spec["servers"].([]any)
		for j, server := range servers {
			if s := mapOf(server); s["bind"] == nil {
				s["bind"] = g.IP.String()
			} else {
				d.note("%s: spec.servers[%d].bind: %v: traffic to the gateway arrives at %s alone", m.Ref(), j, s["bind"], g.IP)
			}
			if tls := mapOf(mapOf(server)["tls"]); tls["credentialName"] != nil {
				d.note("%s: spec.servers[%d].tls.credentialName: not applied: istiod sends certificates of Secrets to authenticated proxies alone", m.Ref(), j)
			}
		}
		return
	}
	d.note("%s: spec.selector: not applied: must select a gateway: %s", m.Ref(), strings.Join(known, ", "))
}

// sidecars adds a Sidecar for each pod with a proxy. On a cluster iptables redirect traffic to the
// proxy; here the listeners have addresses of their own. The Sidecar includes the settings of the
// manifests' Sidecar for the pod.
func (d *deriver) sidecars() {
	for i := range d.Pods {
		pod := &d.Pods[i]
		if !pod.Proxied {
			continue
		}
		spec := map[string]any{"workloadSelector": map[string]any{"labels": map[string]any{PodLabel: pod.Name}}}
		user := mapOf(d.sidecarFor(pod)["spec"])
		for _, field := range []string{"outboundTrafficPolicy", "inboundConnectionPool"} {
			if user[field] != nil {
				spec[field] = user[field]
			}
		}
		if ingress := d.ingress(pod, user); len(ingress) > 0 {
			spec["ingress"] = ingress
		}
		spec["egress"] = egress(pod, user)
		d.add(Object{
			"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
			"metadata": map[string]any{
				"name": "fleetman-" + pod.Name, "namespace": pod.Namespace,
				// the oldest of several Sidecars that select a pod takes effect
				"creationTimestamp": d.Began.Add(-time.Second).UTC().Format(time.RFC3339),
			},
			"spec": spec,
		})
	}
}

// sidecarFor returns the manifests' Sidecar that takes effect for a pod, or nil. Istio's order is: one
// that selects the pod, its namespace's, the mesh's.
func (d *deriver) sidecarFor(pod *local.MeshPod) Object {
	var namespaces, mesh Object
	for _, o := range d.users {
		if revision := revisionOf(o); revision != "" && revision != pod.Revision {
			continue
		}
		selector := mapOf(mapOf(o["spec"])["workloadSelector"])
		switch namespace := mapOf(o["metadata"])["namespace"]; {
		case len(mapOf(selector["labels"])) > 0:
			if namespace == pod.Namespace && selectedBy(selector["labels"], PodLabels(pod)) {
				return o
			}
		case namespace == pod.Namespace && namespaces == nil:
			namespaces = o
		case namespace == RootNamespace && mesh == nil:
			mesh = o
		}
	}
	if namespaces != nil {
		return namespaces
	}
	return mesh
}

// ingress returns a listener for each port of the pod, with the settings of the manifests' Sidecar.
func (d *deriver) ingress(pod *local.MeshPod, user map[string]any) []any {
	var listeners []any
	settings := map[int]map[string]any{} // by port
	given, _ := user["ingress"].([]any)
	for _, listener := range given {
		number, _ := mapOf(mapOf(listener)["port"])["number"].(float64)
		settings[int(number)] = mapOf(listener)
	}
	for _, in := range pod.Inbound {
		name, protocol := d.protocolAt(pod, in.Port)
		listener := map[string]any{
			"port": map[string]any{"number": in.Port, "name": name, "protocol": protocol},
			"bind": cmp.Or(pod.Bind, pod.IP).String(), "defaultEndpoint": fmt.Sprintf("127.0.0.1:%d", in.App),
		}
		if from := settings[in.Declared]; from != nil {
			for _, field := range []string{"connectionPool", "tls"} {
				if from[field] != nil {
					listener[field] = from[field]
				}
			}
			delete(settings, in.Declared)
		}
		listeners = append(listeners, listener)
	}
	for _, number := range slices.Sorted(maps.Keys(settings)) {
		d.note("Pod %s: Sidecar: spec.ingress: port %d: not applied: the pod has no such port", pod.ID, number)
	}
	return listeners
}

// protocolAt returns a name and the protocol of a pod's port, from the Services that select the pod. The
// protocol is "" when istiod has to detect it.
func (d *deriver) protocolAt(pod *local.MeshPod, number int) (name, protocol string) {
	for _, s := range d.services {
		if !selects(s, pod.Namespace, pod.Labels) {
			continue
		}
		for _, port := range s.Spec.Ports {
			if target, known := targetPort(pod, port.TargetPort); !known || target != number {
				continue
			}
			text, _, _ := strings.Cut(port.Name, "-")
			if port.AppProtocol != nil {
				text = *port.AppProtocol
			}
			switch text = strings.ToLower(text); text {
			case "http", "http2", "https", "grpc", "tcp", "tls", "mongo":
				return fmt.Sprintf("%s-%d", text, number), strings.ToUpper(text)
			case "grpc-web", "kubernetes.io/ws", "kubernetes.io/wss":
				return fmt.Sprintf("http-%d", number), "HTTP"
			case "kubernetes.io/h2c":
				return fmt.Sprintf("http2-%d", number), "HTTP2"
			}
		}
	}
	// the proxy detects the protocol from the first bytes
	return fmt.Sprintf("port-%d", number), ""
}

// egress returns the egress listeners of the manifests' Sidecar, or one for all hosts, at the pod's
// outbound address.
func egress(pod *local.MeshPod, user map[string]any) []any {
	given, _ := user["egress"].([]any)
	if len(given) == 0 {
		given = []any{map[string]any{"hosts": []any{"*/*"}}}
	}
	var listeners []any
	for _, listener := range given {
		copied := maps.Clone(mapOf(listener))
		copied["bind"], copied["captureMode"] = pod.Outbound.String(), "NONE"
		listeners = append(listeners, copied)
	}
	return listeners
}

// ControlPlane returns the name of a revision's istiod, as istioctl install names its Deployment.
func ControlPlane(revision string) string {
	if revision == manifest.DefaultRevision {
		return "istiod"
	}
	return "istiod-" + revision
}

// ControlPlanePod returns the name of the pod of a revision's istiod in RootNamespace.
func ControlPlanePod(revision string) string { return ControlPlane(revision) + "-0" }

// controlPlane adds the pod of a revision's istiod, by which istioctl finds it. It needs no Service: proxies have
// istiod's address.
func (d *deriver) controlPlane(revision string) {
	d.addPod(metav1.ObjectMeta{
		Name: ControlPlanePod(revision), Namespace: RootNamespace, Labels: map[string]string{"app": "istiod", "istio": "pilot", manifest.RevisionLabel: revision},
	}, corev1.PodSpec{ServiceAccountName: "istiod", Containers: []corev1.Container{{Name: "discovery", Image: "pilot"}}}, d.Node.String(), true, 0)
}
