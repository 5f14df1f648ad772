package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
)

func setCommand(where *places) *cobra.Command {
	var replicas int
	cmd := &cobra.Command{
		Use:   "set DEPLOYMENT [NAME=VALUE...]",
		Short: "Change variables or the number of pods of a Deployment of the running fleet",
		Long: `Change environment variables, or the number of pods, of a Deployment of the running
fleet, over its manifests and until the fleet stops. A variable that the service does not
read is an error; of a program that is not the fleet's, and with up --bin, it is a note.

Pods that change are replaced: the new ones are ready before Services lead to them,
and before the old ones end. The command returns when they have ended. After an error
nothing has changed; that of a pod that does not start has the last lines of its log.

On a cluster the Deployment is changed until the next up or apply.`,
		Example: `  fleetman set staff-service VARIANT=bad
  fleetman set position-tracker RESILIENCE=library
  fleetman set staff-service --replicas 3
  fleetman set --context kind-kind staff-service VARIANT=bad`,
		ValidArgsFunction: completeFirst(where.faultTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := override(args, replicas, cmd.Flags().Changed("replicas"))
			if err != nil {
				return usage.Error{Err: err}
			}
			client, err := where.fleet()
			if err != nil {
				return err
			}
			applied, err := withLostFaults(cmd, client, func() (mesh.Applied, error) { return client.Set(cmd.Context(), o) })
			if err != nil {
				return err
			}
			for _, note := range applied.Notes {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
			}
			if applied.Pods == "" {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing changed")
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s, within %.1f s\n", applied.Pods, applied.Seconds)
			return nil
		},
	}
	cmd.Flags().IntVar(&replicas, "replicas", 0, "number of pods")
	where.addCluster(cmd)
	return cmd
}

// override reads the arguments of set.
func override(args []string, replicas int, scaled bool) (o control.Override, err error) {
	if len(args) == 0 || len(args) == 1 && !scaled {
		return o, fmt.Errorf("fleetman set: must be DEPLOYMENT with NAME=VALUE or --replicas; see fleetman set --help")
	}
	if scaled {
		if replicas < 0 {
			return o, fmt.Errorf("--replicas %d: must be at least 0", replicas)
		}
		o.Replicas = map[string]int{args[0]: replicas}
	}
	for _, text := range args[1:] {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return o, fmt.Errorf("%s: must be NAME=VALUE, such as VARIANT=bad", quoted(text))
		}
		o.Set = append(o.Set, local.Setting{Target: args[0], Name: name, Value: value})
	}
	return o, nil
}
