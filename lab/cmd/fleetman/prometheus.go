package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/monitoring"
	"fleetman.example/lab/usage"
)

func prometheusConfigCommand(where *places) *cobra.Command {
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "prometheus-config",
		Short: "Print a Prometheus configuration that scrapes the running fleet",
		Long: `Print a configuration of Prometheus with the admin listeners of the running fleet's
services and, with a mesh, the statistics of its proxies, under the labels that
the dashboards and alerts of k8s/dashboards use. Print it again after pods have
started or ended, as with fleetman apply.`,
		Example: `  fleetman prometheus-config >prometheus.yml
  prometheus --config.file=prometheus.yml --web.listen-address=127.0.0.1:9091`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < time.Second {
				return usage.Errorf("--interval %v: must be at least 1s", interval)
			}
			status, err := where.statusWithMesh(cmd.Context())
			if err != nil {
				return err
			}
			var proxies []mesh.ProxyStatus
			if status.Mesh != nil {
				proxies = status.Mesh.Proxies
			}
			text, err := yaml.Marshal(monitoring.ScrapeConfig(status.Pods, proxies, interval, where.root))
			if err != nil {
				return fmt.Errorf("print the configuration: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", 5*time.Second, "time between two scrapes of a target")
	return cmd
}
