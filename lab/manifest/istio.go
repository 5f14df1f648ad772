package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// IstioKind is a kind of Istio's own API. This package does not check the fields
// of such objects: istioctl does.
type IstioKind struct {
	Group, Kind, Plural string
	// Versions are the versions that Istio serves, the stored one first.
	Versions []string
	Short    []string
}

var (
	allOfNetworking = []string{"v1", "v1beta1", "v1alpha3"}
	allOfSecurity   = []string{"v1", "v1beta1"}
	allOfTelemetry  = []string{"v1", "v1alpha1"}
)

// IstioKinds are all kinds of Istio's four API groups.
var IstioKinds = []IstioKind{
	{"networking.istio.io", "VirtualService", "virtualservices", allOfNetworking, []string{"vs"}},
	{"networking.istio.io", "DestinationRule", "destinationrules", allOfNetworking, []string{"dr"}},
	{"networking.istio.io", "Gateway", "gateways", allOfNetworking, []string{"gw"}},
	{"networking.istio.io", "ServiceEntry", "serviceentries", allOfNetworking, []string{"se"}},
	{"networking.istio.io", "Sidecar", "sidecars", allOfNetworking, nil},
	{"networking.istio.io", "WorkloadEntry", "workloadentries", allOfNetworking, []string{"we"}},
	{"networking.istio.io", "WorkloadGroup", "workloadgroups", allOfNetworking, []string{"wg"}},
	{"networking.istio.io", "EnvoyFilter", "envoyfilters", []string{"v1alpha3"}, nil},
	{"networking.istio.io", "ProxyConfig", "proxyconfigs", []string{"v1beta1"}, nil},
	{"security.istio.io", "AuthorizationPolicy", "authorizationpolicies", allOfSecurity, []string{"ap"}},
	{"security.istio.io", "PeerAuthentication", "peerauthentications", allOfSecurity, []string{"pa"}},
	{"security.istio.io", "RequestAuthentication", "requestauthentications", allOfSecurity, []string{"ra"}},
	{"telemetry.istio.io", "Telemetry", "telemetries", allOfTelemetry, nil},
	{"extensions.istio.io", "TrafficExtension", "trafficextensions", []string{"v1alpha1"}, nil},
	{"extensions.istio.io", "WasmPlugin", "wasmplugins", []string{"v1alpha1"}, nil},
}

// GatewayGroup is the group of the kinds of Gateway API.
const GatewayGroup = "gateway.networking.k8s.io"

// GatewayKinds are the kinds of Gateway API that a mesh applies, in the versions of its standard channel.
var GatewayKinds = []IstioKind{
	{GatewayGroup, "GatewayClass", "gatewayclasses", []string{"v1", "v1beta1"}, []string{"gc"}},
	{GatewayGroup, "Gateway", "gateways", []string{"v1", "v1beta1"}, []string{"gtw"}},
	{GatewayGroup, "HTTPRoute", "httproutes", []string{"v1", "v1beta1"}, nil},
	{GatewayGroup, "GRPCRoute", "grpcroutes", []string{"v1"}, nil},
	{GatewayGroup, "ReferenceGrant", "referencegrants", []string{"v1beta1"}, []string{"refgrant"}},
}

// IsRule reports whether the object belongs to an API that a mesh applies: one of Istio's, or Gateway API.
func (o Object) IsRule() bool {
	return isRule(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).Group)
}

func isRule(group string) bool { return strings.HasSuffix(group, ".istio.io") || group == GatewayGroup }

// checkRule refuses what checkIstio and checkLists refuse of an object of a mesh.
func checkRule(gvk schema.GroupVersionKind, data []byte) error {
	if err := checkIstio(gvk); err != nil || !isRule(gvk.Group) {
		return err
	}
	return checkLists(gvk.Kind, data)
}

// checkIstio refuses a misspelt kind, or a version that Istio does not serve, in
// one of the groups of IstioKinds. It accepts every other group.
func checkIstio(gvk schema.GroupVersionKind) error {
	i := slices.IndexFunc(IstioKinds, func(k IstioKind) bool { return k.Group == gvk.Group && k.Kind == gvk.Kind })
	switch {
	case i < 0 && slices.ContainsFunc(IstioKinds, func(k IstioKind) bool { return k.Group == gvk.Group }):
		return fmt.Errorf("kind: %s: must be a kind of %s", gvk.Kind, gvk.GroupVersion())
	case i >= 0 && !slices.Contains(IstioKinds[i].Versions, gvk.Version):
		return fmt.Errorf("apiVersion: %s: must be of version %s", gvk.GroupVersion(), strings.Join(IstioKinds[i].Versions, ", "))
	}
	return nil
}
