package local

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fleetman.example/lab/manifest"
)

// LeftOut returns one line for each reason for which objects have no effect here.
// Istio's objects have an effect with a mesh.
func LeftOut(objects *manifest.Objects, mesh bool) []string {
	lines := slices.Concat(objects.Notes, notOfTheFleet(objects))
	byKind := map[string][]string{}
	for _, object := range objects.All {
		if !applied(object, mesh) {
			byKind[object.Kind] = append(byKind[object.Kind], strings.TrimPrefix(object.Ref(), object.Kind+" "))
		}
	}
	if len(byKind) == 0 {
		return lines
	}
	var kinds []string
	for kind, names := range byKind {
		kinds = append(kinds, kind+" "+strings.Join(names, ", "))
	}
	slices.Sort(kinds)
	return append(lines, "not applied here: "+strings.Join(kinds, "; "))
}

// applied reports whether an object has an effect here, or needs none.
func applied(object manifest.Object, mesh bool) bool {
	if mesh && object.IsRule() {
		return true // the mesh itself names those that it cannot apply
	}
	switch typed := object.Typed.(type) {
	case *corev1.ConfigMap:
		return mesh || !manifest.IsMeshConfig(object.Kind, object.Namespace, object.Name)
	case *appsv1.Deployment, *corev1.Secret, *corev1.ServiceAccount, *corev1.Namespace:
		return true
	case *policyv1.PodDisruptionBudget: // nobody drains this machine
		return true
	case *corev1.Service:
		return mesh || len(typed.Spec.Selector) > 0 && typed.Spec.Type != corev1.ServiceTypeExternalName
	}
	return false
}

// notOfTheFleet returns one line for each reason for which objects are left out,
// with their names, or with their number when there are many.
func notOfTheFleet(objects *manifest.Objects) []string {
	const most = 3
	type group struct{ refs, sources []string }
	byReason := map[string]*group{}
	for _, object := range objects.LeftOut {
		g := byReason[object.LeftOut]
		if g == nil {
			g = &group{}
			byReason[object.LeftOut] = g
		}
		g.refs = append(g.refs, object.Ref())
		if !slices.Contains(g.sources, object.Source) {
			g.sources = append(g.sources, object.Source)
		}
	}
	var lines []string
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		g := byReason[reason]
		what := strings.Join(g.refs, ", ")
		if len(g.refs) > most {
			what = fmt.Sprintf("%d objects", len(g.refs))
		}
		lines = append(lines, fmt.Sprintf("left out: %s of %s: %s", what, strings.Join(g.sources, ", "), reason))
	}
	return lines
}

// selectingNone names the Services whose selector matches no pod. That is not an
// error: on a cluster the pods may be created later.
func selectingNone(services []*corev1.Service, fleet deploymentSet) []string {
	var none []string
	for _, s := range services {
		selector := labels.SelectorFromSet(s.Spec.Selector)
		if !selector.Empty() && !slices.ContainsFunc(fleet, func(d *deployment) bool {
			return namespaceOf(d.object.Namespace) == namespaceOf(s.Namespace) && selector.Matches(labels.Set(d.object.Spec.Template.Labels))
		}) {
			none = append(none, fmt.Sprintf("%s (%s)", ref(s), selector))
		}
	}
	if len(none) == 0 {
		return nil
	}
	return []string{"selects no pod: " + strings.Join(none, ", ")}
}

// partsLeftOut names the parts of pods that a process does not have.
func partsLeftOut(fleet deploymentSet) []string {
	var commands, parts []string
	for _, deployment := range fleet {
		d := deployment.object
		spec := d.Spec.Template.Spec
		if c := spec.Containers[0]; len(c.Command)+len(c.Args) > 0 {
			commands = append(commands, d.Name)
		}
		if c := spec.Containers[0]; c.Lifecycle != nil && (c.Lifecycle.PostStart != nil || c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep == nil) {
			parts = append(parts, d.Name+": lifecycle hooks other than preStop.sleep")
		}
		for _, c := range spec.InitContainers {
			parts = append(parts, d.Name+": init container "+c.Name)
		}
		for _, v := range spec.Volumes {
			if v.EmptyDir == nil {
				parts = append(parts, d.Name+": volume "+v.Name)
			}
		}
	}
	var notes []string
	if len(commands) > 0 {
		notes = append(notes, "command and args not applied, an image stands for its program here: "+strings.Join(commands, ", "))
	}
	if len(parts) > 0 {
		notes = append(notes, "not applied here: "+strings.Join(parts, "; "))
	}
	return notes
}

// notHere names the fields of Services that nothing here applies.
func notHere(services []*corev1.Service) []string {
	var notes []string
	for _, s := range services {
		if affinity := s.Spec.SessionAffinity; affinity != "" && affinity != corev1.ServiceAffinityNone {
			notes = append(notes, fmt.Sprintf("%s: spec.sessionAffinity: %s: not applied here", ref(s), affinity))
		}
		for i, port := range s.Spec.Ports {
			if !isTCP(port) {
				notes = append(notes, fmt.Sprintf("%s: spec.ports[%d].protocol: %s: not applied here: programs listen on TCP", ref(s), i, port.Protocol))
			}
		}
	}
	return notes
}

func isTCP(port corev1.ServicePort) bool {
	return port.Protocol == "" || port.Protocol == corev1.ProtocolTCP
}

// missing names what a cluster needs and the manifests do not have: without its
// namespace nothing is created, without its service account no pod.
func missing(objects *manifest.Objects, fleet deploymentSet) []string {
	there := map[string]bool{}
	for _, object := range objects.All {
		there[object.Ref()] = true
	}
	var absent []string
	need := func(kind, namespace, name string) {
		object := manifest.Object{Kind: kind, Namespace: namespace, Name: name}
		if name != "" && name != "default" && !there[object.Ref()] && !slices.Contains(absent, object.Ref()) {
			absent = append(absent, object.Ref())
		}
	}
	for _, d := range fleet {
		namespace := namespaceOf(d.object.Namespace)
		need("Namespace", "", namespace)
		need("ServiceAccount", namespace, d.object.Spec.Template.Spec.ServiceAccountName)
	}
	if len(absent) == 0 {
		return nil
	}
	return []string{"not in the manifests, and a cluster must have it: " + strings.Join(absent, ", ")}
}
