package compare

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"

	"fleetman.example/lab/environ"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// builtIn is where the launcher builds programs.
func builtIn(root string) string { return filepath.Join(root, ".cache", "bin") }

// reader reads the manifests of arms. Those of the same paths, as of the points of
// a sweep, are read once.
type reader struct {
	Options
	faults []experiment.Fault           // of the sweep's points
	read   map[string]*manifest.Objects // by the paths
	noted  *experiment.Problems
}

// load returns a copy of the objects in some paths.
func (r reader) load(paths []string) (*manifest.Objects, error) {
	key := strings.Join(paths, "\n")
	if r.read[key] == nil {
		objects, err := r.readFiles(paths)
		if err != nil {
			return nil, err
		}
		r.read[key] = objects
	}
	own := *r.read[key]
	own.All = slices.Clone(own.All)
	return &own, nil
}

func (r reader) readFiles(paths []string) (*manifest.Objects, error) {
	var found []string
	for _, path := range paths {
		there, err := r.Experiment.Find(path, r.Root)
		if err != nil {
			return nil, err
		}
		found = append(found, there)
	}
	return manifest.Load(found...)
}

// objects returns the manifests of an arm with its patches, and the mistakes of the
// arm and of the faults that they show.
func (r reader) objects(arm experiment.Arm) (*manifest.Objects, experiment.Problems) {
	e := r.Experiment
	field := r.field(arm)
	objects, err := r.load(arm.Manifests)
	if err != nil {
		return nil, experiment.Problems{e.Problem(field+".manifests", "%v", err)}
	}
	var problems experiment.Problems
	for _, patch := range arm.Patches {
		if err := merge(objects, patch); err != nil {
			problems = append(problems, e.Problem(field+".patches", "%v", err))
		}
	}
	named := names{reader: r, arm: arm, known: namesIn(objects, arm), problems: problems}
	named.ofArm()
	hasGateway := slices.ContainsFunc(objects.All, func(o manifest.Object) bool { return o.Kind == "Gateway" })
	if r.target(arm) == experiment.TargetIngress && !(hasGateway && arm.HasMesh(objects.NeedsMesh)) {
		named.problems = append(named.problems, r.noIngress(arm))
	}
	named.ofFaults()
	return objects, named.problems
}

// note prints a note on the experiment, once.
func (r reader) note(p experiment.Problem) {
	if r.Progress != nil && !slices.Contains(*r.noted, p) {
		*r.noted = append(*r.noted, p)
		r.Progress(p.Error())
	}
}

// names checks the names of services in an experiment by the manifests of one of
// its arms.
type names struct {
	reader
	arm      experiment.Arm
	known    knownNames
	problems experiment.Problems
}

// must adds a mistake unless name is a service of the arm.
func (n *names) must(path, name string) {
	if !n.known.has(name) {
		of := cmp.Or(strings.Join(n.known.deployments, ", "), "its manifests have no Deployment")
		n.add(path, "%.60q: must be a service of the arm %s: %s", name, n.arm.Name, of)
	}
}

// add adds a mistake, once for all points of the sweep.
func (n *names) add(path, format string, args ...any) {
	if p := n.Experiment.Problem(path, format, args...); !slices.Contains(n.problems, p) {
		n.problems = append(n.problems, p)
	}
}

// ofArm checks the arm and the load.
func (n *names) ofArm() {
	for _, service := range slices.Sorted(maps.Keys(n.arm.Env)) {
		path := n.Experiment.Field(n.arm.Of, "env."+service)
		if service != experiment.All {
			n.must(path, service)
		}
		for _, name := range slices.Sorted(maps.Keys(n.arm.Env[service])) {
			n.variable(service, name)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(n.arm.Replicas)) {
		n.must(n.Experiment.Field(n.arm.Of, "replicas."+service), service)
	}
	if target := n.target(n.arm); !slices.Contains(ownTargets, target) {
		n.must(n.targetField(n.arm), target)
	}
	if n.Experiment.Load.From != "" {
		n.must("load.from", n.Experiment.Load.From)
	}
}

// variable checks a variable of a service: that the programs read it that are the fleet's own. One that others may
// read is noted, unless their manifests set it.
func (n *names) variable(service, name string) {
	var programs, set []string
	for _, c := range n.known.containers {
		if service != experiment.All && bareName(service) != c.deployment && service != c.image {
			continue
		}
		set = append(set, c.variables...)
		if n.Cluster != nil && c.published {
			programs = append(programs, c.image) // the author's program, not the fleet's
		} else {
			programs = append(programs, cmp.Or(c.program, c.image))
		}
	}
	if len(programs) == 0 {
		return // no such service
	}
	if n.Bin != "" { // may have others by the same names
		for _, program := range programs {
			set = append(set, environ.Of(program)...)
		}
		programs = []string{""}
	}
	path := n.Experiment.Field(n.arm.Of, "env."+service+"."+name)
	note, err := environ.Check(name, set, programs...)
	if err != nil {
		n.add(path, "%v", err)
	}
	if note != "" {
		n.note(n.Experiment.Problem(path, "%s", note))
	}
}

// ofFaults checks the services of the faults that meet the arm: that they have as many pods, and take rules.
func (n *names) ofFaults() {
	for _, fault := range n.faults {
		for j, in := range fault.Inject {
			path := n.injection(fault, j)
			if n.must(path+".service", in.Service); !n.known.has(in.Service) || !experiment.Meet(n.arm, fault) {
				continue
			}
			n.replicas(path+".replicas", in)
			if in.Rules != "" && n.Bin == "" && n.known.onlySends(in.Service) {
				n.add(path+".service", "%s: must be a service that receives requests, of which rules are; or with action instead", in.Service)
			}
		}
	}
}

// replicas checks that the service of an injection has the pods that it names, in every arm.
func (n *names) replicas(path string, in experiment.Injection) {
	bare := bareName(in.Service)
	pods, one := n.known.pods[bare]
	switch {
	case !one: // several Deployments
	case in.Replicas.Some > pods || in.Replicas.All && pods == 0:
		got := strconv.Itoa(in.Replicas.Some)
		if in.Replicas.All {
			got = "all"
		}
		n.add(path, "%s: must be at most %d, the pods of %s in the arm %s", got, pods, in.Service, n.arm.Name)
	case n.Cluster == nil: // where pods have other names
		for _, name := range in.Replicas.Names {
			number, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
			if err != nil || bareName(name) != fmt.Sprintf("%s-%d", bare, number) || number >= pods {
				n.add(path, "%.60q: must be a pod of %s in the arm %s, numbered from 0 to %d", name, in.Service, n.arm.Name, pods-1)
			}
		}
	}
}

// ownTargets lead the load elsewhere than to a Service of the manifests.
var ownTargets = []string{"", experiment.TargetGateway, experiment.TargetIngress, experiment.TargetPage}

func bareName(name string) string { return strings.TrimPrefix(name, "fleetman-") }

// merge changes the object that a patch names, as kustomize does.
func merge(objects *manifest.Objects, patch experiment.Object) error {
	kind, namespace, name := patch.Ref()
	var there []string
	for i := range objects.All {
		object := &objects.All[i]
		if object.Kind != kind {
			continue
		}
		there = append(there, object.Name)
		if object.Name != name || namespace != "" && object.Namespace != namespace {
			continue
		}
		return mergeInto(object, patch)
	}
	if len(there) == 0 {
		return fmt.Errorf("%s %s: must be one of the manifests, which have none of this kind", kind, name)
	}
	return fmt.Errorf("%s %s: must be one of the manifests, which have the names %q of this kind", kind, name, there)
}

func mergeInto(object *manifest.Object, patch experiment.Object) error {
	whole := maps.Clone(patch)
	whole["apiVersion"] = object.APIVersion // by which the keys of its lists are known
	text, err := json.Marshal(whole)
	if err != nil {
		return fmt.Errorf("%s: %w", object.Ref(), err)
	}
	merged, err := merge2.MergeStrings(string(text), string(object.JSON), false, kyaml.MergeOptions{ListIncreaseDirection: kyaml.MergeOptionsListPrepend})
	if err != nil {
		return fmt.Errorf("%s: %s: must have the form of the object", object.Ref(), strings.Join(strings.Fields(err.Error()), " "))
	}
	found, err := manifest.Decode(object.Source+", patched", []byte(merged))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%s: %w", object.Ref(), err)
	}
	found[0].Namespace = object.Namespace
	*object = found[0]
	return nil
}

// knownNames are what services may be called.
type knownNames struct {
	deployments, others []string
	containers          []container
	pods                map[string]int // of a Deployment of the arm, by its bare name
}

// container is one of a Deployment.
type container struct {
	deployment, image string // by their bare names
	program           string // of the fleet, or empty
	published         bool   // the image is the course's
	variables         []string
}

func containerOf(d *appsv1.Deployment, c *corev1.Container) container {
	image, _, _ := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":")
	found := container{bareName(d.Name), image, environ.Program(c.Image), strings.HasPrefix(image, "istio-fleetman-"), nil}
	for _, v := range c.Env {
		found.variables = append(found.variables, v.Name)
	}
	return found
}

func namesIn(objects *manifest.Objects, arm experiment.Arm) (k knownNames) {
	k.pods = map[string]int{}
	for _, d := range manifest.Of[*appsv1.Deployment](objects) {
		k.deployments = append(k.deployments, d.Name)
		if k.pods[bareName(d.Name)] = 1; d.Spec.Replicas != nil {
			k.pods[bareName(d.Name)] = int(*d.Spec.Replicas)
		}
		for i := range d.Spec.Template.Spec.Containers {
			found := containerOf(d, &d.Spec.Template.Spec.Containers[i])
			k.containers = append(k.containers, found)
			k.others = append(k.others, found.image)
		}
	}
	for name, pods := range arm.Pods() {
		k.pods[bareName(name)] = pods
	}
	for _, s := range manifest.Of[*corev1.Service](objects) {
		k.others = append(k.others, s.Name)
	}
	slices.Sort(k.deployments)
	return k
}

func (k knownNames) has(name string) bool {
	bare := func(known string) bool { return bareName(known) == bareName(name) }
	return slices.ContainsFunc(k.deployments, bare) || slices.ContainsFunc(k.others, bare)
}

// onlySends reports whether a service is a program of the fleet that receives no requests.
func (k knownNames) onlySends(service string) bool {
	return slices.ContainsFunc(k.containers, func(c container) bool {
		return (bareName(service) == c.deployment || service == c.image) && c.program != "" && !environ.Receives(c.program)
	})
}

// seedVariables are those on which all that is random in the services depends.
var seedVariables = []string{"SEED", "FAULTS_SEED", "UPSTREAM_SEED"}

// settings are the seed's, and the arm's, which are over them: those for all
// services, then those for one.
func (p plan) settings() (set []local.Setting) {
	for _, name := range seedVariables {
		set = append(set, local.Setting{Name: name, Value: fmt.Sprint(p.seed)})
	}
	add := func(target string, variables map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(variables)) {
			set = append(set, local.Setting{Target: target, Name: name, Value: variables[name]})
		}
	}
	add("", p.arm.Env[experiment.All])
	for _, service := range slices.Sorted(maps.Keys(p.arm.Env)) {
		if service != experiment.All {
			add(service, p.arm.Env[service])
		}
	}
	return set
}

// recorded are the arm's settings as the records have them: the manifests, the
// programs of the mesh, the variables, the patches.
func (p plan) recorded() []string {
	all := slices.Clone([]string(p.arm.Manifests))
	if p.mesh {
		all = append(all, p.o.at.meshPrograms()...)
	}
	for _, service := range slices.Sorted(maps.Keys(p.arm.Replicas)) {
		all = append(all, fmt.Sprintf("%s replicas=%s", service, p.arm.Replicas[service]))
	}
	for _, service := range slices.Sorted(maps.Keys(p.arm.Env)) {
		for _, name := range slices.Sorted(maps.Keys(p.arm.Env[service])) {
			all = append(all, fmt.Sprintf("%s %s=%s", service, name, p.arm.Env[service][name]))
		}
	}
	for _, patch := range p.arm.Patches {
		text, _ := json.Marshal(patch) // it was JSON
		all = append(all, "patch "+string(bytes.TrimSpace(text)))
	}
	return all
}

// publishedVehicles is the number of vehicles without FLEET_SIZE.
const publishedVehicles = 5

// vehicleCount is how many vehicles report, by the environment.
func (p plan) vehicleCount() int {
	count := publishedVehicles
	set := func(name, value string) {
		if n, err := strconv.Atoi(value); name == "FLEET_SIZE" && err == nil {
			count = n
		}
	}
	for _, d := range manifest.Of[*appsv1.Deployment](p.objects) {
		for _, variable := range d.Spec.Template.Spec.Containers[0].Env {
			set(variable.Name, variable.Value)
		}
	}
	for _, s := range p.settings() {
		set(s.Name, s.Value)
	}
	return count
}
