package local

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"fleetman.example/lab/manifest"
)

// Override adds to Options.Set and Options.Replicas, for the changes of the fleet from now on, and returns a
// function that undoes it. What the Deployments of the manifests in force do not have is an error. Calls of
// Override and Stage must not be concurrent.
func (f *Fleet) Override(objects *manifest.Objects, set []Setting, replicas map[string]int) (undo func(), err error) {
	if err := f.checkOverride(objects, set, replicas); err != nil {
		return nil, fmt.Errorf("set %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	oldSet, oldReplicas := f.options.Set, f.options.Replicas
	f.options.Set = slices.Concat(oldSet, set)
	f.options.Replicas = maps.Clone(oldReplicas)
	if f.options.Replicas == nil {
		f.options.Replicas = map[string]int{}
	}
	maps.Copy(f.options.Replicas, replicas)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.options.Set, f.options.Replicas = oldSet, oldReplicas
	}, nil
}

// checkOverride returns the mistake of an override. Those of the options have the name of a flag, which its user did
// not give.
func (f *Fleet) checkOverride(objects *manifest.Objects, set []Setting, replicas map[string]int) error {
	known, err := findPrograms(f.options.Root, f.options.Bin)
	if err != nil {
		return err
	}
	deployments, _, err := newDeploymentSet(objects, known)
	if err != nil {
		return err
	}
	for _, setting := range set {
		if _, _, err := deployments.ofSetting(setting, f.options.Bin != ""); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(replicas)) {
		if _, err := deployments.named(name); err != nil {
			return err
		}
	}
	return nil
}

// Apply replaces the manifests of a running fleet without a mesh, or, after an error, nothing. Pods that
// change are replaced: the new ones are ready before Services lead to them, and before the old ones end. It does
// not wait for that end.
func (f *Fleet) Apply(ctx context.Context, objects *manifest.Objects) (*Change, error) {
	change, err := f.Stage(ctx, objects, func(MeshPod) bool { return false })
	if err != nil {
		return nil, err
	}
	if err := change.Run(ctx); err != nil {
		change.Abort()
		return nil, err
	}
	change.Join()
	change.Leave()
	change.Commit()
	return change, nil
}
