package manifest

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Istio's table of who gets a sidecar.
func TestInjects(t *testing.T) {
	for _, test := range []struct {
		namespace, pod, annotation, revision string
		want                                 bool
	}{
		{"", "", "", "", false},
		{"", "true", "", "", true},
		{"", "", "true", "", false}, // no webhook looks at a pod for its annotation's sake
		{"", "", "", "default", true},
		{"", "false", "", "default", false},
		{"istio-injection=enabled", "", "", "", true},
		{"istio-injection=enabled", "true", "", "", true},
		{"istio-injection=enabled", "false", "", "", false},
		{"istio-injection=enabled", "", "false", "", false},
		{"istio-injection=enabled", "true", "false", "", true}, // the label counts more
		{"istio-injection=disabled", "", "", "", false},
		{"istio-injection=disabled", "true", "", "", false},
		{"istio.io/rev=default", "", "", "", true},
		{"istio.io/rev=default", "false", "", "", false},
	} {
		labels, template := map[string]string{}, corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}}}
		set := func(m map[string]string, key, value string) {
			if value != "" {
				m[key] = value
			}
		}
		key, value, _ := strings.Cut(test.namespace, "=")
		set(labels, key, value)
		set(template.Labels, injectPod, test.pod)
		set(template.Labels, injectRevision, test.revision)
		set(template.Annotations, injectPod, test.annotation)
		if got := injects(labels, &template); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
		template.Spec.HostNetwork = true
		if injects(labels, &template) {
			t.Errorf("%+v: a pod in the host's network got a sidecar", test)
		}
	}
}
