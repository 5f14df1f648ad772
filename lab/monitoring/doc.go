// Package monitoring has what Prometheus and Grafana need: the dashboards of k8s/dashboards, made from tables of
// panels, and the scrape configuration for a fleet on this machine. Each query works on a cluster, too:
// targets have the labels app, pod, namespace and version.
package monitoring
