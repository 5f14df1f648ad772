package local

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs are the names of the programs that can be run, sorted.
type programs []string

// findPrograms lists services/ of the repository, or the ready-made programs.
func findPrograms(root, bin string) (programs, error) {
	var found programs
	switch {
	case root != "":
		modules, err := filepath.Glob(filepath.Join(root, "services", "*", "go.mod"))
		if err != nil {
			return nil, fmt.Errorf("looking for programs in %s: %w", root, err)
		}
		for _, module := range modules {
			found = append(found, filepath.Base(filepath.Dir(module)))
		}
	case bin != "":
		entries, err := os.ReadDir(bin)
		if err != nil {
			return nil, fmt.Errorf("looking for programs: %w", err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				found = append(found, entry.Name())
			}
		}
	default:
		return nil, fmt.Errorf("no programs: neither a repository (--root) nor a directory of programs (--bin) is given")
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no programs in %q; a services/NAME/go.mod or an executable file is expected", root+bin)
	}
	slices.Sort(found)
	return found, nil
}

// variant is what the tag of a published image stands for.
type variant struct {
	env      string // NAME=VALUE
	programs []string
}

var variants = map[string]variant{
	"placeholder":           {"VARIANT=placeholder", []string{"staff-service"}},
	"bad":                   {"VARIANT=bad", []string{"staff-service"}},
	"fail-fast":             {"VARIANT=fail-fast", []string{"staff-service"}},
	"experimental":          {"VARIANT=experimental", []string{"webapp"}},
	"no-header-propagation": {"PROPAGATE_HEADERS=false", nil},
}

// publishedTag is a tag of the published form: a release and its variant.
// Other tags (a semantic version, a commit) say nothing about a variant.
var publishedTag = regexp.MustCompile(`^[0-9]+(?:-(.+))?$`)

// program gives the name of the program an image stands for, and the variable
// (NAME=VALUE, or empty) that its tag stands for.
func (p programs) program(image string) (name, env string, err error) {
	repository, _, _ := strings.Cut(image, "@")
	tag := ""
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	owner, base := "", repository
	if i := strings.LastIndexByte(repository, '/'); i >= 0 {
		owner, base = repository[:i], repository[i+1:]
	}
	short, published := strings.CutPrefix(base, "istio-fleetman-")
	if published {
		base = strings.TrimSuffix(short, "-angular")
	}
	ours := owner == "fleetman" || strings.HasSuffix(owner, "/fleetman")
	if !slices.Contains(p, base) || !(ours || published) {
		return "", "", fmt.Errorf("%q: no program of that name; known are %s, each as fleetman/NAME and richardchesterwood/istio-fleetman-NAME",
			image, strings.Join(p, ", "))
	}
	match := publishedTag.FindStringSubmatch(tag)
	if match == nil || match[1] == "" {
		return base, "", nil
	}
	v, known := variants[match[1]]
	if !known || (v.programs != nil && !slices.Contains(v.programs, base)) {
		return "", "", fmt.Errorf("%q: no variant %q of %s; known are %s", image, match[1], base, knownVariants(base))
	}
	return base, v.env, nil
}

func knownVariants(program string) string {
	var known []string
	for name, v := range variants {
		if v.programs == nil || slices.Contains(v.programs, program) {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	return strings.Join(known, ", ")
}
