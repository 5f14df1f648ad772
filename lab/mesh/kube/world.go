package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// World is the state from which Derive makes objects.
type World struct {
	Manifests *manifest.Objects
	Pods      []local.MeshPod
	States    map[string]local.PodState // by pod ID; a pod without a state is not ready
	Gateways  []Gateway
	// Node is the machine's address.
	Node netip.Addr
	// Revisions are those of the control planes that run. Defaults to those of the manifests.
	Revisions []string
	// DNS is the address of the DNS server for hosts outside the mesh.
	DNS netip.AddrPort
	// MeshConfig is istiod's mesh configuration, for the ConfigMap that istioctl reads.
	MeshConfig string
	// IstioVersion is the version that the proxies report. "" matches any.
	IstioVersion string
	// Collector is the collector of the proxies' spans. Nil means that there is none.
	Collector *Collector
	// Mark is a number that each proxy's configuration has: see envoy.Client.Mark. 0 adds none.
	Mark int64
	// Began is the time of the run's start. Derived objects are created before it.
	Began time.Time
}

// Gateway is a proxy at the edge of the mesh.
type Gateway struct {
	Name string // of the Service and the service account; the pod is NAME-0
	IP   netip.Addr
	// Istio is the value of the label istio, by which Gateways select it, such as "ingressgateway".
	Istio string
	// NodePorts are the node ports, keyed by the Service's port.
	NodePorts map[int]int
}

// RootNamespace is Istio's root namespace, whose objects apply to the whole mesh.
const RootNamespace = "istio-system"

// PodLabel is the label whose value is the pod's name, so that a Sidecar can select one pod.
const PodLabel = "fleetman.example/pod"

// Derive returns all objects of a cluster in the given state: those of the manifests, with the API
// server's defaults, and those that controllers and Istio's injector add. The notes have a line for each
// field or object that the mesh does not apply.
func Derive(w World) (objects []Object, notes []string, err error) {
	if len(w.Revisions) == 0 {
		w.Revisions = w.Manifests.Revisions()
	}
	d := &deriver{World: w}
	if err := d.read(); err != nil {
		return nil, nil, err
	}
	for i := range kinds {
		if kinds[i].Custom() {
			d.add(crd(&kinds[i]))
		}
	}
	d.namespaces()
	d.node()
	d.meshConfig()
	d.collector()
	for i := range d.Pods {
		d.pod(&d.Pods[i])
	}
	for i := range d.Gateways {
		d.gateway(&d.Gateways[i])
	}
	for _, revision := range d.Revisions {
		d.controlPlane(revision)
	}
	for _, service := range d.services {
		d.endpoints(service)
	}
	d.sidecars()
	d.proxyConfigs()
	d.dns()
	d.mark()
	d.translateAll()
	d.idle()
	return d.objects, d.notes, nil
}

type deriver struct {
	World
	objects  []Object
	notes    []string
	services []*corev1.Service // with defaults
	users    []Object          // Sidecars of the manifests
}

func (d *deriver) add(o Object) { d.objects = append(d.objects, o) }

// addTyped adds an object of a Go type.
func (d *deriver) addTyped(typed runtime.Object) {
	made, err := toObject(typed)
	if err != nil {
		d.note("%s: %v", typed.GetObjectKind().GroupVersionKind().Kind, err)
		return
	}
	delete(mapOf(made["metadata"]), "creationTimestamp") // the API server sets it
	d.add(made)
}

func (d *deriver) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// read adds the manifests' own objects, with the defaults that istiod depends on.
func (d *deriver) read() error {
	for _, m := range d.Manifests.All {
		kind := KindOf(m.APIVersion, m.Kind)
		if kind == nil {
			if group, _, _ := strings.Cut(m.APIVersion, "/"); strings.HasSuffix(group, "istio.io") {
				return fmt.Errorf("%s: %s: kind: %s: must be a kind that Istio has in %s", m.Source, m.Ref(), m.Kind, m.APIVersion)
			}
			continue // package local adds a note
		}
		object, err := objectOf(m)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m.Source, m.Ref(), err)
		}
		metadata := mapOf(object["metadata"])
		delete(metadata, "creationTimestamp") // the API server sets it
		if kind.Namespaced {
			metadata["namespace"] = m.Namespace
		}
		object["apiVersion"] = kind.apiVersion(kind.Versions[0])
		switch typed := m.Typed.(type) {
		case *corev1.Namespace: // with the others
		case *corev1.Service:
			err = d.service(typed, object)
		case *appsv1.Deployment:
			d.deployment(m, object)
			d.add(object)
		default:
			err = d.addOther(kind, m, object)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addOther adds an object that is no Service, Deployment or Namespace.
func (d *deriver) addOther(kind *Kind, m manifest.Object, object Object) error {
	if at, file := fileField(object["spec"], "spec"); kind.Istio() && file != "" {
		return fmt.Errorf("%s: %s: %s: %s: must be empty: proxies here run without containers and their files", m.Source, m.Ref(), at, file)
	}
	routeDefaults(kind, mapOf(object["spec"]))
	switch {
	case kind.Kind == "Gateway" && kind.Istio():
		d.bind(m, object)
	case kind.Group == manifest.GatewayGroup && kind.Kind == "Gateway":
		d.note("%s: not applied: on a cluster Istio's controller makes a proxy for it", m.Ref())
	case kind.Kind == "Sidecar":
		d.users = append(d.users, object)
	case kind.Kind == "WasmPlugin", kind.Kind == "TrafficExtension" && mapOf(object["spec"])["wasm"] != nil:
		// kept from istiod: proxies would reject the update
		d.note("%s: not applied: proxies here run no WebAssembly plug-ins", m.Ref())
		return nil
	case kind.Kind == "WorkloadGroup":
		d.note("%s: not applied: no machine outside the fleet registers by it", m.Ref())
	}
	d.add(object)
	return nil
}

// namespaces adds all namespaces of the manifests' objects, and those that every cluster has.
func (d *deriver) namespaces() {
	written := map[string]*corev1.Namespace{}
	names := []string{manifest.DefaultNamespace, "kube-system", RootNamespace}
	for _, m := range d.Manifests.All {
		if namespace, ok := m.Typed.(*corev1.Namespace); ok {
			written[namespace.Name] = namespace
			names = append(names, namespace.Name)
		} else if m.Namespace != "" {
			names = append(names, m.Namespace)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		made := &corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		}
		if from := written[name]; from != nil {
			made.Labels, made.Annotations = maps.Clone(from.Labels), from.Annotations
			if from.Labels[manifest.DataplaneMode] == "ambient" {
				d.note("Namespace %s: %s: ambient: not applied: ztunnel redirects the traffic of a node's pods in the kernel, and processes here share one network; a cluster runs it", name, manifest.DataplaneMode)
			}
		}
		metav1.SetMetaDataLabel(&made.ObjectMeta, corev1.LabelMetadataName, name)
		d.addTyped(made)
	}
}

const nodeName = "localhost"

func (d *deriver) node() {
	d.addTyped(&corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{corev1.LabelHostname: nodeName}},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: d.Node.String()}, {Type: corev1.NodeHostName, Address: nodeName}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	})
}

func (d *deriver) meshConfig() {
	d.addTyped(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "istio", Namespace: RootNamespace},
		Data:       map[string]string{"mesh": d.MeshConfig, "meshNetworks": "networks: {}"},
	})
}

// deployment sets a Deployment's status, which kubectl prints.
func (d *deriver) deployment(m manifest.Object, object Object) {
	total, ready := 0, 0
	for i := range d.Pods {
		if pod := &d.Pods[i]; pod.Deployment.Name == m.Name && pod.Namespace == m.Namespace {
			total++
			if d.States[pod.ID].Ready {
				ready++
			}
		}
	}
	mapOf(object["spec"])["replicas"] = float64(total)
	object["status"] = map[string]any{"replicas": total, "updatedReplicas": total, "readyReplicas": ready, "availableReplicas": ready}
}

// toObject returns the JSON of a typed object.
func toObject(typed any) (object Object, err error) {
	data, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(data, &object)
	return object, err
}
