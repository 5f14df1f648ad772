//go:build !local

package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"fleetman.example/lab/console"
	"fleetman.example/lab/usage"
)

func consoleCommand(where *places) *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the console of a fleet on a cluster until Ctrl-C",
		Long: `Serve the console of a fleet on a cluster, on this machine and until Ctrl-C: a page
that shows the fleet, its breakers and ejections, and changes it. It reads pods and
proxies by port-forward, and only while a page is open.

A fleet on this machine has its console from fleetman up.`,
		Example: `  fleetman console --context kind-kind
  fleetman console --context kind-kind --namespace team --console-port 8090`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !where.onCluster() {
				return usage.Error{Err: errors.New("--context: missing: must be the name of a context of the kubeconfig; a fleet on this machine has its console from fleetman up")}
			}
			if err := checkPort("console-port", port); err != nil {
				return usage.Error{Err: err}
			}
			_ = where.find() // without the repository there are no lessons
			return serveCluster(cmd, where, port)
		},
	}
	cmd.Flags().IntVar(&port, "console-port", console.Port, "port of the page; 0 is a free one")
	where.addCluster(cmd)
	return cmd
}

// serveCluster serves the console of a fleet on a cluster until the command's context ends.
func serveCluster(cmd *cobra.Command, where *places, port int) error {
	client, err := where.connectCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Reach(cmd.Context()); err != nil {
		return err
	}
	if _, _, err := client.InForce(cmd.Context()); err != nil { // no fleet
		return err
	}
	listener, err := console.Listen(netip.MustParseAddr("127.0.0.1"), port)
	if err != nil {
		return err
	}
	source := console.NewCluster(client, client.Flags(), where.scenarios())
	defer source.Close()
	server, err := console.Serve(listener, source, nil)
	if errors.Is(err, console.ErrNotBuilt) {
		return fmt.Errorf("%w, then make build or make install", err)
	}
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Fprintf(cmd.OutOrStdout(), "console: %s\n", server.URL())
	fmt.Fprintln(cmd.ErrOrStderr(), "Ctrl-C ends it")
	<-cmd.Context().Done()
	return nil
}
