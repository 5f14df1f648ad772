package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
)

func faultCommand(where *places) *cobra.Command {
	var clear, show bool
	cmd := &cobra.Command{
		Use:   "fault SERVICE|POD 'RULES'",
		Short: "Make pods of the running fleet misbehave exactly as told",
		Long: `Make all pods behind a Service, or one pod, of the running fleet misbehave exactly
as told. The rules take the place of those that were there, until they are
cleared or the pod restarts.

  fleetman fault staff-service-0 'delay=0s..5s;status=502,rate=0.5'
  fleetman fault staff-service 'status=502,method=GET,for=30s'
  fleetman fault --show
  fleetman fault staff-service --clear
  fleetman fault --clear

Rules are separated by ;, their fields by a comma. A rule has one of delay=2s,
delay=0s..5s, status=502 (retry-after=3s), reset, hang, truncate, truncate=100,
slow=20 (bytes a second), crash, and any of rate=0.5, method=GET, path=/driver/,
header=Name:value, after=10s, for=10s, every=1m, count=3.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var change func(context.Context, *faults.Client, local.Pod) (faults.State, error)
			get := func(ctx context.Context, c *faults.Client, pod local.Pod) (faults.State, error) {
				return c.Get(ctx, pod)
			}
			switch {
			case clear && show:
				return usageError{errors.New("fleetman fault: --clear or --show is expected, not both")}
			case show && len(args) <= 1:
				change = get
			case clear && len(args) <= 1:
				change = func(ctx context.Context, c *faults.Client, pod local.Pod) (faults.State, error) {
					return c.Clear(ctx, pod)
				}
			case !clear && !show && len(args) == 2 && strings.TrimSpace(args[1]) != "":
				change = func(ctx context.Context, c *faults.Client, pod local.Pod) (faults.State, error) {
					return c.Set(ctx, pod, args[1])
				}
			default:
				return usageError{errors.New("fleetman fault: SERVICE or POD and one argument of RULES, or one of --clear and --show, is expected; see fleetman fault --help")}
			}
			pods, err := runningPods(cmd.Context(), where)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				pods = takesRequests(pods)
			} else if pods, err = faults.Find(pods, args[0]); err != nil {
				return err
			}
			return eachPod(cmd.Context(), pods, change, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&clear, "clear", false, "end all faults of all pods, or of SERVICE or POD")
	cmd.Flags().BoolVar(&show, "show", false, "show the rules in force, of all pods or of SERVICE or POD, and how often each matched a request and fired")
	cmd.AddCommand(verifyCommand(where))
	return cmd
}

func runningPods(ctx context.Context, where *places) ([]local.Pod, error) {
	var client *control.Client
	client, err := connect(where)
	if err != nil {
		return nil, err
	}
	status, err := client.Status(ctx)
	return status.Pods, err
}

// takesRequests are the pods that have faults.
func takesRequests(pods []local.Pod) (serving []local.Pod) {
	for _, pod := range pods {
		if pod.Port != 0 {
			serving = append(serving, pod)
		}
	}
	return serving
}

// eachPod asks or tells every pod and shows its rules.
func eachPod(ctx context.Context, pods []local.Pod, call func(context.Context, *faults.Client, local.Pod) (faults.State, error), w io.Writer) error {
	var client faults.Client
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POD\tMATCHED\tFIRED\tRULE")
	for _, pod := range pods {
		state, err := call(ctx, &client, pod)
		if err != nil {
			return err
		}
		if len(state.Rules) == 0 {
			fmt.Fprintf(table, "%s\t-\t-\tnone\n", pod.Name)
		}
		for _, r := range state.Rules {
			fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", pod.Name, r.Matched, r.Fired, r.Rule)
		}
	}
	return table.Flush()
}

func verifyCommand(where *places) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [SERVICE|POD]",
		Short: "Check of every kind of fault that what is set is what is injected and what a caller sees",
		Long: `Set every kind of fault in one pod (the first of staff-service, or of SERVICE),
meet it as a caller, and compare how often it was set to happen, how often the pod
counted it and how often the caller saw it. With a mesh it does so twice: at the
program's own port, and through the pod's proxy, where a reset and a crash are a
503 of Envoy's. Nobody else's requests meet these faults, but each time the pod
crashes once. The rules that were there are in force again at the end.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s: one SERVICE or POD at most is expected, not %d", cmd.CommandPath(), len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "staff-service"
			if len(args) == 1 {
				name = args[0]
			}
			pods, err := runningPods(cmd.Context(), where)
			if err != nil {
				return err
			}
			found, err := faults.Find(pods, name)
			if err != nil {
				return err
			}
			return verify(cmd.Context(), where, found[0].Name, cmd.OutOrStdout())
		},
	}
}

func verify(ctx context.Context, where *places, pod string, w io.Writer) error {
	now := func(ctx context.Context) (local.Pod, error) {
		pods, err := runningPods(ctx, where)
		if err != nil {
			return local.Pod{}, err
		}
		found, err := faults.Find(pods, pod)
		if err != nil {
			return local.Pod{}, err
		}
		return found[0], nil
	}
	checks, note, err := faults.Verifier{Client: &faults.Client{}, Pod: now}.Run(ctx)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KIND\tVIA\tSET\tINJECTED\tSEEN\tVERDICT")
	wrong := 0
	for _, c := range checks {
		verdict := "ok"
		if !c.OK() {
			verdict = c.Problem
			wrong++
		}
		via := "-"
		if c.Proxied {
			via = "proxy"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", c.Kind, via, c.Set, c.Injected, c.Seen, verdict)
	}
	table.Flush()
	if note != "" {
		fmt.Fprintln(w, note)
	}
	switch {
	case err != nil:
		return err
	case wrong > 0:
		return fmt.Errorf("fault verify: %d of %d checks do not have what was set", wrong, len(checks))
	}
	return nil
}
