package manifest

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

func checkName(name string) string {
	if name == "" {
		return "missing"
	}
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return fmt.Sprintf("%.60q: lower-case letters, digits, '-' and '.' are expected", name)
	}
	return ""
}

// check finds what a cluster's API would refuse and what would only show when
// the fleet runs: the parts of Deployments and Services that the pods are made
// of, and objects that are in each other's way.
func (o *Objects) check() error {
	seen := map[string]Object{}
	nodePorts := map[int32]Object{}
	for _, object := range o.All {
		group := schema.FromAPIVersionAndKind(object.APIVersion, object.Kind).Group
		key := strings.Join([]string{group, object.Kind, object.Namespace, object.Name}, "|")
		if first, twice := seen[key]; twice {
			return fmt.Errorf("%s: %s: there are two of that name, the other in %s", object.Source, object.Ref(), first.Source)
		}
		seen[key] = object

		var err error
		switch typed := object.Typed.(type) {
		case *appsv1.Deployment:
			err = checkDeployment(typed)
		case *corev1.Service:
			err = checkService(typed)
			for _, port := range typed.Spec.Ports {
				if first, taken := nodePorts[port.NodePort]; taken && port.NodePort != 0 && err == nil {
					err = fmt.Errorf("spec.ports: nodePort %d is %s's already", port.NodePort, first.Ref())
				}
				nodePorts[port.NodePort] = object
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", object.Source, object.Ref(), err)
		}
	}
	return nil
}

func checkDeployment(d *appsv1.Deployment) error {
	if d.Spec.Replicas != nil && *d.Spec.Replicas < 0 {
		return fmt.Errorf("spec.replicas: %d; 0 or more is expected", *d.Spec.Replicas)
	}
	if d.Spec.Selector == nil {
		return fmt.Errorf("spec.selector: missing")
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return fmt.Errorf("spec.selector: %s", oneLine(err))
	}
	if selector.Empty() || !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
		return fmt.Errorf("spec.selector: %q does not select the labels of spec.template, %q", selector, labels.Set(d.Spec.Template.Labels))
	}
	if err := oneOf("spec.strategy.type", d.Spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType, appsv1.RecreateDeploymentStrategyType); err != nil {
		return err
	}
	if err := oneOf("spec.template.spec.restartPolicy", d.Spec.Template.Spec.RestartPolicy, corev1.RestartPolicyAlways); err != nil {
		return err
	}
	if len(d.Spec.Template.Spec.Containers) == 0 {
		return fmt.Errorf("spec.template.spec.containers: empty; one is expected")
	}
	names := map[string]bool{}
	for i, c := range d.Spec.Template.Spec.Containers {
		field := fmt.Sprintf("spec.template.spec.containers[%d]", i)
		if msg := checkName(c.Name); msg != "" {
			return fmt.Errorf("%s.name: %s", field, msg)
		}
		if names[c.Name] {
			return fmt.Errorf("%s.name: there are two containers %s", field, c.Name)
		}
		names[c.Name] = true
		if c.Image == "" {
			return fmt.Errorf("%s.image: missing", field)
		}
		if err := oneOf(field+".imagePullPolicy", c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever); err != nil {
			return err
		}
		for j, port := range c.Ports {
			if err := checkProtocol(fmt.Sprintf("%s.ports[%d]", field, j), port.Protocol); err != nil {
				return err
			}
			if port.ContainerPort < 1 || port.ContainerPort > 65535 {
				return fmt.Errorf("%s.ports[%d].containerPort: %d; 1 to 65535 is expected", field, j, port.ContainerPort)
			}
		}
		for j, env := range c.Env {
			if env.Name == "" || strings.ContainsAny(env.Name, "=\x00") || strings.ContainsRune(env.Value, 0) {
				return fmt.Errorf("%s.env[%d].name: %.60q: a name without '=', and no NUL, is expected", field, j, env.Name)
			}
			if env.Value != "" && env.ValueFrom != nil {
				return fmt.Errorf("%s.env[%d]: %s has both value and valueFrom", field, j, env.Name)
			}
		}
	}
	return nil
}

func checkService(s *corev1.Service) error {
	if len(s.Spec.Ports) == 0 && s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone {
		return fmt.Errorf("spec.ports: empty; one at least is expected")
	}
	if err := oneOf("spec.type", s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName); err != nil {
		return err
	}
	names := map[string]bool{}
	for i, port := range s.Spec.Ports {
		if err := checkProtocol(fmt.Sprintf("spec.ports[%d]", i), port.Protocol); err != nil {
			return err
		}
		if port.Port < 1 || port.Port > 65535 {
			return fmt.Errorf("spec.ports[%d].port: %d; 1 to 65535 is expected", i, port.Port)
		}
		if target := port.TargetPort.IntVal; target < 0 || target > 65535 {
			return fmt.Errorf("spec.ports[%d].targetPort: %d; 1 to 65535, or a port's name, is expected", i, target)
		}
		if port.NodePort < 0 || port.NodePort > 65535 {
			return fmt.Errorf("spec.ports[%d].nodePort: %d; 30000 to 32767 is usual", i, port.NodePort)
		}
		if port.NodePort != 0 && s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			return fmt.Errorf("spec.ports[%d].nodePort: %d, but spec.type is not NodePort", i, port.NodePort)
		}
		if len(s.Spec.Ports) > 1 && port.Name == "" {
			return fmt.Errorf("spec.ports[%d].name: missing; of several ports each has a name", i)
		}
		if names[port.Name] {
			return fmt.Errorf("spec.ports[%d].name: there are two ports %q", i, port.Name)
		}
		names[port.Name] = true
	}
	return nil
}

func checkProtocol(field string, p corev1.Protocol) error {
	return oneOf(field+".protocol", p, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

// oneOf checks a word of a fixed set, which the Go types take as any string;
// none is the API server's default.
func oneOf[T ~string](field string, got T, known ...T) error {
	if got == "" || slices.Contains(known, got) {
		return nil
	}
	var words []string
	for _, k := range known {
		words = append(words, string(k))
	}
	return fmt.Errorf("%s: %.60q; %s is expected", field, got, strings.Join(words, ", "))
}
