package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fleetman.example/lab/control"
	"fleetman.example/lab/environ"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
)

// Set changes variables or numbers of pods of Deployments, over the manifests, until the next up. It does not
// wait for the pods.
func (c *Client) Set(ctx context.Context, o control.Override) (mesh.Applied, error) {
	began := time.Now()
	patches := map[string][]specOf{} // by the names of Deployments
	for name, count := range o.Replicas {
		patches[name] = append(patches[name], func(*appsv1.Deployment) map[string]any { return map[string]any{"replicas": count} })
	}
	for _, s := range o.Set {
		patches[s.Target] = append(patches[s.Target], func(d *appsv1.Deployment) map[string]any { return variableOf(d, s) })
	}
	found := map[string][]appsv1.Deployment{}
	for name := range patches { // before anything changes
		var err error
		if found[name], err = c.deployments(ctx, name); err != nil {
			return mesh.Applied{}, err
		}
	}
	var notes []string
	for _, s := range o.Set {
		for _, d := range found[s.Target] {
			note, err := checkVariable(&d, s)
			if err != nil {
				return mesh.Applied{}, err
			}
			if note != "" {
				notes = append(notes, note)
			}
		}
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(patches)) {
		for i := range found[name] {
			for _, spec := range patches[name] {
				if err := c.patch(ctx, &found[name][i], spec(&found[name][i])); err != nil {
					return mesh.Applied{}, err
				}
			}
			changed = append(changed, "Deployment "+found[name][i].Name)
		}
	}
	return mesh.Applied{Changed: changed, Notes: notes, Pods: strings.Join(changed, ", ") + " changed, its pods follow", Seconds: time.Since(began).Seconds()}, nil
}

// checkVariable returns an error for a variable that the program does not read, and a note for one of a program
// whose variables are not known, such as the published images'.
func checkVariable(d *appsv1.Deployment, s local.Setting) (note string, err error) {
	container := d.Spec.Template.Spec.Containers[0]
	var inManifest []string
	for _, e := range container.Env {
		inManifest = append(inManifest, e.Name)
	}
	program := programOf(container.Image)
	if environ.Program(container.Image) != program {
		program = "" // another one
	}
	if note, err = environ.Check(s.Name, inManifest, program); err != nil {
		return "", usage.Errorf("%s: %w", s.Target, err)
	}
	if note != "" {
		note = s.Target + ": " + note
	}
	return note, nil
}

// deployments returns the Deployment of a name or, of a program's name, all that run it.
func (c *Client) deployments(ctx context.Context, name string) ([]appsv1.Deployment, error) {
	all, err := c.allDeployments(ctx)
	if err != nil {
		return nil, err
	}
	var named, running []appsv1.Deployment
	var names []string
	for i := range all {
		d := &all[i]
		names = append(names, d.Name)
		switch {
		case sameService(d.Name, name):
			named = append(named, *d)
		case len(d.Spec.Template.Spec.Containers) > 0 && programOf(d.Spec.Template.Spec.Containers[0].Image) == name:
			running = append(running, *d)
		}
	}
	switch {
	case len(named) > 0:
		return named, nil
	case len(running) > 0:
		return running, nil
	}
	return nil, usage.Errorf("%.60q: must be one of %s", name, strings.Join(names, ", "))
}

// allDeployments returns the Deployments of the fleet.
func (c *Client) allDeployments(ctx context.Context) (all []appsv1.Deployment, err error) {
	places, err := c.allPlaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		list, err := c.apps.Deployments(place).List(ctx, metav1.ListOptions{LabelSelector: ofFleet})
		if err != nil {
			return nil, c.about("deployments", err)
		}
		all = append(all, list.Items...)
	}
	return all, nil
}

// specOf returns what a change sets of a Deployment's spec.
type specOf func(*appsv1.Deployment) map[string]any

// variableOf sets a variable of the first container.
func variableOf(d *appsv1.Deployment, s local.Setting) map[string]any {
	variable := map[string]any{"name": s.Name, "value": s.Value, "valueFrom": nil}
	container := map[string]any{"name": d.Spec.Template.Spec.Containers[0].Name, "env": []any{variable}}
	return map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{container}}}}
}

// patch changes fields of a Deployment's spec.
func (c *Client) patch(ctx context.Context, d *appsv1.Deployment, spec map[string]any) error {
	text, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return fmt.Errorf("change Deployment %s: %w", d.Name, err)
	}
	_, err = c.apps.Deployments(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{FieldManager: manager})
	return c.about("Deployment "+d.Name, err)
}
