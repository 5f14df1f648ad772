package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"fleetman.example/lab/loader"
	"fleetman.example/lab/relay"
	"fleetman.example/lab/usage"
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
		RunE:    serveAt(relay.Serve),
	}
}

// loadCommand is what the lab's image runs in the Jobs of a comparison on a cluster.
func loadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "load ADDRESS",
		Short: "Send a load from inside a pod, for comparisons on a cluster",
		Long: `Listen at an address for one order, send the load that it describes, and keep what
became of each request until it is read. Comparisons on a cluster run it in Jobs.`,
		Example: `  fleetman load 127.0.0.1:15998`,
		Args:    exactly("ADDRESS"),
		Hidden:  true,
		RunE:    serveAt(loader.Serve),
	}
}

// serveAt returns what a command does that serves at the address of its argument.
func serveAt(serve func(context.Context, net.Listener) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if _, _, err := net.SplitHostPort(args[0]); err != nil {
			return usage.Errorf("ADDRESS: %s: must be HOST:PORT", quoted(args[0]))
		}
		listener, err := net.Listen("tcp", args[0])
		if err != nil {
			return fmt.Errorf("ADDRESS: %s: must be free: %w", args[0], err)
		}
		return serve(cmd.Context(), listener)
	}
}
