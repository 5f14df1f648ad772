package kube

import (
	"encoding/json"

	"fleetman.example/lab/manifest"
)

// proxyConfig is a ProxyConfig of the manifests. On a cluster the injector reads it when a pod is
// created; istiod does not read it.
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

// covers returns the precedence of the object for a proxy: 3 when it selects the pod, 2 when it is for
// the namespace, 1 when it is for the mesh, 0 when it does not apply.
func (c *proxyConfig) covers(namespace string, labels map[string]string) int {
	switch selector := c.Spec.Selector.MatchLabels; {
	case len(selector) > 0 && c.namespace == namespace && selectedBy(selector, labels):
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

// Concurrency returns the number of worker threads that the ProxyConfigs set for a proxy. 0 means one
// for each core. The ProxyConfig with the highest precedence takes effect, and of several equal ones the
// first. Defaults to 1.
func Concurrency(objects *manifest.Objects, namespace string, labels map[string]string) int {
	configs := proxyConfigs(objects)
	for precedence := 3; precedence > 0; precedence-- {
		for i := range configs {
			if configs[i].covers(namespace, labels) != precedence {
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

// proxyConfigs adds notes about ProxyConfigs that select no proxy, and about fields that Envoy does not
// use.
func (d *deriver) proxyConfigs() {
	for _, c := range proxyConfigs(d.Manifests) {
		used := false
		for i := range d.Pods {
			used = used || d.Pods[i].Proxied && c.covers(d.Pods[i].Namespace, PodLabels(&d.Pods[i])) > 0
		}
		for i := range d.Gateways {
			used = used || c.covers(RootNamespace, d.Gateways[i].Labels()) > 0
		}
		if !used {
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
