package lint

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	kubetest "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

// TestReadCluster reads a fake cluster: what rules are about is found as in files,
// at the lines of files that are written, and in versions that the cluster has.
func TestReadCluster(t *testing.T) {
	text := read(t, "testdata/01/bad.yaml")
	text = strings.ReplaceAll(text, "metadata: {name: staff", "metadata: {namespace: default, creationTimestamp: '2026-01-01T00:00:00Z', managedFields: [], name: staff")
	text = strings.ReplaceAll(text, "metadata: {name: fleetman", "metadata: {namespace: default, uid: u, name: fleetman")
	client := fakeCluster(t, text+"---\n"+read(t, "testdata/cluster.yaml"))
	gone := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	client.PrependReactor("list", "envoyfilters", func(kubetest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(gone.GroupResource(), "")
	})
	for _, test := range []struct {
		namespace string
		objects   int
		rules     []string
	}{
		{"", 4, []string{"1"}},
		{"default", 3, []string{"1"}},
		{"other", 1, nil},
	} {
		objects, err := ReadCluster(t.Context(), client, test.namespace)
		require.NoError(t, err)
		require.Len(t, objects, test.objects, "%q", test.namespace)
		dir := filepath.Join(t.TempDir(), "cluster")
		require.NoError(t, WriteObjects(dir, objects))
		findings := load(t, dir).Check(Options{})
		assert.Equal(t, test.rules, found(findings), "%q: %v", test.namespace, findings)
		for _, f := range findings {
			want := filepath.Join(dir, "default.destinationrule.staff.yaml")
			assert.Equal(t, want, f.File)
			assert.Contains(t, strings.Split(read(t, want), "\n")[f.Line-1], "maxEjectionPercent", "line %d", f.Line)
		}
	}
}

// TestReadClusterErrors: what must not be read is an error, that of the client.
func TestReadClusterErrors(t *testing.T) {
	client := fakeCluster(t, read(t, "testdata/cluster.yaml"))
	client.PrependReactor("list", "deployments", func(kubetest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "", fmt.Errorf("no"))
	})
	_, err := ReadCluster(t.Context(), client, "")
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	assert.ErrorContains(t, err, "list deployments: ")
}

// fakeCluster returns a client of a cluster with the objects of a text.
func fakeCluster(t *testing.T, text string) *fake.FakeDynamicClient {
	t.Helper()
	var objects []runtime.Object
	for document := range strings.SplitSeq(text, "---\n") {
		o := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte(document), &o.Object))
		objects = append(objects, o)
	}
	lists := map[schema.GroupVersionResource]string{}
	for _, k := range kinds {
		for _, version := range k.versions {
			lists[schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource}] = "List"
		}
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...)
}
