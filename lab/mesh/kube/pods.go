package kube

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fleetman.example/lab/local"
)

// PodLabels returns a pod's labels, including those that Istio's injector adds.
func PodLabels(pod *local.MeshPod) map[string]string {
	all := labels.Merge(pod.Labels, labels.Set{PodLabel: pod.Name})
	if !pod.Proxied {
		return all
	}
	// without it callers use plaintext
	all["security.istio.io/tlsMode"] = "istio"
	const name, revision = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"
	all[name] = cmp.Or(all[name], all["app.kubernetes.io/name"], all["app"], pod.Deployment.Name)
	all[revision] = cmp.Or(all[revision], all["app.kubernetes.io/version"], all["version"], "latest")
	return all
}

// ServiceAccount returns the name of a pod's service account. Defaults to "default".
func ServiceAccount(pod *local.MeshPod) string {
	return cmp.Or(pod.Deployment.Spec.Template.Spec.ServiceAccountName, "default")
}

// pod adds a pod of a Deployment, with the fields that the controller, the scheduler, Istio's injector
// and the kubelet set.
func (d *deriver) pod(p *local.MeshPod) {
	template := p.Deployment.Spec.Template.DeepCopy()
	spec := template.Spec
	spec.ServiceAccountName = ServiceAccount(p)
	for i := range spec.Containers {
		for j := range spec.Containers[i].Ports {
			port := &spec.Containers[i].Ports[j]
			port.ContainerPort = int32(actual(p, int(port.ContainerPort)))
			// without it a named targetPort does not resolve, and istiod drops the listener
			port.Protocol = cmp.Or(port.Protocol, corev1.ProtocolTCP)
		}
	}
	meta := metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: PodLabels(p), Annotations: template.Annotations}
	if p.Proxied {
		// istioctl detects a proxy by this container and this annotation
		spec.Containers = append(spec.Containers, corev1.Container{Name: "istio-proxy", Image: "envoy"})
		metav1.SetMetaDataAnnotation(&meta, "sidecar.istio.io/status", fmt.Sprintf(`{"containers":["istio-proxy"],"revision":%q}`, p.Revision))
	}
	state := d.States[p.ID]
	d.addPod(meta, spec, p.IP.String(), state.Ready, state.Restarts)
}

// addPod adds a running pod. restarts is the number of its first container's.
func (d *deriver) addPod(meta metav1.ObjectMeta, spec corev1.PodSpec, ip string, ready bool, restarts int) {
	began := metav1.NewTime(d.Began.UTC())
	truth := corev1.ConditionFalse
	if ready {
		truth = corev1.ConditionTrue
	}
	spec.NodeName = nodeName
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: meta,
		Spec:       spec,
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, HostIP: d.Node.String(), StartTime: &began,
			Conditions: []corev1.PodCondition{
				{Type: corev1.ContainersReady, Status: truth, LastTransitionTime: began},
				{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: began},
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: began},
				{Type: corev1.PodReady, Status: truth, LastTransitionTime: began},
			},
		},
	}
	started := true
	for _, container := range spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, Ready: ready, Started: &started, RestartCount: int32(restarts),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}},
		})
		restarts = 0
	}
	d.addTyped(pod)
}
