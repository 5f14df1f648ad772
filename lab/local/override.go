package local

import (
	"context"
	"maps"
	"slices"

	"fleetman.example/lab/manifest"
)

// Override adds to Options.Set and Options.Replicas, for the changes of the fleet from now on, and returns a
// function that undoes it. Calls of Override and Stage must not be concurrent.
func (f *Fleet) Override(set []Setting, replicas map[string]int) (undo func()) {
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
	}
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
