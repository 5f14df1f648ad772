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

// PodName returns the name of the gateway's only pod.
func (g *Gateway) PodName() string { return g.Name + "-0" }

// Labels returns the labels of the gateway's pod. security.istio.io/tlsMode is not among them: Istio's
// injector sets it for sidecars alone, and with it callers in the mesh would use mutual TLS to a
// Gateway's plaintext server.
func (g *Gateway) Labels() map[string]string {
	return map[string]string{"app": g.Name, "istio": g.Istio, PodLabel: g.PodName()}
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
	d.addPod(metav1.ObjectMeta{Name: g.PodName(), Namespace: RootNamespace, Labels: g.Labels()},
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
		if !g.selectedBy(o) {
			continue
		}
		for _, server := range mapsOf(o, "spec", "servers") {
			if port := number(server, "port", "number"); port > 0 {
				ports[port] = strings.ToLower(cmp.Or(field[string](server, "port", "protocol"), "tcp"))
			}
		}
	}
	return ports
}

// selectedBy reports whether an object is a Gateway, of Istio's own API, that selects the gateway's proxy.
func (g *Gateway) selectedBy(o Object) bool {
	return o["kind"] == "Gateway" && strings.HasPrefix(field[string](o, "apiVersion"), "networking.istio.io/") && selectedBy(stringMap(o, "spec", "selector"), g.Labels())
}

// HasGateway reports whether a Gateway selects the gateway's proxy.
func HasGateway(objects []Object, g *Gateway) bool { return slices.ContainsFunc(objects, g.selectedBy) }

// GatewayPorts returns the ports of a gateway's Service.
func GatewayPorts(objects []Object, name string) (found []int) {
	for _, o := range objects {
		if o["kind"] != "Service" || field[string](o, "metadata", "name") != name || field[string](o, "metadata", "namespace") != RootNamespace {
			continue
		}
		for _, port := range mapsOf(o, "spec", "ports") {
			found = append(found, number(port, "port"))
		}
	}
	return found
}

func selectedBy(selector, set labels.Set) bool { return labels.SelectorFromSet(selector).Matches(set) }

// bind sets the address of a Gateway's servers to that of the gateway that it selects. Without it they
// would listen at all addresses of this machine.
func (d *deriver) bind(m manifest.Object, object Object) {
	var known []string
	for i := range d.Gateways {
		g := &d.Gateways[i]
		known = append(known, "istio: "+g.Istio)
		if !g.selectedBy(object) {
			continue
		}
		for j, server := range mapsOf(object, "spec", "servers") {
			if server["bind"] == nil {
				server["bind"] = g.IP.String()
			} else {
				d.note("%s: spec.servers[%d].bind: %v: traffic to the gateway arrives at %s alone", m.Ref(), j, server["bind"], g.IP)
			}
			if mapOf(server["tls"])["credentialName"] != nil {
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
		selector := stringMap(o, "spec", "workloadSelector", "labels")
		switch namespace := field[string](o, "metadata", "namespace"); {
		case len(selector) > 0:
			if namespace == pod.Namespace && selectedBy(selector, PodLabels(pod)) {
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
	for _, listener := range mapsOf(user, "ingress") {
		settings[number(listener, "port", "number")] = listener
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
	given := mapsOf(user, "egress")
	if len(given) == 0 {
		given = []map[string]any{{"hosts": []any{"*/*"}}}
	}
	var listeners []any
	for _, listener := range given {
		copied := maps.Clone(listener)
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
