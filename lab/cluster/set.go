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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"fleetman.example/lab/control"
	"fleetman.example/lab/environ"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
)

// Set changes variables or numbers of pods of Deployments, over the manifests, until the next up or apply. It returns
// when the new pods are ready and the old ones have ended. After an error nothing has changed.
func (c *Client) Set(ctx context.Context, o control.Override) (mesh.Applied, error) {
	began := time.Now()
	edits, notes, err := c.edits(ctx, o)
	if err != nil {
		return mesh.Applied{}, err
	}
	before, err := c.podNames(ctx)
	if err != nil {
		return mesh.Applied{}, err
	}
	var changed []string
	of := sets.New[string]()
	for _, e := range edits {
		changed = append(changed, "Deployment "+e.of.Name)
		of.Insert(e.of.Namespace + "/" + e.of.Name)
	}
	if err = c.patchAll(ctx, edits); err == nil {
		err = c.awaitPods(ctx, of, readyWithin, c.say)
	}
	if err == nil {
		err = c.ownAll(ctx, edits)
	}
	if err != nil {
		return mesh.Applied{}, c.undo(ctx, edits, err)
	}
	now, err := c.podNames(ctx)
	pods := local.PodsChanged(now.Difference(before).Len(), before.Difference(now).Len())
	slices.Sort(changed)
	return mesh.Applied{Changed: slices.Compact(changed), Notes: notes, Pods: pods, Seconds: time.Since(began).Seconds()}, err
}

// edit is a change of a Deployment's spec, and what reverses it.
type edit struct {
	of       *appsv1.Deployment
	to, back map[string]any
}

// edits returns the changes that an override makes, and notes about its variables.
func (c *Client) edits(ctx context.Context, o control.Override) (edits []edit, notes []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(o.Replicas)) {
		found, err := c.deployments(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		for i := range found {
			edits = append(edits, edit{&found[i], map[string]any{"replicas": o.Replicas[name]}, map[string]any{"replicas": found[i].Spec.Replicas}})
		}
	}
	for _, s := range o.Set {
		found, err := c.deployments(ctx, s.Target)
		if err != nil {
			return nil, nil, err
		}
		for i := range found {
			note, err := checkVariable(&found[i], s)
			if err != nil {
				return nil, nil, err
			}
			if note != "" {
				notes = append(notes, note)
			}
			to := map[string]any{"name": s.Name, "value": s.Value, "valueFrom": nil}
			edits = append(edits, edit{&found[i], ofVariable(&found[i], to), ofVariable(&found[i], variableNow(&found[i], s.Name))})
		}
	}
	return edits, notes, nil
}

// patchAll makes the changes.
func (c *Client) patchAll(ctx context.Context, edits []edit) error {
	for _, e := range edits {
		if err := c.patch(ctx, e.of, e.to); err != nil {
			return err
		}
	}
	return nil
}

// ownAll makes the fields that were patched those of fleetman's applies: of a field that only patches have set, the API
// server keeps the value when the next up or apply does not have it.
func (c *Client) ownAll(ctx context.Context, edits []edit) error {
	for _, e := range edits {
		deployments := c.apps.Deployments(e.of.Namespace)
		for owned := false; !owned; {
			now, err := deployments.Get(ctx, e.of.Name, metav1.GetOptions{})
			if err != nil {
				return c.about("Deployment "+e.of.Name, err)
			}
			patch, err := csaupgrade.UpgradeManagedFieldsPatch(now, sets.New(manager), manager)
			if err == nil && patch != nil {
				_, err = deployments.Patch(ctx, e.of.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: manager})
			}
			if err != nil && !apierrors.IsConflict(err) { // with an update of its status
				return c.about("Deployment "+e.of.Name, err)
			}
			owned = err == nil
		}
	}
	return nil
}

// undo reverses the changes, after an error.
func (c *Client) undo(ctx context.Context, edits []edit, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneWithin)
	defer cancel()
	for _, e := range edits {
		if err := c.patch(ctx, e.of, e.back); err != nil {
			return fmt.Errorf("%w; restore the old objects: %w", cause, err)
		}
	}
	return fmt.Errorf("%w; the old objects are restored", cause)
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

// ofVariable returns the spec with a variable of the first container.
func ofVariable(d *appsv1.Deployment, variable any) map[string]any {
	container := map[string]any{"name": d.Spec.Template.Spec.Containers[0].Name, "env": []any{variable}}
	return map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{container}}}}
}

// variableNow returns what a patch needs to give a variable of the first container the value that it has now.
func variableNow(d *appsv1.Deployment, name string) map[string]any {
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		switch {
		case e.Name != name:
		case e.ValueFrom != nil:
			return map[string]any{"name": name, "value": nil, "valueFrom": e.ValueFrom}
		default:
			return map[string]any{"name": name, "value": e.Value, "valueFrom": nil}
		}
	}
	return map[string]any{"name": name, "$patch": "delete"}
}

// patch changes fields of a Deployment's spec.
func (c *Client) patch(ctx context.Context, d *appsv1.Deployment, spec map[string]any) error {
	text, _ := json.Marshal(map[string]any{"spec": spec}) // fields of JSON
	_, err := c.apps.Deployments(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{FieldManager: manager})
	return c.about("Deployment "+d.Name, err)
}
