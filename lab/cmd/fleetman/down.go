package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
)

func downCommand(where *places) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the running fleet, and wait until it is gone",
		Long: `End the running fleet as Ctrl-C of fleetman up does, and wait until all its
processes are gone. A fleet that is still starting is ended too. The exit code is
0 when no fleet runs.

On a cluster, remove all objects that fleetman up has applied, and the namespaces that
it has made, and wait until they are gone: those of a comparison's arms, too. Nothing
else is removed.`,
		Example: `  fleetman down
  fleetman down --state /tmp/second
  fleetman down --context kind-kind`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if where.onCluster() {
				return downOnCluster(cmd, where)
			}
			client, err := where.connect()
			if err != nil {
				return err
			}
			process, err := local.Owner(where.state)
			if err != nil {
				return err
			}
			if process == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "no fleet runs in %s\n", where.state)
				return nil
			}
			err = client.Stop(cmd.Context())
			if errors.Is(err, control.ErrNoFleet) { // it is starting, or has almost ended
				err = syscall.Kill(process, syscall.SIGTERM)
			}
			if err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end the fleet: %w", err)
			}
			if err := local.AwaitUnlocked(cmd.Context(), where.state); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "ended the fleet of %s (process %d)\n", where.state, process)
			return nil
		},
	}
	where.addCluster(cmd)
	return cmd
}
