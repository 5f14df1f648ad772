package local

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/environ"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/usage"
)

// deployment is a Deployment and the program of its image.
type deployment struct {
	object  *appsv1.Deployment
	name    string // in messages, with its file
	program string
	tagEnv  string // NAME=VALUE that the image's tag stands for, or empty
}

type deploymentSet []*deployment

// newDeploymentSet returns the Deployments that can run. The notes name published
// images that have no program here.
func newDeploymentSet(objects *manifest.Objects, known programs) (set deploymentSet, notes []string, err error) {
	for _, object := range objects.All {
		typed, ok := object.Typed.(*appsv1.Deployment)
		if !ok {
			continue
		}
		d := &deployment{object: typed, name: object.Source + ": " + object.Ref()}
		containers := typed.Spec.Template.Spec.Containers
		if len(containers) != 1 {
			return nil, nil, fmt.Errorf("%s: spec.template.spec.containers: %d: must be 1: a pod is one process here", d.name, len(containers))
		}
		var unknown *unknownProgramError
		switch d.program, d.tagEnv, err = known.program(containers[0].Image); {
		case errors.As(err, &unknown):
			notes = append(notes, fmt.Sprintf("left out: %s: image %s", d.name, unknown))
		case err != nil:
			return nil, nil, fmt.Errorf("%s: spec.template.spec.containers[0].image: %w", d.name, err)
		default:
			set = append(set, d)
		}
	}
	if len(set) == 0 {
		return nil, nil, nothingToRun(objects, notes)
	}
	return set, notes, nil
}

// nothingToRun returns the error for manifests without a Deployment that can run.
// It names the objects that they have.
func nothingToRun(objects *manifest.Objects, notes []string) error {
	const most = 5
	var there []string
	for i, object := range objects.All {
		if i == most {
			there = append(there, fmt.Sprintf("%d more", len(objects.All)-most))
			break
		}
		there = append(there, object.Ref())
	}
	text := "no Deployment to run in the manifests"
	if len(there) > 0 {
		text += ", which have " + strings.Join(there, ", ")
	}
	return errors.New(strings.Join(append([]string{text}, append(notes, notOfTheFleet(objects)...)...), "; "))
}

// named returns the Deployments with a name; if there are none, those whose name
// matches without "fleetman-"; if there are none, those of a program.
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
	names := collect(s, func(d *deployment) string { return d.object.Name })
	slices.Sort(names)
	return nil, usage.Errorf("%q: must be a Deployment of the manifests: %s", name, strings.Join(slices.Compact(names), ", "))
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// settings returns the variables of each Deployment. A note names one that a program does not set in its
// manifest, and whose variables are not known.
func (s deploymentSet) settings(set []Setting, readyMade bool) (result map[*appsv1.Deployment]map[string]string, notes []string, err error) {
	result = map[*appsv1.Deployment]map[string]string{}
	for _, setting := range set {
		found, unknown, err := s.ofSetting(setting, readyMade)
		if err != nil {
			return nil, nil, fmt.Errorf("--set %w", err)
		}
		notes = append(notes, unknown...)
		for _, d := range found {
			if result[d.object] == nil {
				result[d.object] = map[string]string{}
			}
			result[d.object][setting.Name] = setting.Value
		}
	}
	return result, notes, nil
}

// checkSetting returns an error for a variable that the program does not read, and a note for one of a program
// whose variables are not known: one that is not the fleet's, or that may be another by the same name. Those for
// all Deployments are for the ones that read them.
func (d *deployment) checkSetting(s Setting, readyMade bool) (note string, err error) {
	if s.Target == "" {
		return "", nil
	}
	known, program := collect(d.object.Spec.Template.Spec.Containers[0].Env, func(e corev1.EnvVar) string { return e.Name }), d.program
	if readyMade {
		known, program = append(known, environ.Of(program)...), ""
	}
	return environ.Check(s.Name, known, program)
}

// ofSetting returns the Deployments that a setting changes, and a note for each in which it may have no effect.
func (s deploymentSet) ofSetting(setting Setting, readyMade bool) (found []*deployment, notes []string, err error) {
	found = s
	if setting.Target != "" {
		if found, err = s.named(setting.Target); err != nil {
			return nil, nil, err
		}
	}
	if !variableName.MatchString(setting.Name) || strings.ContainsRune(setting.Value, 0) {
		return nil, nil, usage.Errorf("%s: %.60q: must be the name of a variable, and its value without NUL", setting.Target, setting.Name)
	}
	for _, d := range found {
		note, err := d.checkSetting(setting, readyMade)
		if err != nil {
			return nil, nil, usage.Errorf("%s: %w", setting.Target, err)
		}
		if note != "" {
			notes = append(notes, setting.Target+": "+note)
		}
	}
	return found, notes, nil
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
			return nil, fmt.Errorf("--replicas %w", err)
		}
		if len(found) > 1 {
			return nil, usage.Errorf("--replicas %s: a program of several Deployments: must be one of them, such as %s or %s", name, found[0].object.Name, found[1].object.Name)
		}
		if wanted[name] < 0 {
			return nil, usage.Errorf("--replicas %s: %d: must be at least 0", name, wanted[name])
		}
		result[found[0].object] = wanted[name]
	}
	return result, nil
}
