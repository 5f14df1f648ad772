package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Istio's table of who gets a sidecar.
func TestInjectedBy(t *testing.T) {
	for _, test := range []struct {
		namespace, pod, annotation, revision string
		want                                 string
	}{
		{"", "", "", "", ""},
		{"", "true", "", "", "default"},
		{"", "", "true", "", ""}, // no webhook looks at a pod for its annotation's sake
		{"", "", "", "default", "default"},
		{"", "false", "", "default", ""},
		{"istio-injection=enabled", "", "", "", "default"},
		{"istio-injection=enabled", "true", "", "", "default"},
		{"istio-injection=enabled", "false", "", "", ""},
		{"istio-injection=enabled", "", "false", "", ""},
		{"istio-injection=enabled", "true", "false", "", "default"}, // the label counts more
		{"istio-injection=disabled", "", "", "", ""},
		{"istio-injection=disabled", "true", "", "", ""},
		{"istio.io/rev=default", "", "", "", "default"},
		{"istio.io/rev=default", "false", "", "", ""},
		{"istio.io/rev=next", "", "", "", "next"},
		{"istio.io/rev=next", "", "", "other", "next"},
		{"istio.io/rev=next", "", "false", "", ""},
		{"istio-injection=enabled,istio.io/rev=next", "", "", "", "default"}, // as on a cluster
		{"istio-injection=enabled", "", "", "next", "default"},
		{"istio-injection=disabled,istio.io/rev=next", "", "", "", ""},
		{"", "", "", "next", "next"},
		{"", "true", "", "next", "next"},
	} {
		namespace, err := labels.ConvertSelectorToLabelsMap(test.namespace)
		require.NoError(t, err)
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{InjectPod: test.pod, RevisionLabel: test.revision},
			Annotations: map[string]string{InjectPod: test.annotation},
		}}
		assert.Equal(t, test.want, InjectedBy(namespace, &template), "%+v", test)
		template.Spec.HostNetwork = true
		assert.Empty(t, InjectedBy(namespace, &template), "%+v, in the host's network", test)
	}
}

// TestRevisions checks that a revision is needed by the pods that it injects alone, and that the default one is first.
func TestRevisions(t *testing.T) {
	pods := func(name, namespace, label string) string {
		return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a" + label + "}}, spec: {containers: [{name: c, image: i}]}}}\n"
	}
	const moved = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: moved, labels: {istio.io/rev: next}}\n"
	for _, test := range []struct{ text, want string }{
		{pods("a", "default", ""), "default"},
		{moved + pods("a", "default", ""), "default"}, // no pod is there
		{moved + pods("a", "moved", "") + pods("b", "moved", ""), "default next"},
		{moved + pods("a", "moved", ", sidecar.istio.io/inject: 'false'"), "default"},
		{moved + pods("a", "moved", "") + pods("b", "default", ", istio.io/rev: canary"), "default canary next"},
		{pods("a", "default", ", istio.io/rev: default"), "default"},
	} {
		assert.Equal(t, test.want, strings.Join(decode(t, test.text).Revisions(), " "), test.text)
	}
}

// TestNeedsMesh checks that a pod needs the mesh by its own labels, too, as the injector reads them.
func TestNeedsMesh(t *testing.T) {
	pods := func(metadata string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {app: a}}, template: {metadata: {" + metadata + "}, spec: {containers: [{name: c, image: i}]}}}\n"
	}
	namespace := func(label string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {" + label + "}}\n"
	}
	for text, want := range map[string]bool{
		pods("labels: {app: a}"):                                                            false,
		pods("labels: {sidecar.istio.io/inject: 'true'}"):                                   true,
		pods("labels: {sidecar.istio.io/inject: 'false'}"):                                  false,
		pods("labels: {istio.io/rev: next}"):                                                true,
		pods("annotations: {sidecar.istio.io/inject: 'true'}"):                              false, // no webhook reads it
		namespace("istio-injection: enabled"):                                               true,
		namespace("istio-injection: disabled"):                                              false,
		namespace("istio.io/rev: next"):                                                     true,
		namespace("istio-injection: disabled, istio.io/rev: next"):                          false,
		"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\n": true,
	} {
		assert.Equal(t, want, decode(t, text).NeedsMesh(), text)
	}
}
