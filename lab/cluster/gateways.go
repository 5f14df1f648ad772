package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleetman.example/lab/manifest"
)

// OtherGateways returns a line for each host that a Gateway of the manifests shares with a Gateway of another namespace, at
// the same port of the same ingress gateway: the older Gateway receives the requests. Without permission to list Gateways
// it returns none.
func (c *Client) OtherGateways(ctx context.Context, objects *manifest.Objects) ([]string, error) {
	all, err := c.prepare(objects, Change{})
	if err != nil {
		return nil, err
	}
	return c.otherGateways(ctx, all), nil
}

func (c *Client) otherGateways(ctx context.Context, all []*unstructured.Unstructured) (lines []string) {
	ownNamespaces := append([]string{c.namespace}, c.places(all)...)
	var others []unstructured.Unstructured
	for _, o := range all {
		if o.GetKind() != "Gateway" || !isIstio(o.GroupVersionKind().GroupKind()) {
			continue
		}
		if others == nil {
			others = c.allOf(ctx, o)
		}
		for i := range others {
			other := &others[i]
			if slices.Contains(ownNamespaces, other.GetNamespace()) || !maps.Equal(gatewaySelector(o), gatewaySelector(other)) {
				continue
			}
			otherHosts := gatewayHosts(other)
			for _, host := range gatewayHosts(o) {
				if slices.Contains(otherHosts, host) {
					lines = append(lines, fmt.Sprintf("%s: %s has host %s, too, at the same ingress gateway: the older one receives the requests", refOf(o), refOf(other), host))
				}
			}
		}
	}
	return lines
}

// allOf returns the objects of a kind in all namespaces: none if they may not be listed.
func (c *Client) allOf(ctx context.Context, o *unstructured.Unstructured) []unstructured.Unstructured {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil
	}
	list, err := c.dynamic.Resource(mapping.Resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	return list.Items
}

func gatewaySelector(o *unstructured.Unstructured) map[string]string {
	selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector")
	return selector
}

// gatewayHosts returns the hosts of a Gateway with their ports, as HOST:PORT.
func gatewayHosts(o *unstructured.Unstructured) (all []string) {
	servers, _, _ := unstructured.NestedSlice(o.Object, "spec", "servers")
	for _, s := range servers {
		server, _ := s.(map[string]any)
		port, _, _ := unstructured.NestedFieldNoCopy(server, "port", "number")
		hosts, _, _ := unstructured.NestedStringSlice(server, "hosts")
		for _, host := range hosts {
			_, name, ok := strings.Cut(host, "/") // NAMESPACE/HOST limits the VirtualServices
			if !ok {
				name = host
			}
			all = append(all, fmt.Sprintf("%s:%v", name, port))
		}
	}
	return all
}
