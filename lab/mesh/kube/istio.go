package kube

import (
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

// Labels are those of the gateway's pod. It has no tlsMode: only the sidecars'
// template of Istio's injector sets that, and with it callers in the mesh would
// speak mutual TLS to a Gateway's server that is plain HTTP.
func (g *Gateway) Labels() map[string]string {
	return map[string]string{"app": g.Name, "istio": g.Istio, PodLabel: g.podName()}
}

// GatewayPort is where a gateway's pod listens for a port of its Service: a
// pod needs no root, on a cluster too.
func GatewayPort(port int) int {
	if port < 1024 {
		return port + 8000
	}
	return port
}

// gateway makes the pod and the Service that Istio's installation brings.
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

// gatewayPorts are 80 and those that Gateways ask for, each with its protocol.
func (d *deriver) gatewayPorts(g *Gateway) map[int]string {
	ports := map[int]string{80: "http"}
	for _, o := range d.objects {
		if o["kind"] != "Gateway" || !selectedBy(mapOf(o["spec"])["selector"], g.Labels()) {
			continue
		}
		servers, _ := mapOf(o["spec"])["servers"].([]any)
		for _, server := range servers {
			port := mapOf(mapOf(server)["port"])
			if number, ok := port["number"].(float64); ok && number > 0 {
				protocol, _ := port["protocol"].(string)
				ports[int(number)] = strings.ToLower(first(protocol, "tcp"))
			}
		}
	}
	return ports
}

// HasGateway reports whether a Gateway selects the gateway's proxy.
func HasGateway(objects []Object, g *Gateway) bool {
	for _, o := range objects {
		if o["kind"] == "Gateway" && selectedBy(mapOf(o["spec"])["selector"], g.Labels()) {
			return true
		}
	}
	return false
}

// GatewayPorts are the ports of a gateway's Service.
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

// bind gives a Gateway's servers the address of the gateway that it selects:
// without, they would be opened on all addresses of this machine.
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
				d.note("%s: spec.servers[%d].bind: %v: it is only reached at %s there", m.Ref(), j, s["bind"], g.IP)
			}
			if tls := mapOf(mapOf(server)["tls"]); tls["credentialName"] != nil {
				d.note("%s: spec.servers[%d].tls.credentialName: not applied: istiod gives certificates of Secrets only to proxies that prove who they are", m.Ref(), j)
			}
		}
		return
	}
	d.note("%s: spec.selector: not applied: must select a gateway: %s", m.Ref(), strings.Join(known, ", "))
}

// sidecars make one Sidecar a proxied pod: what iptables do on a cluster,
// addresses do here. What the manifests' own say for the pod is in it.
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
				// the oldest of several that select a pod counts
				"creationTimestamp": d.Began.Add(-time.Second).UTC().Format(time.RFC3339),
			},
			"spec": spec,
		})
	}
}

// sidecarFor is the manifests' Sidecar that counts for a pod, by Istio's
// order: the one that selects it, its namespace's, the mesh's; nil for none.
func (d *deriver) sidecarFor(pod *local.MeshPod) Object {
	var namespaces, mesh Object
	for _, o := range d.users {
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

func (d *deriver) ingress(pod *local.MeshPod, user map[string]any) []any {
	var listeners []any
	asked := map[int]map[string]any{}
	given, _ := user["ingress"].([]any)
	for _, listener := range given {
		number, _ := mapOf(mapOf(listener)["port"])["number"].(float64)
		asked[int(number)] = mapOf(listener)
	}
	for _, in := range pod.Inbound {
		name, protocol := d.protocolAt(pod, in.Port)
		listener := map[string]any{
			"port": map[string]any{"number": in.Port, "name": name, "protocol": protocol},
			"bind": pod.IP.String(), "defaultEndpoint": fmt.Sprintf("127.0.0.1:%d", in.App),
		}
		if from := asked[in.Declared]; from != nil {
			for _, field := range []string{"connectionPool", "tls"} {
				if from[field] != nil {
					listener[field] = from[field]
				}
			}
			delete(asked, in.Declared)
		}
		listeners = append(listeners, listener)
	}
	for _, number := range slices.Sorted(maps.Keys(asked)) {
		d.note("Pod %s: its Sidecar's ingress listener on port %d is not applied: the pod has no such port", pod.ID, number)
	}
	return listeners
}

// protocolAt is what the Services say of a pod's port.
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
	// istiod finds out from the first bytes
	return fmt.Sprintf("port-%d", number), ""
}

// egress opens each listener at the pod's own outbound address.
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

// ControlPlane is the name of istiod's pod, in the root namespace.
const ControlPlane = "istiod-0"

// controlPlane is istiod's own pod, by which istioctl finds it. Nobody's
// traffic leads there, so it has no Service.
func (d *deriver) controlPlane() {
	d.addPod(metav1.ObjectMeta{
		Name: ControlPlane, Namespace: RootNamespace, Labels: map[string]string{"app": "istiod", "istio": "pilot", "istio.io/rev": "default"},
	}, corev1.PodSpec{ServiceAccountName: "istiod", Containers: []corev1.Container{{Name: "discovery", Image: "pilot"}}}, d.Node.String(), true, 0)
}
