package k8stest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

const partOf = "app.kubernetes.io/part-of"

// TestPartOf checks that every object that a scenario or a control creates, including pods, has the label by
// which it is found and deleted. The namespace default must not have it: it would be deleted, too.
func TestPartOf(t *testing.T) {
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(k8s, "scenarios", name)
			assert.Empty(t, unlabelled(load(t, dir)))
			expect, err := scenario.Load(filepath.Join(dir, "expect.yaml"))
			require.NoError(t, err)
			for _, p := range expect.Promises {
				if p.Control.With != "" {
					assert.Empty(t, unlabelled(load(t, filepath.Join(dir, p.Control.With))), p.Control.With)
				}
			}
		})
	}
	root := copyOf(t)
	for _, c := range components {
		assert.Empty(t, unlabelled(with(t, root, append(slices.Clone(c.needs), c.name)...)), "components/%s", c.name)
	}
}

// unlabelled returns one line for each object whose label is wrong.
func unlabelled(objects *manifest.Objects) (found []string) {
	for _, object := range objects.All {
		got, want := labelsOf(object)[partOf], "fleetman"
		if n, ok := object.Typed.(*corev1.Namespace); ok && n.Name == manifest.DefaultNamespace {
			want = ""
		}
		if got != want {
			found = append(found, fmt.Sprintf("%s: label %s is %q, want %q", object.Ref(), partOf, got, want))
		}
		if d, ok := object.Typed.(*appsv1.Deployment); ok && d.Spec.Template.Labels[partOf] != "fleetman" {
			found = append(found, object.Ref()+": its pods have no label "+partOf)
		}
	}
	return found
}

func labelsOf(object manifest.Object) map[string]string {
	var parsed struct {
		Metadata struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(object.JSON, &parsed); err != nil {
		panic(err) // impossible: it was decoded from JSON
	}
	return parsed.Metadata.Labels
}

func TestPartOfFinds(t *testing.T) {
	want := []string{
		`PeerAuthentication plaintext: label app.kubernetes.io/part-of is "", want "fleetman"`,
		`Namespace default: label app.kubernetes.io/part-of is "fleetman", want ""`,
		`Deployment webapp: its pods have no label app.kubernetes.io/part-of`,
	}
	assert.Equal(t, want, unlabelled(load(t, "testdata/unlabelled.yaml")))
}
