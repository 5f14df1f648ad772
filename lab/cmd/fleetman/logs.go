package main

import (
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/local"
	"fleetman.example/lab/usage"
)

func logsCommand(where *places) *cobra.Command {
	var o local.LogOptions
	var tail int
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "logs POD|all",
		Short: "Show the log of a pod of the running fleet, or of all",
		Long: `Show the log of a pod of the running fleet, or of all pods.

With a mesh, POD.envoy is the log of the proxy of a pod, which has the access log;
istio-ingressgateway and istiod are logs too, as is istiod-REVISION for the istiod
of another revision, and mesh is all of these.

--since reads the times of lines. A line without a time belongs to the next line
that has one.`,
		Example: `  fleetman logs -f staff-service-0
  fleetman logs --tail 20 --since 30s api-gateway
  fleetman logs --prefix all
  fleetman logs -f staff-service-0.envoy
  fleetman logs --context kind-kind staff-service`,
		Args:              exactly("POD, or all"),
		ValidArgsFunction: completeFirst(where.logNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case tail < -1:
				return usage.Errorf("--tail %d: must be the number of lines, or -1 for all", tail)
			case since < 0 || since == 0 && cmd.Flags().Changed("since"):
				return usage.Errorf("--since %v: must be more than 0s", since)
			}
			if tail >= 0 {
				o.TailLines = &tail
			}
			if since > 0 {
				o.Since = time.Now().Add(-since)
			}
			client, err := where.fleet()
			if err != nil {
				return err
			}
			return client.Logs(cmd.Context(), args[0], o, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.Follow, "follow", "f", false, "follow until Ctrl-C or the end of the fleet")
	flags.BoolVar(&o.Prefix, "prefix", false, "start each line with the name of the pod")
	flags.IntVar(&tail, "tail", -1, "number of lines from the end of each log; -1 is all")
	flags.DurationVar(&since, "since", 0, "show only lines that are newer than this duration, such as 30s")
	where.addCluster(cmd)
	return cmd
}
