package local

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fleetman.example/lab/process"
	"fleetman.example/lab/usage"
)

// programs are the names of the programs that fleetman can run, sorted.
type programs []string

// findPrograms lists services/ of the repository, or the ready-made programs.
func findPrograms(root, bin string) (programs, error) {
	var found programs
	switch {
	case root != "":
		modules, _ := fs.Glob(os.DirFS(root), "services/*/go.mod") // the pattern is a good one
		for _, module := range modules {
			found = append(found, path.Base(path.Dir(module)))
		}
	case bin != "":
		entries, err := os.ReadDir(bin)
		if err != nil {
			return nil, fmt.Errorf("find programs: %w", err)
		}
		for _, entry := range entries {
			if process.IsProgram(filepath.Join(bin, entry.Name())) {
				found = append(found, entry.Name())
			}
		}
	default:
		return nil, fmt.Errorf("--root: missing: must be set to the repository, or --bin to a directory of programs")
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%q: no programs: must have services/NAME/go.mod, or executable files", cmp.Or(root, bin))
	}
	slices.Sort(found)
	return found, nil
}

// checkBin returns an error if bin is set and lacks one of the needed programs.
func checkBin(bin string, needed []string) error {
	if bin == "" {
		return nil
	}
	var missing []string
	for _, program := range needed {
		if !process.IsProgram(filepath.Join(bin, program)) {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		return usage.Errorf("--bin %s: no program %s: must have one for each Deployment", bin, strings.Join(missing, ", "))
	}
	return nil
}

// defaultPort is the port of a program's LISTEN_ADDR when the manifests do not
// set it; 0 for one that only sends.
func defaultPort(program string) int {
	switch program {
	case "position-simulator":
		return 0
	case "webapp":
		return 80
	}
	return 8080
}

// publisher is the owner of the published images.
const publisher = "richardchesterwood"

// variant is the variant of a program that a tag of the published images selects.
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

// publishedTag is a tag of the published form: a release, its variant, and the
// architecture of the half that is for arm64, which is the same program. Other
// tags (a semantic version, a commit) stand for no variant.
var publishedTag = regexp.MustCompile(`^[0-9]+(?:-(.+?))??(?:-(?:arm64|amd64))?$`)

// unknownProgramError is the error for an image with the name of a published one
// that has no program here.
type unknownProgramError struct{ image, program string }

func (e *unknownProgramError) Error() string {
	return fmt.Sprintf("%q: no program %s here", e.image, e.program)
}

// program returns the name of an image's program, and the variable (NAME=VALUE, or
// empty) of its tag's variant.
func (p programs) program(image string) (name, env string, err error) {
	owner, base, tag := splitImage(image)
	short, published := strings.CutPrefix(base, "istio-fleetman-")
	if published {
		base = strings.TrimSuffix(short, "-angular")
	}
	ours := owner == "fleetman" || strings.HasSuffix(owner, "/fleetman")
	switch known := slices.Contains(p, base); {
	case published && !known && owner == publisher:
		return "", "", &unknownProgramError{image, base}
	case !known || !(ours || published):
		return "", "", fmt.Errorf("%q: must be fleetman/NAME or %s/istio-fleetman-NAME, NAME one of %s", image, publisher, strings.Join(p, ", "))
	}
	match := publishedTag.FindStringSubmatch(tag)
	if match == nil || match[1] == "" {
		return base, "", nil
	}
	v, known := variants[match[1]]
	if !known || (v.programs != nil && !slices.Contains(v.programs, base)) {
		return "", "", fmt.Errorf("%q: variant %q of %s: must be one of %s", image, match[1], base, knownVariants(base))
	}
	return base, v.env, nil
}

// splitImage returns the parts of [docker.io/][OWNER/]BASE[:TAG][@DIGEST].
func splitImage(image string) (owner, base, tag string) {
	repository, _, _ := strings.Cut(strings.TrimPrefix(image, "docker.io/"), "@")
	i := strings.LastIndexByte(repository, '/')
	base, tag, _ = strings.Cut(repository[i+1:], ":")
	return repository[:max(i, 0)], base, tag
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
