package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// service adds a Service of the manifests, with the API server's defaults.
func (d *deriver) service(written *corev1.Service, object Object) error {
	s := written.DeepCopy()
	s.Namespace = cmp.Or(s.Namespace, manifest.DefaultNamespace)
	d.defaults(s)
	made, err := toObject(s)
	if err != nil {
		return fmt.Errorf("defaults of Service %s: %w", s.Name, err)
	}
	object["spec"] = made["spec"]
	delete(object, "status")
	d.services = append(d.services, s)
	d.add(object)
	return nil
}

func (d *deriver) defaults(s *corev1.Service) {
	s.Spec.Type = cmp.Or(s.Spec.Type, corev1.ServiceTypeClusterIP)
	s.Spec.SessionAffinity = cmp.Or(s.Spec.SessionAffinity, corev1.ServiceAffinityNone)
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		port.Protocol = cmp.Or(port.Protocol, corev1.ProtocolTCP)
		if port.TargetPort.Type == intstr.Int && port.TargetPort.IntVal == 0 {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
		if port.TargetPort.Type == intstr.Int {
			port.TargetPort.IntVal = int32(d.movedTarget(s, int(port.TargetPort.IntVal)))
		}
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	if s.Spec.ClusterIP == "" {
		n := len(d.services) + 1
		s.Spec.ClusterIP = fmt.Sprintf("10.96.%d.%d", n/250, n%250+1)
	}
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
}

// movedTarget returns the port at which the Service's pods serve a target port. It differs from the
// target port when that is not free at their addresses. All pods of a Service have the same.
func (d *deriver) movedTarget(s *corev1.Service, port int) int {
	for i := range d.Pods {
		if pod := &d.Pods[i]; selects(s, pod.Namespace, pod.Labels) {
			return actual(pod, port)
		}
	}
	return port
}

func selects(s *corev1.Service, namespace string, set labels.Set) bool {
	return len(s.Spec.Selector) > 0 && s.Namespace == namespace && selectedBy(s.Spec.Selector, set)
}

// actual returns the port at which a pod serves a port of the manifests.
func actual(pod *local.MeshPod, declared int) int {
	for _, in := range pod.Inbound {
		if in.Declared == declared {
			return in.Port
		}
	}
	return declared
}

// endpoint is a pod or gateway that a Service selects.
type endpoint struct {
	name, namespace, ip string
	ready, terminating  bool
	port                func(intstr.IntOrString) (int, bool)
}

func (d *deriver) endpointsOf(s *corev1.Service) []endpoint {
	var found []endpoint
	for i := range d.Pods {
		pod := &d.Pods[i]
		if !selects(s, pod.Namespace, pod.Labels) {
			continue
		}
		state := d.States[pod.ID]
		found = append(found, endpoint{
			name: pod.Name, namespace: pod.Namespace, ip: pod.IP.String(), ready: state.Ready, terminating: state.Terminating,
			port: func(target intstr.IntOrString) (int, bool) { return targetPort(pod, target) },
		})
	}
	for i := range d.Gateways {
		g := &d.Gateways[i]
		if selects(s, RootNamespace, g.Labels()) {
			found = append(found, endpoint{
				name: g.PodName(), namespace: RootNamespace, ip: g.IP.String(), ready: true,
				port: func(target intstr.IntOrString) (int, bool) { return target.IntValue(), target.Type == intstr.Int },
			})
		}
	}
	return found
}

func targetPort(pod *local.MeshPod, target intstr.IntOrString) (int, bool) {
	if target.Type == intstr.Int {
		// defaults has replaced a port that moved
		return int(target.IntVal), true
	}
	for _, container := range pod.Deployment.Spec.Template.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == target.StrVal {
				return actual(pod, int(port.ContainerPort)), true
			}
		}
	}
	return 0, false
}

// endpoints adds a Service's EndpointSlices. There is one for each set of target ports, because a port's
// name may have different numbers in different pods.
func (d *deriver) endpoints(s *corev1.Service) {
	if len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	byPorts := map[string]*discoveryv1.EndpointSlice{}
	for _, e := range d.endpointsOf(s) {
		var ports []discoveryv1.EndpointPort
		for _, port := range s.Spec.Ports {
			if number, known := e.port(port.TargetPort); known {
				at := int32(number)
				ports = append(ports, discoveryv1.EndpointPort{Name: &port.Name, Port: &at, Protocol: &port.Protocol, AppProtocol: port.AppProtocol})
			}
		}
		key := ""
		for _, port := range ports {
			key += fmt.Sprintf("%s:%d ", *port.Name, *port.Port)
		}
		slice := byPorts[key]
		if slice == nil {
			slice = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: ports}
			byPorts[key] = slice
		}
		node := nodeName
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{e.ip},
			Conditions: discoveryv1.EndpointConditions{Ready: &e.ready, Serving: &e.ready, Terminating: &e.terminating},
			NodeName:   &node,
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: e.name, Namespace: e.namespace},
		})
	}
	for i, key := range slices.Sorted(maps.Keys(byPorts)) {
		slice, controller := byPorts[key], true
		slice.TypeMeta = metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"}
		slice.ObjectMeta = metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d", s.Name, i), Namespace: s.Namespace, Labels: maps.Clone(s.Labels),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: s.Name, Controller: &controller}},
		}
		metav1.SetMetaDataLabel(&slice.ObjectMeta, discoveryv1.LabelServiceName, s.Name)
		metav1.SetMetaDataLabel(&slice.ObjectMeta, discoveryv1.LabelManagedBy, "endpointslice-controller.k8s.io")
		if s.Spec.ClusterIP == corev1.ClusterIPNone {
			metav1.SetMetaDataLabel(&slice.ObjectMeta, corev1.IsHeadlessService, "")
		}
		d.addTyped(slice)
	}
}
