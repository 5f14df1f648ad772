package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"fleetman.example/lab/relay"
)

// relayCommand is what the lab's image runs in helpers on a cluster.
func relayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "relay ADDRESS",
		Short: "Relay connections from inside a pod, for checks on a cluster",
		Long: `Listen at an address, and connect each caller to the target of its CONNECT request.
The checks on a cluster run it in pods, whose requests they send.`,
		Example: `  fleetman relay 127.0.0.1:15999`,
		Args:    exactly("ADDRESS"),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			listener, err := net.Listen("tcp", args[0])
			if err != nil {
				return fmt.Errorf("ADDRESS: %s: must be free: %w", args[0], err)
			}
			return relay.Serve(cmd.Context(), listener)
		},
	}
}
