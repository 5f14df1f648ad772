package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

func meshCommand(where *places) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mesh",
		Short: "Look at the mesh of the running fleet",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("no command %q; see fleetman mesh --help", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	var asJSON bool
	status := &cobra.Command{
		Use:   "status",
		Short: "Show for each proxy whether it is in step, what it rejected, retried and ejected",
		Long: `Show for each proxy whether it has accepted istiod's last word, which updates it
rejected and which hosts its outlier detection has shut out; and for each upstream
that it has sent requests to, since it started: tries, retries and those of them
that came to a good end, what the circuit breaker's limits refused, ejections.

A proxy that does not answer within two seconds is not ready.

The exit code is 1 when something is rejected, out of step or not applied.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := connect(where)
			if err != nil {
				return err
			}
			status, err := client.Mesh(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(status); err != nil {
					return fmt.Errorf("mesh status: %w", err)
				}
			} else {
				printMesh(cmd.OutOrStdout(), &status)
			}
			if !status.Good() {
				return errors.New("the mesh is not in order")
			}
			return nil
		},
	}
	status.Flags().BoolVar(&asJSON, "json", false, "as JSON, with process ids, addresses and log files")
	cmd.AddCommand(status)
	return cmd
}

func printMesh(w io.Writer, status *mesh.Status) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROXY OF\tADMIN\tREADY\tSYNCED\tREJECTED\tEJECTED\tRESTARTS")
	for _, p := range status.Proxies {
		fmt.Fprintf(table, "%s\thttp://%s\t%s\t%s\t%d\t%d\t%d\n", p.Name, p.Admin, yesNo(p.Ready), yesNo(p.Synced), len(p.Rejected), len(p.Ejected), p.Restarts)
	}
	table.Flush()
	fmt.Fprintln(w)
	fmt.Fprintln(table, "PROXY OF\tUPSTREAM\tTRIES\tRETRIES\tGOOD ONES\tOVERFLOW\tEJECTIONS")
	for _, p := range status.Proxies {
		for _, u := range p.Upstreams {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", p.Name, mesh.Upstream(u.Cluster), u.Tries, u.Retries, u.RetrySuccess, u.Overflow, u.Ejections)
		}
	}
	table.Flush()
	fmt.Fprintln(w)
	for _, p := range status.Proxies {
		if p.State != "running" {
			fmt.Fprintf(w, "%s: its proxy is %s\n", p.Name, p.State)
		}
		for _, why := range p.Rejected {
			fmt.Fprintf(w, "%s rejected: %s\n", p.Name, why)
		}
		for _, host := range p.Ejected {
			fmt.Fprintf(w, "%s ejected: %s\n", p.Name, host)
		}
	}
	for _, object := range status.Istiod.NotApplied {
		fmt.Fprintf(w, "not applied: %s\n", object)
	}
	for _, f := range status.Failures {
		fmt.Fprintf(w, "%s ERROR %s: %s\n", f.Time.Format("15:04:05.000"), f.Proxy, f.Why)
	}
	ready := "ready"
	if !status.Istiod.Ready {
		ready = "not ready, " + status.Istiod.State
	}
	fmt.Fprintf(w, "istiod: %s, %d restarts\n", ready, status.Istiod.Restarts)
	fmt.Fprintf(w, "kubectl and istioctl: export KUBECONFIG=%s\nistioctl of this version: %s\n", shellQuote(status.Kubeconfig), shellQuote(status.Istioctl))
	fmt.Fprintln(w, "all that a proxy counts, for Prometheus: ADMIN/stats/prometheus")
}

// shellQuote makes a path one word of a shell.
func shellQuote(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+~", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func applyCommand(where *places) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "apply DIR|FILE...",
		Short: "Make these manifests the running mesh's, all of them or none",
		Long: `Make these manifests the running mesh's: what is not in them any more is taken
away. It returns when every proxy has its new configuration.

What Istio refuses is refused whole and the old state stays; so is what would
change pods, Services or namespaces, for which the fleet has to be started anew.

With --watch it goes on until Ctrl-C and applies them again whenever one of these
files, or one below these directories, is saved. What is refused is shown, and the
next change is waited for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("fleetman apply: one DIR or FILE at least is expected")}
			}
			for i, path := range args {
				absolute, err := filepath.Abs(path)
				if err != nil {
					return fmt.Errorf("apply: %w", err)
				}
				args[i] = absolute
			}
			client, err := connect(where)
			if err != nil {
				return err
			}
			once := func() error {
				applied, err := client.Apply(cmd.Context(), args)
				if err == nil {
					printApplied(cmd.OutOrStdout(), applied)
				}
				return err
			}
			if !watch {
				return once()
			}
			saved := manifest.Watch(args)
			for {
				if err := once(); err != nil && cmd.Context().Err() == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "fleetman: %v\n", err)
				}
				if !saved(cmd.Context()) {
					return nil
				}
			}
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "apply them again at every change, until Ctrl-C")
	return cmd
}

func printApplied(w io.Writer, applied mesh.Applied) {
	for _, note := range applied.Notes {
		fmt.Fprintln(w, note)
	}
	if len(applied.Changed) == 0 {
		fmt.Fprintln(w, "nothing changed")
		return
	}
	fmt.Fprintf(w, "%s; in every proxy after %.1f s\n", strings.Join(applied.Changed, ", "), applied.Seconds)
}
