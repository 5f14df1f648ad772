package local

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
)

// environment returns the container's variables. The variable of the image's tag,
// which is built into the published image, has the lowest precedence.
func environment(tagEnv string, p *podPlan, c *corev1.Container, objects *manifest.Objects) (map[string]string, error) {
	env := map[string]string{"HOSTNAME": p.Name}
	if name, value, ok := strings.Cut(tagEnv, "="); ok {
		env[name] = value
	}
	for i, from := range c.EnvFrom {
		values, err := allOf(from, p.Namespace, objects)
		if err != nil {
			return nil, fmt.Errorf("envFrom[%d]: %w", i, err)
		}
		for name, value := range values {
			env[from.Prefix+name] = value
		}
	}
	for i, variable := range c.Env {
		if variable.ValueFrom == nil {
			env[variable.Name] = expand(variable.Value, env)
			continue
		}
		value, found, err := p.lookUp(variable.ValueFrom, objects)
		if err != nil {
			return nil, fmt.Errorf("env[%d] %s: %w", i, variable.Name, err)
		}
		if found {
			env[variable.Name] = value
		}
	}
	return env, nil
}

func (p *podPlan) lookUp(from *corev1.EnvVarSource, objects *manifest.Objects) (value string, found bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = p.field(from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		return keyOf("ConfigMap", ref.Name, ref.Key, isTrue(ref.Optional), configMap(objects, p.Namespace, ref.Name))
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		return keyOf("Secret", ref.Name, ref.Key, isTrue(ref.Optional), secret(objects, p.Namespace, ref.Name))
	}
	return "", false, fmt.Errorf("valueFrom: must be fieldRef, configMapKeyRef or secretKeyRef")
}

func (p *podPlan) field(path string) (string, error) {
	if key, ok := subscript(path, "metadata.labels"); ok {
		return p.Labels[key], nil
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return p.Deployment.Spec.Template.Annotations[key], nil
	}
	switch path {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		return p.Namespace, nil
	case "status.podIP", "status.podIPs":
		return p.IP.String(), nil
	case "status.hostIP", "status.hostIPs":
		return "127.0.0.1", nil
	case "spec.nodeName":
		return "localhost", nil
	case "spec.serviceAccountName":
		return cmp.Or(p.Deployment.Spec.Template.Spec.ServiceAccountName, "default"), nil
	}
	return "", fmt.Errorf("fieldRef: %.60q: must be metadata.name, metadata.namespace, metadata.labels['KEY'], metadata.annotations['KEY'], status.podIP, status.hostIP, spec.nodeName or spec.serviceAccountName", path)
}

func subscript(path, field string) (key string, ok bool) {
	key, ok = strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, "']")
}

func keyOf(kind, name, key string, optional bool, data map[string]string) (string, bool, error) {
	value, found := data[key]
	if !found && !optional {
		return "", false, fmt.Errorf("%q: must be a key of %s %s in the manifests", key, kind, name)
	}
	return value, found, nil
}

func allOf(from corev1.EnvFromSource, namespace string, objects *manifest.Objects) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		if data := configMap(objects, namespace, from.ConfigMapRef.Name); data != nil || isTrue(from.ConfigMapRef.Optional) {
			return data, nil
		}
		return nil, fmt.Errorf("ConfigMap %s: must be in the manifests", from.ConfigMapRef.Name)
	case from.SecretRef != nil:
		if data := secret(objects, namespace, from.SecretRef.Name); data != nil || isTrue(from.SecretRef.Optional) {
			return data, nil
		}
		return nil, fmt.Errorf("Secret %s: must be in the manifests", from.SecretRef.Name)
	}
	return nil, fmt.Errorf("missing: must be configMapRef or secretRef")
}

// configMap returns nil when the manifests do not have it; so does secret.
func configMap(objects *manifest.Objects, namespace, name string) map[string]string {
	for _, c := range manifest.Of[*corev1.ConfigMap](objects) {
		if c.Name == name && namespaceOf(c.Namespace) == namespace {
			return maps.Collect(maps.All(c.Data))
		}
	}
	return nil
}

func secret(objects *manifest.Objects, namespace, name string) map[string]string {
	for _, s := range manifest.Of[*corev1.Secret](objects) {
		if s.Name != name || namespaceOf(s.Namespace) != namespace {
			continue
		}
		data := map[string]string{}
		for key, value := range s.Data {
			data[key] = string(value)
		}
		maps.Copy(data, s.StringData)
		return data
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// expand replaces $(NAME) by a variable that is defined before, by the rules of
// Kubernetes: $$ is a dollar sign, and an unknown name is left unchanged.
func expand(value string, env map[string]string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(value, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			out.WriteByte('$')
			value = after
			continue
		}
		if inner, ok := strings.CutPrefix(rest, "("); ok {
			if name, after, closed := strings.Cut(inner, ")"); closed {
				if known, ok := env[name]; ok {
					out.WriteString(known)
					value = after
					continue
				}
			}
		}
		out.WriteByte('$')
		value = rest
	}
}

// processEnv returns the environment of the process: the pod's variables, and with
// lower precedence those that it inherits from fleetman.
func (p *podPlan) processEnv(launcher []string) []string {
	env := map[string]string{}
	for _, variable := range launcher {
		name, value, _ := strings.Cut(variable, "=")
		if name == "PATH" || name == "HOME" || name == "TMPDIR" || strings.HasPrefix(name, "OTEL_") {
			env[name] = value
		}
	}
	maps.Copy(env, p.env)
	env["HOSTS_FILE"] = p.HostsFile
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
