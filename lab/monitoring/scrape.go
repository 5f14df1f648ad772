package monitoring

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
)

// scrapeJob is a scrape_config of Prometheus.
type scrapeJob struct {
	Name          string         `json:"job_name"`
	Path          string         `json:"metrics_path,omitempty"`
	StaticConfigs []staticConfig `json:"static_configs"`
}

type staticConfig struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// ScrapeConfig returns a configuration of Prometheus, for YAML, that scrapes a fleet on this machine. root is the
// root of the repository, which has the rule files; if it is empty, the configuration has no rules.
func ScrapeConfig(fleet []local.Pod, proxies []mesh.ProxyStatus, interval time.Duration, root string) map[string]any {
	pods := map[string]local.Pod{}
	services := scrapeJob{Name: "services"}
	for _, pod := range fleet {
		pods[pod.Name] = pod
		services.StaticConfigs = append(services.StaticConfigs, staticConfig{[]string{faults.Admin(pod)}, targetLabels(pod)})
	}
	jobs, rules := []scrapeJob{services}, []string{"alerts.yaml"}
	if len(proxies) > 0 {
		job := scrapeJob{Name: "proxies", Path: "/stats/prometheus"}
		for _, proxy := range proxies {
			pod, ok := pods[proxy.Name]
			if !ok { // a gateway
				pod = local.Pod{Name: proxy.Name, Namespace: proxy.Namespace, Deployment: proxy.Name}
			}
			job.StaticConfigs = append(job.StaticConfigs, staticConfig{[]string{proxy.Admin}, targetLabels(pod)})
		}
		jobs, rules = append(jobs, job), append(rules, "istio-names.yaml")
	}
	every := fmt.Sprintf("%dms", interval.Milliseconds())
	config := map[string]any{
		"global":         map[string]any{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
		"scrape_configs": jobs,
	}
	if root != "" {
		for i := range rules {
			rules[i] = filepath.Join(root, "k8s", "dashboards", rules[i])
		}
		config["rule_files"] = rules
	}
	return config
}

// targetLabels returns the labels that k8s/components/telemetry gives to a pod on a cluster, and the name of its
// Deployment, which istio-names.yaml uses.
func targetLabels(pod local.Pod) map[string]string {
	labels := map[string]string{"namespace": pod.Namespace, "pod": pod.Name, "workload": pod.Deployment, "app": cmp.Or(pod.Labels["app"], pod.Deployment)}
	if version := pod.Labels["version"]; version != "" {
		labels["version"] = version
	}
	return labels
}
