package cluster

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/usage"
)

// Labels and annotations of a fleet's objects. The set of objects is an ApplySet (Kubernetes' KEP 3659),
// whose parent is the Secret with the admin token.
const (
	managedBy    = "app.kubernetes.io/managed-by"
	manager      = "fleetman" // also the field manager
	partOfSet    = "applyset.kubernetes.io/part-of"
	setID        = "applyset.kubernetes.io/id"
	setTool      = "applyset.kubernetes.io/tooling"
	setKinds     = "applyset.kubernetes.io/contains-group-kinds"
	setPlaces    = "applyset.kubernetes.io/additional-namespaces"
	manifestsOf  = "fleetman.example/manifests"  // the paths, one a line
	changeOf     = "fleetman.example/change"     // random, of the last up or apply
	injection    = "fleetman.example/injection"  // of a pod template: the namespace's label
	startOf      = "fleetman.example/start"      // of a pod template: Change.Start
	armOf        = "fleetman.example/comparison" // of a namespace: Change.Comparison
	declaredPort = "fleetman.example/node-port-of-"
	adminSecret  = "fleetman-admin"
	tokenKey     = "token"
	ownImages    = "fleetman/"
)

// Change is how a fleet differs from its manifests.
type Change struct {
	// Replicas are numbers of pods, by Deployment.
	Replicas map[string]int `json:"replicas,omitempty"`
	// Set are environment variables.
	Set []local.Setting `json:"set,omitempty"`
	// FreeNodePorts lets the cluster choose the node ports, so that they do not collide with others.
	FreeNodePorts bool `json:"freeNodePorts,omitempty"`
	// Start makes all pods new, unless it has the value of the last start.
	Start string `json:"start,omitempty"`
	// Comparison is the namespace of the comparison that the fleet is an arm of: its Down removes the fleet,
	// too. Empty: none.
	Comparison string `json:"comparison,omitempty"`
}

// fleetID returns the ID of the ApplySet of a namespace.
func fleetID(namespace string) string {
	sum := sha256.Sum256([]byte(adminSecret + "." + namespace + ".Secret."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// prepare returns the objects to apply: in the client's namespace, changed, and labelled. The namespace is
// the first.
func (c *Client) prepare(objects *manifest.Objects, change Change) ([]*unstructured.Unstructured, error) {
	objects, err := objects.In(c.namespace)
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, o := range objects.All {
		one := new(unstructured.Unstructured)
		if err := one.UnmarshalJSON(o.JSON); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", o.Source, o.Ref(), err)
		}
		one.SetNamespace(o.Namespace)
		all = append(all, one)
	}
	if !slices.ContainsFunc(all, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "Namespace" && o.GetName() == c.namespace
	}) {
		all = append(all, namespaceOf(c.namespace))
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return c.order(a) - c.order(b) })
	if err := change.apply(all, c.images); err != nil {
		return nil, err
	}
	injected := map[string]string{}
	for _, o := range all {
		if o.GetKind() == "Namespace" {
			injected[o.GetName()] = o.GetLabels()[manifest.InjectNamespace] + o.GetLabels()[manifest.RevisionLabel]
		}
	}
	for _, o := range all {
		c.label(o, map[string]string{injection: injected[o.GetNamespace()], startOf: change.Start})
	}
	if change.Comparison != "" {
		addLabels(all[0], map[string]string{armOf: change.Comparison})
	}
	return all, nil
}

// order returns the place of an object among those that are applied: what others need comes first, and
// pods come last, so that their proxies start with their rules.
func (c *Client) order(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case "Namespace":
		if o.GetName() == c.namespace {
			return 0
		}
		return 1
	case "ServiceAccount", "Role", "RoleBinding", "Secret", "ConfigMap":
		return 2
	case "Service":
		return 3
	case "Deployment", "Pod", "Job":
		return 5
	}
	return 4
}

// label adds the labels by which the object is found again. A pod template gets annotations, too, because its
// pods must be new when one of them changes: a pod gets its proxy only when it is created.
func (c *Client) label(o *unstructured.Unstructured, ofPod map[string]string) {
	addLabels(o, map[string]string{managedBy: manager, partOfSet: fleetID(c.namespace)})
	template, found, _ := unstructured.NestedMap(o.Object, "spec", "template")
	if !found {
		return
	}
	pod := &unstructured.Unstructured{Object: template}
	addLabels(pod, map[string]string{managedBy: manager})
	maps.DeleteFunc(ofPod, func(_, value string) bool { return value == "" })
	annotate(pod, ofPod)
	_ = unstructured.SetNestedMap(o.Object, pod.Object, "spec", "template") // it was a map before
}

func addLabels(o *unstructured.Unstructured, more map[string]string) {
	o.SetLabels(labels.Merge(o.GetLabels(), more))
}

func annotate(o *unstructured.Unstructured, more map[string]string) {
	if len(more) > 0 {
		o.SetAnnotations(labels.Merge(o.GetAnnotations(), more))
	}
}

// freeNodePorts removes the numbers of node ports, and notes them in annotations.
func freeNodePorts(o *unstructured.Unstructured) {
	ports, found, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
	if !found {
		return
	}
	notes := map[string]string{}
	for _, one := range ports {
		port, _ := one.(map[string]any)
		if number, ok := port["nodePort"]; ok {
			notes[declaredPort+fmt.Sprint(port["port"])] = fmt.Sprint(number)
			delete(port, "nodePort")
		}
	}
	annotate(o, notes)
	_ = unstructured.SetNestedSlice(o.Object, ports, "spec", "ports") // it was one before
}

// apply changes the Deployments and Services among the objects.
func (change Change) apply(all []*unstructured.Unstructured, images string) error {
	replicated, set := map[string]bool{}, map[int]bool{}
	for _, o := range all {
		if o.GetKind() == "Service" && change.FreeNodePorts {
			freeNodePorts(o)
		}
		if o.GetKind() != "Deployment" {
			continue
		}
		for name, count := range change.Replicas {
			if sameService(name, o.GetName()) {
				replicated[name] = true
				_ = unstructured.SetNestedField(o.Object, int64(count), "spec", "replicas")
			}
		}
		if err := change.containers(o, images, set); err != nil {
			return fmt.Errorf("%s: %w", refOf(o), err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(change.Replicas)) {
		if !replicated[name] {
			return usage.Errorf("--replicas %s: must be the name of a Deployment of the manifests", name)
		}
	}
	for n, s := range change.Set {
		if !set[n] {
			return usage.Errorf("--set %s: must be the name of a Deployment or a program of the manifests", s.Target)
		}
	}
	return nil
}

// containers changes the containers of a Deployment, and notes in set which of the variables it has set.
func (change Change) containers(o *unstructured.Unstructured, images string, set map[int]bool) error {
	containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return err
	}
	for i := range containers {
		container, _ := containers[i].(map[string]any)
		if container == nil {
			continue
		}
		image, _ := container["image"].(string)
		for n, s := range change.Set {
			if sameService(s.Target, o.GetName()) || sameService(s.Target, programOf(image)) {
				set[n] = true
				container["env"] = withVariable(container["env"], s)
			}
		}
		if strings.HasPrefix(image, ownImages) {
			container["image"] = images + image
		}
	}
	return unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
}

// withVariable returns the env of a container with one variable set.
func withVariable(env any, s local.Setting) []any {
	list, _ := env.([]any)
	list = slices.DeleteFunc(slices.Clone(list), func(one any) bool {
		variable, _ := one.(map[string]any)
		return variable["name"] == s.Name
	})
	return append(list, map[string]any{"name": s.Name, "value": s.Value})
}

func sameService(a, b string) bool {
	return strings.TrimPrefix(a, "fleetman-") == strings.TrimPrefix(b, "fleetman-")
}

// programOf returns the name of the program in an image: staff-service for fleetman/staff-service:6.
func programOf(image string) string {
	name, _ := nameAndTag(image)
	return name
}

// nameAndTag returns the last part of an image's name, and its tag, which may be empty.
func nameAndTag(image string) (name, tag string) {
	image, _, _ = strings.Cut(image[strings.LastIndex(image, "/")+1:], "@")
	name, tag, _ = strings.Cut(image, ":")
	return name, tag
}

// refOf returns the object's name for messages: "Deployment fleetman/webapp".
func refOf(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// groupKinds returns the kinds of the objects, as the ApplySet's annotation has them.
func groupKinds(all []*unstructured.Unstructured) []string {
	kinds := sets.New("Pod") // helpers
	for _, o := range all {
		kinds.Insert(o.GroupVersionKind().GroupKind().String())
	}
	return sets.List(kinds)
}

// places returns the namespaces of the manifests other than the fleet's own.
func (c *Client) places(all []*unstructured.Unstructured) []string {
	found := sets.New[string]()
	for _, o := range all {
		found.Insert(o.GetNamespace())
		if o.GetKind() == "Namespace" {
			found.Insert(o.GetName())
		}
	}
	return sets.List(found.Delete("", c.namespace))
}

// isIstio reports whether a group is one of Istio's API.
func isIstio(gk schema.GroupKind) bool { return strings.HasSuffix(gk.Group, ".istio.io") }
