package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// image is one image to build: a service, as one of its variants.
type image struct {
	service string
	name    string // repository:tag
	version string
	args    map[string]string // of the Dockerfile
}

// services returns the names of the directories below root/services that have a Dockerfile, sorted.
func services(root string) ([]string, error) {
	files, _ := fs.Glob(os.DirFS(root), "services/*/Dockerfile") // the pattern is a good one
	if len(files) == 0 {
		return nil, fmt.Errorf("-root: %s: must have services/*/Dockerfile", root)
	}
	var names []string
	for _, file := range files {
		names = append(names, path.Base(path.Dir(file)))
	}
	return names, nil
}

// own returns the images of k8s/base: registry, then fleetman/NAME:tag.
func own(services []string, registry, tag string) []image {
	var images []image
	for _, s := range services {
		images = append(images, image{service: s, name: fmt.Sprintf("%sfleetman/%s:%s", registry, s, tag), version: tag})
	}
	return images
}

// variants has the suffixes of the published tags, with the build arguments of each and the services
// that have it (nil: all).
var variants = map[string]struct {
	args     map[string]string
	services []string
}{
	"placeholder":           {map[string]string{"VARIANT": "placeholder"}, []string{"staff-service"}},
	"bad":                   {map[string]string{"VARIANT": "bad"}, []string{"staff-service"}},
	"fail-fast":             {map[string]string{"VARIANT": "fail-fast"}, []string{"staff-service"}},
	"experimental":          {map[string]string{"VARIANT": "experimental"}, []string{"webapp"}},
	"no-header-propagation": {map[string]string{"PROPAGATE_HEADERS": "false"}, nil},
}

// published returns the images that replace those of the published manifests, under their names. For
// arm64 each image also gets the tag of the published manifests for arm64.
func published(services []string, registry, tag, platform string) []image {
	var images []image
	for _, s := range services {
		repository := registry + "richardchesterwood/istio-fleetman-" + s
		if s == "webapp" {
			repository += "-angular"
		}
		images = append(images, image{service: s, name: repository + ":" + tag, version: tag})
		for _, suffix := range slices.Sorted(maps.Keys(variants)) {
			if v := variants[suffix]; v.services == nil || slices.Contains(v.services, s) {
				version := tag + "-" + suffix
				images = append(images, image{service: s, name: repository + ":" + version, version: version, args: v.args})
			}
		}
	}
	if platform == "linux/arm64" {
		for _, i := range slices.Clone(images) {
			i.name += "-arm64"
			images = append(images, i)
		}
	}
	return images
}

// only returns the images of the named services, separated by commas; "" means all.
func only(images []image, names string) ([]image, error) {
	if names == "" {
		return images, nil
	}
	var kept []image
	for name := range strings.SplitSeq(names, ",") {
		before := len(kept)
		for _, i := range images {
			if i.service == name {
				kept = append(kept, i)
			}
		}
		if len(kept) == before {
			return nil, fmt.Errorf("-services: %s: must be the name of a service", name)
		}
	}
	return kept, nil
}
