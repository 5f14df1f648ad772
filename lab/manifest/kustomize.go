package manifest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// buildTimeout is the longest time of a build: two hundred times that of the largest
// scenario, because a busy machine with the race detector takes fifty times as long.
const buildTimeout = 2 * time.Minute

// build runs kustomize as `kubectl apply -k` does, on local files only.
func build(dir string) ([]Object, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	resources, err := kustomize(ctx, dir)
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, resource := range resources.Resources() {
		data, err := resource.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%s: kustomize: %s: %s", dir, resource.CurId(), OneLine(err))
		}
		found, err := decodeObject(dir, dir, data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func kustomize(ctx context.Context, dir string) (resmap.ResMap, error) {
	type result struct {
		resources resmap.ResMap
		err       error
	}
	files := &boundedFiles{FileSystem: filesys.MakeFsOnDisk(), ctx: ctx, dir: dir}
	built := make(chan result, 1)
	go func() {
		defer func() { // of a null in a list, for example
			if v := recover(); v != nil {
				built <- result{err: fmt.Errorf("%s: kustomize: panic: %v", Kustomization(dir), v)}
			}
		}()
		resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
		switch {
		case files.refused != nil:
			err = files.refused // kustomize hides it in an error of its own
		case err != nil:
			err = fmt.Errorf("%s: kustomize: %s", Kustomization(dir), explained(dir, err))
		}
		built <- result{resources, err}
	}()
	select {
	case r := <-built:
		return r.resources, r.err
	case <-ctx.Done(): // no further file can be read, so kustomize ends soon
		return nil, fmt.Errorf("%s: kustomize: not done after %v", Kustomization(dir), buildTimeout)
	}
}

// Kustomization returns the kustomization file of a directory, or "".
func Kustomization(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file
		}
	}
	return ""
}

// hints complete those errors of kustomize whose text does not name the remedy.
var hints = []struct{ text, hint string }{
	{"does not exist; cannot merge or replace", "the component that creates it must be listed before the one that merges"},
	{"no resource matches strategic merge patch", "the resources must have an object of the patch's kind and name"},
	{"no such file or directory", "each entry must be an existing file or directory, relative to the kustomization that lists it"},
}

// explained returns kustomize's error in one line, with paths relative to dir and
// a hint where there is one.
func explained(dir string, err error) string {
	text := strings.ReplaceAll(OneLine(err), absolute(dir), dir)
	for _, h := range hints {
		if strings.Contains(text, h.text) {
			return text + " (" + h.hint + ")"
		}
	}
	return text
}
