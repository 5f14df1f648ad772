package manifest

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkName returns what is wrong with a name, "" for nothing.
func checkName(name string) string {
	if name == "" {
		return "missing"
	}
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return fmt.Sprintf("%.60q: must be lower-case letters, digits, '-' and '.'", name)
	}
	return ""
}

// check refuses what the API of a cluster refuses too, of the fields that
// fleetman reads, and objects that exclude each other. All else is for the
// cluster, or for kubeconform, to check.
func (o *Objects) check() error {
	seen := map[string]bool{}
	nodePorts := map[int32]string{}
	for i := range o.All {
		object := &o.All[i]
		if seen[object.key()] {
			return fmt.Errorf("%s: %s: must be there once only", object.Source, object.Ref())
		}
		seen[object.key()] = true
		var err error
		switch typed := object.Typed.(type) {
		case *appsv1.Deployment:
			err = checkDeployment(typed)
		case *corev1.Service:
			if err = checkService(typed); err == nil {
				err = claim(nodePorts, object, typed)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", object.Source, object.Ref(), err)
		}
	}
	return nil
}

// claim enters the node ports of a Service in owners.
func claim(owners map[int32]string, object *Object, s *corev1.Service) error {
	for i, port := range s.Spec.Ports {
		if port.NodePort == 0 {
			continue
		}
		if owner, taken := owners[port.NodePort]; taken {
			return fmt.Errorf("spec.ports[%d].nodePort: %d: must be another than that of %s", i, port.NodePort, owner)
		}
		owners[port.NodePort] = object.Ref()
	}
	return nil
}

func checkDeployment(d *appsv1.Deployment) error {
	if d.Spec.Replicas != nil && *d.Spec.Replicas < 0 {
		return fmt.Errorf("spec.replicas: %d: must be at least 0", *d.Spec.Replicas)
	}
	if d.Spec.Selector == nil {
		return fmt.Errorf("spec.selector: missing")
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return fmt.Errorf("spec.selector: %s", oneLine(err))
	}
	if set := labels.Set(d.Spec.Template.Labels); selector.Empty() || !selector.Matches(set) {
		return fmt.Errorf("spec.selector: %q: must select the labels of spec.template, %q", selector, set)
	}
	if len(d.Spec.Template.Spec.Containers) == 0 {
		return fmt.Errorf("spec.template.spec.containers: missing")
	}
	for i, c := range d.Spec.Template.Spec.Containers {
		if err := checkContainer(c); err != nil {
			return fmt.Errorf("spec.template.spec.containers[%d].%w", i, err)
		}
	}
	return nil
}

func checkContainer(c corev1.Container) error {
	if c.Image == "" {
		return fmt.Errorf("image: missing")
	}
	for i, port := range c.Ports {
		if err := checkPort(port.ContainerPort); err != nil {
			return fmt.Errorf("ports[%d].containerPort: %w", i, err)
		}
	}
	for i, env := range c.Env {
		if env.Name == "" || strings.ContainsAny(env.Name, "=\x00") || strings.ContainsRune(env.Value, 0) {
			return fmt.Errorf("env[%d].name: %.60q: must be a name without '=', and a value without NUL", i, env.Name)
		}
		if env.Value != "" && env.ValueFrom != nil {
			return fmt.Errorf("env[%d].valueFrom: must be empty beside a value", i)
		}
	}
	return nil
}

func checkPort(port int32) error {
	if port < 1 || port > 65535 {
		return fmt.Errorf("%d: must be between 1 and 65535", port)
	}
	return nil
}

// The node ports that a cluster has by default.
const firstNodePort, lastNodePort = 30000, 32767

func checkService(s *corev1.Service) error {
	types := []corev1.ServiceType{"", corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName}
	if !slices.Contains(types, s.Spec.Type) {
		return fmt.Errorf("spec.type: %.60q: must be ClusterIP, NodePort, LoadBalancer or ExternalName", s.Spec.Type)
	}
	if len(s.Spec.Ports) == 0 && s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone {
		return fmt.Errorf("spec.ports: missing")
	}
	names := map[string]bool{}
	for i, port := range s.Spec.Ports {
		if err := checkPort(port.Port); err != nil {
			return fmt.Errorf("spec.ports[%d].port: %w", i, err)
		}
		if target := port.TargetPort.IntVal; target < 0 || target > 65535 {
			return fmt.Errorf("spec.ports[%d].targetPort: %d: must be between 1 and 65535, or the name of a port", i, target)
		}
		if n := port.NodePort; n != 0 && (n < firstNodePort || n > lastNodePort) {
			return fmt.Errorf("spec.ports[%d].nodePort: %d: must be between %d and %d", i, n, firstNodePort, lastNodePort)
		}
		if port.NodePort != 0 && s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			return fmt.Errorf("spec.ports[%d].nodePort: %d: must be of a Service of type NodePort or LoadBalancer", i, port.NodePort)
		}
		if len(s.Spec.Ports) > 1 && port.Name == "" {
			return fmt.Errorf("spec.ports[%d].name: missing: must be set when there are several ports", i)
		}
		if names[port.Name] {
			return fmt.Errorf("spec.ports[%d].name: %q: must be another than that of the other ports", i, port.Name)
		}
		names[port.Name] = true
	}
	return nil
}
