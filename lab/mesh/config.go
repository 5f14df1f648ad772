package mesh

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/kube"
)

// ineffective returns the fields of the manifests' mesh configuration that an istiod does not have: it ignores
// a configuration with an unknown field without an error, and its own fields take precedence.
func (m *Mesh) ineffective(ctx context.Context, i *istiod) ([]string, error) {
	m.mu.Lock()
	text := configOf(m.manifests)
	m.mu.Unlock()
	if text == "" {
		return nil, nil
	}
	var got map[string]any
	if err := i.getJSON(ctx, "/debug/mesh", &got); err != nil {
		return nil, err
	}
	return Ineffective(text, got), nil
}

// Ineffective returns the fields of the ConfigMap's mesh configuration, as YAML, that istiod's /debug/mesh does not
// have.
func Ineffective(text string, got map[string]any) (fields []string) {
	var want map[string]any
	if err := yaml.Unmarshal([]byte(text), &want); err != nil {
		return []string{fmt.Sprintf("ConfigMap %s: %v", manifest.MeshConfigMap, err)}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !contains(got[name], want[name]) {
			fields = append(fields, fmt.Sprintf("ConfigMap %s: %s", manifest.MeshConfigMap, name))
		}
	}
	return fields
}

// configOf returns the mesh configuration of the manifests, or "".
func configOf(objects *manifest.Objects) string {
	for _, o := range objects.All {
		if typed, ok := o.Typed.(*corev1.ConfigMap); ok && manifest.IsMeshConfig(o.Kind, o.Namespace, o.Name) {
			return typed.Data["mesh"]
		}
	}
	return ""
}

// contains reports whether a JSON value has all fields of another.
func contains(got, want any) bool {
	fields, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	in, ok := got.(map[string]any)
	for name, value := range fields {
		if !ok || !contains(in[name], value) {
			return false
		}
	}
	return ok
}

// checkSelectors returns an error if discoverySelectors keep istiod from reading the root namespace, which has the
// launcher's own objects: no proxy would ever have all of the configuration.
func checkSelectors(objects *manifest.Objects) error {
	var config struct{ DiscoverySelectors []*metav1.LabelSelector }
	if err := yaml.Unmarshal([]byte(configOf(objects)), &config); err != nil || len(config.DiscoverySelectors) == 0 {
		return nil // Ineffective finds what is no configuration
	}
	root := labels.Set{corev1.LabelMetadataName: kube.RootNamespace} // others are of an installation: see manifest.Object.LeftOut
	for _, s := range config.DiscoverySelectors {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			return fmt.Errorf("ConfigMap %s: discoverySelectors: %w", manifest.MeshConfigMap, err)
		}
		if selector.Matches(root) {
			return nil
		}
	}
	return fmt.Errorf("ConfigMap %s: discoverySelectors: must select the namespace %s too, such as by {matchLabels: {%s: %[2]s}}: it has objects for every proxy",
		manifest.MeshConfigMap, kube.RootNamespace, corev1.LabelMetadataName)
}
