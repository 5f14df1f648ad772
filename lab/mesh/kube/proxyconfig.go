package kube

import (
	"encoding/json"

	"fleetman.example/lab/manifest"
)

// proxyConfig is a ProxyConfig of the manifests. istiod does nothing with one:
// on a cluster the injector reads it, when a pod is made.
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

// covers tells whether the object is for a proxy, and how closely: the mesh's,
// the namespace's, the pod's own.
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

// Concurrency is the number of worker threads that ProxyConfigs want for a
// proxy, by Istio's order: the closest that says one counts, and of several
// that are as close the first; 0 is as many as there are cores. It is 1 when
// none says.
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

// proxyConfigs notes what of them is for others than Envoy, and those that no
// proxy heeds.
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
