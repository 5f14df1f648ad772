package check

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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

// with is the fleet with the objects of a file, over those of the same names.
func with(objects *manifest.Objects, file string) (*manifest.Objects, error) {
	more, err := manifest.Load(file)
	if err != nil {
		return nil, err
	}
	changed := &manifest.Objects{}
	for _, object := range objects.All {
		if !slices.ContainsFunc(more.All, func(other manifest.Object) bool { return other.Ref() == object.Ref() }) {
			changed.All = append(changed.All, object)
		}
	}
	changed.All = append(changed.All, more.All...)
	return changed, nil
}

// seeds are the variables by which services take their chances from a seed.
var seeds = []string{"FAULTS_SEED", "UPSTREAM_SEED", "SEED"}

// withSeed gives each Deployment a seed of its own, so that two replicas of
// different Deployments do not misbehave in step. A manifest's own seed stays.
func withSeed(objects *manifest.Objects, seed uint64) (*manifest.Objects, error) {
	var settings []scenario.Setting
	for _, deployment := range manifest.Of[*appsv1.Deployment](objects) {
		for _, name := range seeds {
			if slices.ContainsFunc(deployment.Spec.Template.Spec.Containers, func(c corev1.Container) bool {
				return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
			}) {
				continue
			}
			sum := fnv.New64a()
			fmt.Fprint(sum, seed, deployment.Name)
			settings = append(settings, scenario.Setting{Target: deployment.Name, Name: name, Value: fmt.Sprint(1 + sum.Sum64()>>12)}) // 0 would be none
		}
	}
	return withSettings(objects, settings, false)
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
