package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
)

// connect finds the running fleet's socket.
func connect(where *places) (*control.Client, error) {
	if err := where.find(); err != nil {
		return nil, err
	}
	return control.NewClient(where.state)
}

func podsCommand(where *places) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pods",
		Short: "Show the pods of the running fleet",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := connect(where)
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(status)
			}
			printStatus(cmd.OutOrStdout(), status)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, with process ids and log files")
	return cmd
}

func logsCommand(where *places) *cobra.Command {
	var follow, prefix bool
	cmd := &cobra.Command{
		Use:   "logs POD|all",
		Short: "Show the log of a pod of the running fleet, or of all",
		Long: `Show the log of a pod of the running fleet, or of all pods.

With a mesh: POD.envoy is the log of a pod's proxy, with a line a request;
istio-ingressgateway and istiod have theirs, and mesh is all of these.`,
		Args: exactly("POD, or all,"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := connect(where)
			if err != nil {
				return err
			}
			return client.Logs(cmd.Context(), args[0], follow, prefix, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until Ctrl-C or the fleet's end")
	cmd.Flags().BoolVar(&prefix, "prefix", false, "start each line with the pod's name")
	return cmd
}

func killCommand(where *places) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "kill POD",
		Short: "Send a signal to a pod of the running fleet; it is started again when it ends",
		Long: `Send a signal to a pod's process; it is started again when it ends.

TERM ends it as deleting a pod does on a cluster: it leaves the endpoints, its
preStop sleep passes, then it may drain for its grace period. Every other signal
is sent at once.`,
		Args: exactly("POD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := parseSignal(name)
			if err != nil {
				return usageError{err}
			}
			client, err := connect(where)
			if err != nil {
				return err
			}
			did, err := client.Kill(cmd.Context(), args[0], sig)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), did)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "signal", "TERM", "TERM, KILL, INT, HUP, QUIT, ABRT, USR1, USR2, STOP, CONT or a number")
	return cmd
}

var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
	"ABRT": syscall.SIGABRT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}

func parseSignal(text string) (syscall.Signal, error) {
	if number, err := strconv.Atoi(text); err == nil && number >= 1 && number <= 64 {
		return syscall.Signal(number), nil
	}
	if sig, ok := signals[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return sig, nil
	}
	var known []string
	for name := range signals {
		known = append(known, name)
	}
	slices.Sort(known)
	return 0, fmt.Errorf("--signal %q: a number from 1 to 64 or one of %s is expected", text, strings.Join(known, ", "))
}
