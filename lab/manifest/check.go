package manifest

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkName returns what is wrong with a name, or "".
func checkName(name string) string {
	if name == "" {
		return "missing"
	}
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return fmt.Sprintf("%.60q: must be lower-case letters, digits, '-' and '.'", name)
	}
	return ""
}

// check returns an error for values that the launcher reads and cannot apply, and
// for objects that exclude each other. kubeconform and the API server check the rest.
func (o *Objects) check() error {
	seen := map[string]bool{}
	nodePorts := map[int32]string{}
	for i := range o.All {
		object := &o.All[i]
		if seen[object.Key()] {
			return fmt.Errorf("%s: %s: must be there once only", object.Source, object.Ref())
		}
		seen[object.Key()] = true
		var err error
		switch typed := object.Typed.(type) {
		case *appsv1.Deployment:
			err = checkDeployment(typed)
		case *corev1.Service:
			err = checkService(typed, object.Ref(), nodePorts)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", object.Source, object.Ref(), err)
		}
	}
	return nil
}

func checkDeployment(d *appsv1.Deployment) error {
	if d.Spec.Replicas != nil && *d.Spec.Replicas < 0 {
		return fmt.Errorf("spec.replicas: %d: must be at least 0", *d.Spec.Replicas)
	}
	for i, c := range d.Spec.Template.Spec.Containers {
		for j, env := range c.Env {
			if env.Name == "" || strings.ContainsAny(env.Name, "=\x00") || strings.ContainsRune(env.Value, 0) {
				return fmt.Errorf("spec.template.spec.containers[%d].env[%d].name: %.60q: must be a name without '=', and a value without NUL", i, j, env.Name)
			}
		}
	}
	return nil
}

// The node ports that a cluster has by default.
const firstNodePort, lastNodePort = 30000, 32767

// checkService adds the node ports of a Service to owners.
func checkService(s *corev1.Service, ref string, owners map[int32]string) error {
	for i, port := range s.Spec.Ports {
		if port.Port < 1 || port.Port > 65535 {
			return fmt.Errorf("spec.ports[%d].port: %d: must be between 1 and 65535", i, port.Port)
		}
		if target := port.TargetPort.IntVal; target < 0 || target > 65535 {
			return fmt.Errorf("spec.ports[%d].targetPort: %d: must be between 1 and 65535, or the name of a port", i, target)
		}
		switch n, owner := port.NodePort, owners[port.NodePort]; {
		case n == 0:
			continue
		case n < firstNodePort || n > lastNodePort:
			return fmt.Errorf("spec.ports[%d].nodePort: %d: must be between %d and %d", i, n, firstNodePort, lastNodePort)
		case owner != "":
			return fmt.Errorf("spec.ports[%d].nodePort: %d: must be another than that of %s", i, n, owner)
		}
		owners[port.NodePort] = ref
	}
	return nil
}
