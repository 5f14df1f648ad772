package kube

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/local"
)

// PodLabels are a pod's labels with those that Istio's injector adds.
func PodLabels(pod *local.MeshPod) map[string]string {
	labels := maps.Clone(map[string]string(pod.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PodLabel] = pod.Name
	if !pod.Proxied {
		return labels
	}
	// without it, callers stay in plaintext
	labels["security.istio.io/tlsMode"] = "istio"
	setDefault(labels, "service.istio.io/canonical-name", first(labels["app.kubernetes.io/name"], labels["app"], pod.Deployment.Name))
	setDefault(labels, "service.istio.io/canonical-revision", first(labels["app.kubernetes.io/version"], labels["version"], "latest"))
	return labels
}

// ServiceAccount is a pod's, as the API server defaults it.
func ServiceAccount(pod *local.MeshPod) string {
	return first(pod.Deployment.Spec.Template.Spec.ServiceAccountName, "default")
}

func setDefault(m map[string]string, key, value string) {
	if m[key] == "" {
		m[key] = value
	}
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// pod is one of a Deployment's, as its controller, the scheduler, the injector
// and kubelet would leave it.
func (d *deriver) pod(p *local.MeshPod) {
	template := p.Deployment.Spec.Template.DeepCopy()
	spec := &template.Spec
	spec.ServiceAccountName = ServiceAccount(p)
	spec.NodeName = nodeName
	for i := range spec.Containers {
		for j := range spec.Containers[i].Ports {
			port := &spec.Containers[i].Ports[j]
			port.ContainerPort = int32(actual(p, int(port.ContainerPort)))
			if port.Protocol == "" {
				// or a named targetPort leads nowhere and istiod drops the listener
				port.Protocol = corev1.ProtocolTCP
			}
		}
	}
	annotations := anyMap(template.Annotations)
	if p.Proxied {
		// how istioctl tells that a pod has its proxy
		spec.Containers = append(spec.Containers, corev1.Container{Name: "istio-proxy", Image: "envoy"})
		annotations["sidecar.istio.io/status"] = `{"containers":["istio-proxy"],"revision":"default"}`
	}
	made, err := toObject(spec)
	if err != nil {
		d.note("Pod %s: %v", p.ID, err)
		return
	}
	object := d.podObject(p.Name, p.Namespace, p.IP.String(), anyMap(PodLabels(p)), annotations, made, d.States[p.ID].Ready)
	if containers, _ := mapOf(object["status"])["containerStatuses"].([]any); len(containers) > 0 {
		mapOf(containers[0])["restartCount"] = d.States[p.ID].Restarts
	}
	d.add(object)
}

func (d *deriver) podObject(name, namespace, ip string, labels, annotations map[string]any, spec Object, ready bool) Object {
	truth := "False"
	if ready {
		truth = "True"
	}
	began := d.Began.UTC().Format(time.RFC3339)
	var conditions, containers []any
	for condition, status := range map[string]string{"Ready": truth, "ContainersReady": truth, "Initialized": "True", "PodScheduled": "True"} {
		conditions = append(conditions, map[string]any{"type": condition, "status": status, "lastTransitionTime": began})
	}
	sortBy(conditions, "type")
	all, _ := spec["containers"].([]any)
	for _, container := range all {
		containers = append(containers, map[string]any{
			"name": mapOf(container)["name"], "image": mapOf(container)["image"], "imageID": "", "restartCount": 0,
			"ready": ready, "started": true, "state": map[string]any{"running": map[string]any{"startedAt": began}},
		})
	}
	return Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
		"spec":     map[string]any(spec),
		"status": map[string]any{
			"phase": "Running", "podIP": ip, "podIPs": []any{map[string]any{"ip": ip}}, "hostIP": d.Node.String(),
			"startTime": began, "conditions": conditions, "containerStatuses": containers,
		},
	}
}
