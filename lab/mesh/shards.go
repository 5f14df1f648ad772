package mesh

import (
	"context"
	"maps"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/kube"
)

// missingEndpoints returns the Services of which an istiod does not have the published version, or the published
// endpoints. With discoverySelectors it returns none: istiod does not read all namespaces.
func (m *Mesh) missingEndpoints(ctx context.Context, i *istiod) ([]string, error) {
	m.mu.Lock()
	manifests, objects := m.manifests, m.objects
	m.mu.Unlock()
	if strings.Contains(configOf(manifests), "discoverySelectors") {
		return nil, nil
	}
	var services []struct {
		Attributes struct{ ServiceRegistry, Name, Namespace string }
		// ResourceVersion is that of the Kubernetes object.
		ResourceVersion string
	}
	if err := i.getJSON(ctx, "/debug/registryz", &services); err != nil {
		return nil, err
	}
	versions := m.api.ServiceVersions()
	for _, s := range services {
		ref := manifest.Object{Kind: "Service", Namespace: s.Attributes.Namespace, Name: s.Attributes.Name}.Ref()
		if s.Attributes.ServiceRegistry == "Kubernetes" && versions[ref] == s.ResourceVersion {
			delete(versions, ref)
		}
	}
	if len(versions) > 0 {
		return slices.Sorted(maps.Keys(versions)), nil
	}
	var shards endpointShards
	if err := i.getJSON(ctx, "/debug/endpointShardz", &shards); err != nil {
		return nil, err
	}
	return shards.missing(objects), nil
}

// endpointShards are the endpoints that istiod has, as its /debug/endpointShardz lists them, keyed by host and namespace.
type endpointShards map[string]map[string]struct {
	Shards map[string][]struct { // by REGISTRY/CLUSTER
		Addresses    []string
		HealthStatus int
	}
}

// healthy is istiod's HealthStatus of an endpoint that is ready.
const healthy = 1

// ready reports whether istiod has an address as a ready endpoint of a Service.
func (s endpointShards) ready(service, namespace, address string) bool {
	for host, of := range s {
		if !strings.HasPrefix(host, service+"."+namespace+".svc.") {
			continue
		}
		for registry, endpoints := range of[namespace].Shards {
			for _, e := range endpoints {
				if strings.HasPrefix(registry, "Kubernetes/") && e.HealthStatus == healthy && slices.Contains(e.Addresses, address) {
					return true
				}
			}
		}
	}
	return false
}

// has reports whether istiod has the addresses of an EndpointSlice in the same state. It ignores a slice without ports
// and one of names.
func (s endpointShards) has(slice *discoveryv1.EndpointSlice) bool {
	if len(slice.Ports) == 0 || slice.AddressType == discoveryv1.AddressTypeFQDN {
		return true
	}
	for _, e := range slice.Endpoints {
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		for _, address := range e.Addresses {
			if s.ready(slice.Labels[discoveryv1.LabelServiceName], slice.Namespace, address) != ready {
				return false
			}
		}
	}
	return true
}

// missing returns the Services whose endpoints, in the EndpointSlices among the objects, istiod does not have. It
// ignores Services that are exported to no namespace, whose endpoints istiod does not follow.
func (s endpointShards) missing(objects []kube.Object) []string {
	found := map[string]bool{}
	hidden := map[string]bool{}
	for _, o := range objects {
		var object metav1.PartialObjectMetadata
		if o["kind"] == "Service" && fromObject(o, &object) && slices.Contains(strings.Split(object.Annotations["networking.istio.io/exportTo"], ","), "~") {
			hidden[object.Namespace+"/"+object.Name] = true
		}
	}
	for _, o := range objects {
		var slice discoveryv1.EndpointSlice
		if o["kind"] != "EndpointSlice" || !fromObject(o, &slice) || s.has(&slice) {
			continue
		}
		if name := slice.Labels[discoveryv1.LabelServiceName]; !hidden[slice.Namespace+"/"+name] {
			found["the endpoints of "+manifest.Object{Kind: "Service", Namespace: slice.Namespace, Name: name}.Ref()] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func fromObject(o kube.Object, into any) bool {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(o, into) == nil
}
