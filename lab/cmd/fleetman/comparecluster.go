//go:build !local

package main

import (
	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/usage"
)

// checkPlace returns an error for a flag that does not go together with the place of the fleets.
func (f compareFlags) checkPlace(cmd *cobra.Command, where *places) error {
	if err := where.checkFlags(cmd, []string{"images", "dry-run", "yes", "load-jobs", "parallel"}, []string{"network", "bin"}); err != nil {
		return err
	}
	if cmd.Flags().Changed("load-jobs") && f.jobs < 1 {
		return usage.Errorf("--load-jobs %d: must be at least 1", f.jobs)
	}
	return nil
}

// runOnCluster is run on a cluster.
func (f compareFlags) runOnCluster(cmd *cobra.Command, where *places, o compare.Options) error {
	where.cluster.Command = "compare"
	where.cluster.Progress = nil // compare prints its own
	client, err := where.connectCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	if f.cluster.dryRun {
		arms, err := o.Manifests()
		if err != nil {
			return usage.Error{Err: err}
		}
		return client.PlanComparison(arms, o.Experiment.Load.From != "", cmd.OutOrStdout())
	}
	if o.Cluster, err = compare.NewCluster(cmd.Context(), client); err != nil {
		return interrupted(cmd.Context(), err, nil)
	}
	o.Cluster.Parallel = f.parallel
	o.Cluster.Agree = func(objects []string) error { return f.cluster.agree(cmd, objects) }
	return f.run(cmd.Context(), where, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
}
