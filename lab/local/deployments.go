package local

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"fleetman.example/lab/manifest"
)

// deployment is a Deployment and the program of its image.
type deployment struct {
	object  *appsv1.Deployment
	name    string // for people, with the file that it stands in
	program string
	tagEnv  string // NAME=VALUE that the image's tag stands for, or empty
}

type deploymentSet []*deployment

func newDeploymentSet(objects *manifest.Objects, known programs) (deploymentSet, error) {
	var set deploymentSet
	for _, object := range objects.All {
		typed, ok := object.Typed.(*appsv1.Deployment)
		if !ok {
			continue
		}
		d := &deployment{object: typed, name: object.Source + ": " + object.Ref()}
		containers := typed.Spec.Template.Spec.Containers
		if len(containers) != 1 {
			return nil, fmt.Errorf("%s: spec.template.spec.containers: %d; a pod is one process here, so 1 is expected", d.name, len(containers))
		}
		var err error
		if d.program, d.tagEnv, err = known.program(containers[0].Image); err != nil {
			return nil, fmt.Errorf("%s: spec.template.spec.containers[0].image: %w", d.name, err)
		}
		set = append(set, d)
	}
	return set, nil
}

// named finds the Deployments a user means: by their name, by their name
// without "fleetman-", by their program.
func (s deploymentSet) named(name string) ([]*deployment, error) {
	for _, matches := range []func(*deployment) bool{
		func(d *deployment) bool { return d.object.Name == name },
		func(d *deployment) bool {
			return strings.TrimPrefix(d.object.Name, "fleetman-") == strings.TrimPrefix(name, "fleetman-")
		},
		func(d *deployment) bool { return d.program == name },
	} {
		var found []*deployment
		for _, d := range s {
			if matches(d) {
				found = append(found, d)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	var names []string
	for _, d := range s {
		names = append(names, d.object.Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("no Deployment %q in the manifests; there are %s", name, strings.Join(slices.Compact(names), ", "))
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (s deploymentSet) settings(set []Setting) (map[*appsv1.Deployment]map[string]string, error) {
	result := map[*appsv1.Deployment]map[string]string{}
	for _, setting := range set {
		found, err := s.named(setting.Target)
		if err != nil {
			return nil, fmt.Errorf("--set %s: %w", setting.Target, err)
		}
		if !variableName.MatchString(setting.Name) || strings.ContainsRune(setting.Value, 0) {
			return nil, fmt.Errorf("--set %s: %.60q: the name of a variable is expected, and no NUL in its value", setting.Target, setting.Name)
		}
		for _, d := range found {
			if result[d.object] == nil {
				result[d.object] = map[string]string{}
			}
			result[d.object][setting.Name] = setting.Value
		}
	}
	return result, nil
}

func (s deploymentSet) replicas(wanted map[string]int) (map[*appsv1.Deployment]int, error) {
	result := map[*appsv1.Deployment]int{}
	for _, d := range s {
		result[d.object] = 1
		if d.object.Spec.Replicas != nil {
			result[d.object] = int(*d.object.Spec.Replicas)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		found, err := s.named(name)
		if err != nil {
			return nil, fmt.Errorf("--replicas %s: %w", name, err)
		}
		if len(found) > 1 {
			return nil, fmt.Errorf("--replicas %s: several Deployments run that program; name one of %s and %s", name, found[0].object.Name, found[1].object.Name)
		}
		if wanted[name] < 0 {
			return nil, fmt.Errorf("--replicas %s: %d; 0 or more is expected", name, wanted[name])
		}
		result[found[0].object] = wanted[name]
	}
	return result, nil
}
