package kube

import (
	"encoding/json"

	"fleetman.example/lab/manifest"
)

// proxyConfig is a ProxyConfig of the manifests. istiod does not read it: on a
// cluster the injector does, when it creates a pod.
type proxyConfig struct {
	ref       string
	namespace string
	Spec      struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Concurrency          *int              `json:"concurrency"`
		EnvironmentVariables map[string]string `json:"environmentVariables"`
		Image                map[string]any    `json:"image"`
	} `json:"spec"`
}

func proxyConfigs(objects *manifest.Objects) []proxyConfig {
	var found []proxyConfig
	for _, o := range objects.All {
		c := proxyConfig{ref: o.Ref(), namespace: o.Namespace}
		if o.Kind == "ProxyConfig" && json.Unmarshal(o.JSON, &c) == nil {
			found = append(found, c)
		}
	}
	return found
}

// covers returns how closely the object is for a proxy: 3 for its pod's, 2 for
// its namespace's, 1 for the mesh's, 0 for none.
func (c *proxyConfig) covers(namespace string, labels map[string]string) int {
	switch selector := c.Spec.Selector.MatchLabels; {
	case len(selector) > 0 && c.namespace == namespace && selectedBy(anyMap(selector), labels):
		return 3
	case len(selector) > 0:
		return 0
	case c.namespace == namespace:
		return 2
	case c.namespace == RootNamespace:
		return 1
	}
	return 0
}

// Concurrency is the number of worker threads that ProxyConfigs set for a proxy.
// By Istio's order the closest one that sets it counts, and of several as close
// the first; 0 is one for each core. Defaults to 1.
func Concurrency(objects *manifest.Objects, namespace string, labels map[string]string) int {
	configs := proxyConfigs(objects)
	for close := 3; close > 0; close-- {
		for i := range configs {
			if configs[i].covers(namespace, labels) != close {
				continue
			}
			if workers := configs[i].Spec.Concurrency; workers != nil {
				return *workers
			}
			break
		}
	}
	return 1
}

// proxyConfigs notes their fields that are not for Envoy, and those that select
// no proxy.
func (d *deriver) proxyConfigs() {
	for _, c := range proxyConfigs(d.Manifests) {
		heeded := false
		for i := range d.Pods {
			heeded = heeded || d.Pods[i].Proxied && c.covers(d.Pods[i].Namespace, PodLabels(&d.Pods[i])) > 0
		}
		for i := range d.Gateways {
			heeded = heeded || c.covers(RootNamespace, d.Gateways[i].Labels()) > 0
		}
		if !heeded {
			d.note("%s: not applied: it selects no proxy", c.ref)
		}
		if len(c.Spec.EnvironmentVariables) > 0 {
			d.note("%s: spec.environmentVariables: not applied: they are for Istio's agent, and none runs here", c.ref)
		}
		if len(c.Spec.Image) > 0 {
			d.note("%s: spec.image: not applied: all proxies are the same program", c.ref)
		}
	}
}
