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

// withSettings returns the objects with variables set in Deployments. A setting of an unknown Deployment is
// an error, or ignored when missing is true.
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
			changed.All[i] = retyped(object, deployment)
		}
		if !found {
			return nil, fmt.Errorf("set %s: %s: must be a Deployment of the manifests", setting.Name, setting.Target)
		}
	}
	return changed, nil
}

// without returns the objects without those that a control removes.
func without(objects *manifest.Objects, what []string) *manifest.Objects {
	changed := &manifest.Objects{}
	rules, sidecars := slices.Contains(what, "rules"), slices.Contains(what, "sidecars")
	for _, object := range objects.All {
		if slices.Contains(what, object.Ref()) || (object.IsRule() && (rules || sidecars)) {
			continue
		}
		if sidecars {
			object = uninjected(object)
		}
		changed.All = append(changed.All, object)
	}
	return changed
}

// with returns the objects and those of a file, which replace objects with the same names.
func with(objects *manifest.Objects, file string) (*manifest.Objects, error) {
	more, err := manifest.Load(file)
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(objects.All), func(object manifest.Object) bool {
		return slices.ContainsFunc(more.All, func(other manifest.Object) bool { return other.Ref() == object.Ref() })
	})
	return &manifest.Objects{All: append(kept, more.All...)}, nil
}

// seeds are the variables of the services' seeds.
var seeds = []string{"FAULTS_SEED", "UPSTREAM_SEED", "SEED"}

// withSeed gives each Deployment its own seed, derived from seed, so that the faults of different
// Deployments are independent. A seed in the manifests is kept.
func withSeed(objects *manifest.Objects, seed uint64) *manifest.Objects {
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
			settings = append(settings, scenario.Setting{Target: deployment.Name, Name: name, Value: fmt.Sprint(1 + sum.Sum64()>>12)}) // 0 means a random seed
		}
	}
	seeded, _ := withSettings(objects, settings, true) // of these very Deployments
	return seeded
}

// injectionLabels are the labels of a namespace or a pod that enable injection.
var injectionLabels = []string{manifest.InjectNamespace, manifest.RevisionLabel, manifest.InjectPod}

func uninjected(object manifest.Object) manifest.Object {
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
	return object
}

// retyped returns the object with other content.
func retyped(object manifest.Object, typed runtime.Object) manifest.Object {
	object.Typed = typed
	object.JSON, _ = json.Marshal(typed) // never an error
	return object
}
