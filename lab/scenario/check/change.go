package check

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

// withSettings is the fleet with other variables in its Deployments; those of
// Deployments that it does not have are left out when missing is allowed.
func withSettings(objects *manifest.Objects, settings []scenario.Setting, missing bool) (*manifest.Objects, error) {
	changed := &manifest.Objects{All: slices.Clone(objects.All)}
	for _, setting := range settings {
		found := missing
		for i, object := range changed.All {
			deployment, ok := object.Typed.(*appsv1.Deployment)
			if !ok || deployment.Name != setting.Target {
				continue
			}
			found = true
			deployment = deployment.DeepCopy()
			for j := range deployment.Spec.Template.Spec.Containers {
				container := &deployment.Spec.Template.Spec.Containers[j]
				container.Env = slices.DeleteFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == setting.Name })
				container.Env = append(container.Env, corev1.EnvVar{Name: setting.Name, Value: setting.Value})
			}
			var err error
			if changed.All[i], err = retyped(object, deployment); err != nil {
				return nil, err
			}
		}
		if !found {
			return nil, fmt.Errorf("setting %s of %s: there is no such Deployment", setting.Name, setting.Target)
		}
	}
	return changed, nil
}

// withSeeds is the fleet with seeds of its own for all that its services draw.
// They come from a ConfigMap that is a Deployment's first source of variables,
// so that what its manifest says wins.
func withSeeds(objects *manifest.Objects, seed uint64) (*manifest.Objects, error) {
	changed := &manifest.Objects{}
	for _, object := range objects.All {
		deployment, ok := object.Typed.(*appsv1.Deployment)
		if !ok {
			changed.All = append(changed.All, object)
			continue
		}
		seeds := &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Name: deployment.Name + "-seeds", Namespace: object.Namespace},
			Data:       map[string]string{},
		}
		for _, variable := range []string{"FAULTS_SEED", "UPSTREAM_SEED", "SEED"} {
			seeds.Data[variable] = fmt.Sprint(derived(seed, deployment.Name, variable))
		}
		added, err := retyped(manifest.Object{
			APIVersion: "v1", Kind: "ConfigMap", Namespace: object.Namespace, Name: seeds.Name, Source: object.Source,
		}, seeds)
		if err != nil {
			return nil, err
		}
		deployment = deployment.DeepCopy()
		for i := range deployment.Spec.Template.Spec.Containers {
			container := &deployment.Spec.Template.Spec.Containers[i]
			from := corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: seeds.Name}}}
			container.EnvFrom = slices.Insert(container.EnvFrom, 0, from)
		}
		if object, err = retyped(object, deployment); err != nil {
			return nil, err
		}
		changed.All = append(changed.All, added, object)
	}
	return changed, nil
}

// derived is one of many seeds of a run, and within what every variable takes:
// 1 to 1<<62.
func derived(seed uint64, names ...string) uint64 {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%d %q", seed, names)
	return hash.Sum64()>>2 | 1
}

// with is the fleet with a control's objects, some of them in the place of
// others.
func with(objects *manifest.Objects, more []scenario.Object) *manifest.Objects {
	changed := &manifest.Objects{All: slices.Clone(objects.All)}
	for _, object := range more {
		at := slices.IndexFunc(changed.All, func(o manifest.Object) bool { return scenario.IsRule(o) && o.Ref() == object.Ref() })
		if at < 0 {
			changed.All = append(changed.All, object.Object)
		} else {
			changed.All[at] = object.Object
		}
	}
	return changed
}

// without is the fleet without what a control leaves out.
func without(objects *manifest.Objects, what []string) (*manifest.Objects, error) {
	changed := &manifest.Objects{}
	rules, sidecars := slices.Contains(what, "rules"), slices.Contains(what, "sidecars")
	for _, object := range objects.All {
		if slices.Contains(what, object.Ref()) || (scenario.IsRule(object) && (rules || sidecars)) {
			continue
		}
		if sidecars {
			var err error
			if object, err = uninjected(object); err != nil {
				return nil, err
			}
		}
		changed.All = append(changed.All, object)
	}
	return changed, nil
}

// injectionLabels ask Istio for a proxy, of a namespace or of a pod.
var injectionLabels = []string{"istio-injection", "istio.io/rev", "sidecar.istio.io/inject"}

func uninjected(object manifest.Object) (manifest.Object, error) {
	switch typed := object.Typed.(type) {
	case *corev1.Namespace:
		typed = typed.DeepCopy()
		for _, label := range injectionLabels {
			delete(typed.Labels, label)
		}
		return retyped(object, typed)
	case *appsv1.Deployment:
		typed = typed.DeepCopy()
		for _, label := range injectionLabels {
			delete(typed.Spec.Template.Labels, label)
			delete(typed.Spec.Template.Annotations, label)
		}
		return retyped(object, typed)
	}
	return object, nil
}

// NeedsMesh tells whether the objects ask for anything of Istio's.
func NeedsMesh(objects *manifest.Objects) bool {
	for _, object := range objects.All {
		if scenario.IsRule(object) {
			return true
		}
		var labels []map[string]string
		switch typed := object.Typed.(type) {
		case *corev1.Namespace:
			labels = append(labels, typed.Labels)
		case *appsv1.Deployment:
			labels = append(labels, typed.Spec.Template.Labels, typed.Spec.Template.Annotations)
		}
		for _, set := range labels {
			if set["istio-injection"] == "enabled" || set["istio.io/rev"] != "" || set["sidecar.istio.io/inject"] == "true" {
				return true
			}
		}
	}
	return false
}

// retyped is the object with another content.
func retyped(object manifest.Object, typed runtime.Object) (manifest.Object, error) {
	text, err := json.Marshal(typed)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("changing %s: %w", object.Ref(), err)
	}
	object.Typed, object.JSON = typed, text
	return object, nil
}
