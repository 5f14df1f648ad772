package cluster

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestVersions checks that an istiod must have the objects of its own revision and those without one.
func TestVersions(t *testing.T) {
	all := versions{}
	for name, revision := range map[string]string{"everywhere": "", "of-next": "next", "of-other": "other"} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}}
		o.SetName(name)
		o.SetResourceVersion("7")
		if revision != "" {
			o.SetLabels(map[string]string{"istio.io/rev": revision})
		}
		all.add(o)
	}
	for revision, want := range map[string]map[string]string{
		"default": {"VirtualService everywhere": "7"},
		"next":    {"VirtualService everywhere": "7", "VirtualService of-next": "7"},
	} {
		assert.Equal(t, want, all.of(revision), revision)
	}
}

// TestRevisionOf checks that a pod's revision is the injector's, and not that of the label, which may be a tag.
func TestRevisionOf(t *testing.T) {
	for status, want := range map[string]string{
		`{"initContainers":["istio-validation"],"containers":["istio-proxy"],"revision":"next"}`: "next",
		`{"containers":["istio-proxy"]}`: "",
		`not JSON`:                       "",
		``:                               "",
	} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"istio.io/rev": "stable"}, Annotations: map[string]string{"sidecar.istio.io/status": status}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy"}, {Name: "app"}}},
		}
		assert.Equal(t, want, describe(pod, nil).Revision, status)
	}
}

// TestTags checks that a tag of a revision is as good as a revision, and that its permission is among those that Up
// needs.
func TestTags(t *testing.T) {
	a := newAPI()
	a.withIstio("v1")
	a.groups["admissionregistration.k8s.io/v1"] = resources(false, "MutatingWebhookConfiguration")
	client, objects := a.client(t, ""), load(t, scenarios+"upgrade-by-revision")
	assert.ErrorContains(t, client.hasRevisions(t.Context(), objects), "cluster test: istio.io/rev: next: must be the revision of an istiod")
	a.put("admissionregistration.k8s.io/v1", `{"kind":"MutatingWebhookConfiguration","metadata":{"name":"istio-revision-tag-next","labels":{"istio.io/tag":"next","istio.io/rev":"1-31"}}}`)
	assert.NoError(t, client.hasRevisions(t.Context(), objects))
	var plan bytes.Buffer
	require.NoError(t, client.Plan(objects, options(t), &plan))
	assert.Contains(t, plan.String(), "- mutatingwebhookconfigurations\n")
}
