package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/usage"
)

func faultCommand(where *places) *cobra.Command { //nolint:funlen,gocyclo // a list of flags, their help, and which of them go together
	var clear, show bool
	var o output
	cmd := &cobra.Command{
		Use:   "fault SERVICE|POD 'RULES'",
		Short: "Set, show and clear the faults of pods of the running fleet",
		Long: `Set faults in all pods of a Service, or in one pod, of the running fleet. The rules
replace earlier ones, and are in force until they are cleared or the pod restarts.

Rules are separated by ;, their fields by a comma. A rule has one of delay=2s,
delay=0s..5s, status=502 (retry-after=3s), reset, hang, truncate, truncate=100,
slow=20 (bytes a second), capacity=100 (queue=20), idle=5s, crash, and any of
rate=0.5, rate=0..1 (over=1m), method=GET, path=/driver/, header=Name:value,
after=10s, for=10s, every=1m, count=3.

A rule of connections, in a fleet of fleetman up --relays, is one of connect=refuse,
connect=drop (no answer to a SYN), connect=hang, connect=delay:2s, connect=cut:100,
with for=10s, and, for the last three, rate=0.5, count=3.`,
		Example: `  fleetman fault staff-service-0 'delay=0s..5s;status=502,rate=0.5'
  fleetman fault staff-service 'status=502,method=GET,for=30s'
  fleetman fault staff-service 'connect=refuse'
  fleetman fault --show
  fleetman fault staff-service --clear
  fleetman fault --clear
  fleetman fault --context kind-kind staff-service 'status=503,for=30s'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: where.completeFault,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules := "" // to clear
			switch {
			case clear && show:
				return usage.Error{Err: errors.New("fleetman fault: --clear, --show: must be one of them")}
			case (clear || show) && len(args) <= 1:
			case !clear && !show && len(args) == 2 && strings.Trim(args[1], "; ") != "":
				rules = args[1]
				if err := errors.Join(faults.CheckRules(rules)...); err != nil {
					return usage.Error{Err: err}
				}
			default:
				return usage.Error{Err: errors.New("fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help")}
			}
			status, err := where.status(cmd.Context())
			if err != nil {
				return err
			}
			pods := status.Pods
			if len(args) == 0 { // those that receive requests, and so can have faults
				pods = slices.DeleteFunc(pods, func(pod local.Pod) bool { return pod.Port == 0 })
			} else if pods, err = faults.Find(pods, args[0]); err != nil {
				return err
			}
			access, err := where.faults(cmd.Context())
			if err != nil {
				return err
			}
			call := func(ctx context.Context, pod local.Pod) (faults.State, error) { return access.Set(ctx, pod, rules) }
			if show {
				call = access.Get
			}
			states, failed := ofEach(cmd.Context(), pods, call, rules == "", where.hasGone)
			if len(states) == 0 && failed != nil {
				return failed
			}
			return errors.Join(o.print(cmd, where.environ, states, func(p *printer) { p.faults(states) }), failed)
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&clear, "clear", false, "clear the faults of all pods, or of SERVICE or POD")
	cmd.Flags().BoolVar(&show, "show", false, "show the rules of all pods, or of SERVICE or POD, and how often each matched and fired")
	where.addCluster(cmd)
	cmd.AddCommand(verifyCommand(where))
	return cmd
}

// podFaults are the faults of one pod.
type podFaults struct {
	Pod string `json:"pod"`
	faults.State
}

// hasGone reports whether a pod of the fleet is ending, or is not there any more.
func (p *places) hasGone(ctx context.Context, pod local.Pod) bool {
	status, err := p.status(ctx)
	return err == nil && !slices.ContainsFunc(status.Pods, func(now local.Pod) bool { return now.Name == pod.Name && now.State != "terminating" })
}

// ofEach returns what call returns for each pod. After an error it goes on with the other pods only if all is true. The
// error of a pod that has gone, or that has no faults to clear yet, counts only when there is no other pod.
func ofEach(ctx context.Context, pods []local.Pod, call func(context.Context, local.Pod) (faults.State, error), all bool,
	gone func(context.Context, local.Pod) bool,
) (states []podFaults, err error) {
	var last error // of such a pod
	for _, pod := range pods {
		state, failed := call(ctx, pod)
		switch {
		case failed == nil:
			states = append(states, podFaults{pod.Name, state})
		case ctx.Err() != nil:
			return states, failed
		case all && pod.Address == "" || gone(ctx, pod): // one without an address has not started, and has no faults
			last = failed
		case !all:
			return states, failed
		default:
			err = errors.Join(err, failed)
		}
	}
	if len(states) == 0 && err == nil {
		err = last
	}
	return states, err
}

// faults writes a line for each rule.
func (p *printer) faults(states []podFaults) {
	var rows []row
	for _, state := range states {
		if len(state.Rules) == 0 {
			rows = append(rows, row{cells: []string{state.Pod, "-", "-", "none"}})
		}
		for _, r := range state.Rules {
			rows = append(rows, row{cells: []string{state.Pod, strconv.FormatInt(r.Matched, 10), strconv.FormatInt(r.Fired, 10), r.Rule}})
		}
	}
	p.table([]string{"POD", "MATCHED", "FIRED", "RULE"}, rows)
}

func verifyCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "verify [SERVICE|POD]",
		Short: "Check that every kind of fault is injected and seen as it is set",
		Long: `Set every kind of fault in one pod (the first of staff-service, or of SERVICE),
send requests, and compare three counts: how often the fault was to be injected,
how often the pod counted it, and how often the client saw it. With a mesh this is
done twice: at the port of the program, and through the proxy of the pod, where a
reset and a crash are a 503 by Envoy. Other requests do not meet these faults, but
the pod crashes once each time. In a fleet of fleetman up --relays, connect=hang,
connect=delay and connect=cut are checked too.
Earlier rules are restored at the end.

On a cluster, requests go through the API server to the port of the program, and to its
proxy from a helper pod.`,
		Example: `  fleetman fault verify
  fleetman fault verify api-gateway`,
		ValidArgsFunction: completeFirst(where.faultTargets),
		Args:              atMostOne("SERVICE or POD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pod, err := where.pod(cmd.Context(), append(args, "staff-service")[0])
			if err != nil {
				return err
			}
			return verify(cmd, where, pod.Name, &o)
		},
	}
	o.add(cmd)
	where.addCluster(cmd)
	return cmd
}

// pod returns the first running pod of a Service, or the one with a name.
func (p *places) pod(ctx context.Context, name string) (local.Pod, error) {
	status, err := p.status(ctx)
	if err != nil {
		return local.Pod{}, err
	}
	found, err := faults.Find(status.Pods, name)
	if err != nil {
		return local.Pod{}, err
	}
	return found[0], nil
}

func verify(cmd *cobra.Command, where *places, pod string, o *output) error {
	access, err := where.faults(cmd.Context())
	if err != nil {
		return err
	}
	now := func(ctx context.Context) (local.Pod, error) { return where.pod(ctx, pod) }
	checks, note, err := faults.Verifier{Access: access, Pod: now}.Run(cmd.Context())
	err = errors.Join(o.print(cmd, where.environ, checks, func(p *printer) { p.verified(checks) }), err)
	if note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	if wrong := count(checks, func(c faults.Check) bool { return !c.OK() }); err == nil && wrong > 0 {
		return fmt.Errorf("fault verify: %d of %d checks do not have what was set", wrong, len(checks))
	}
	return err
}

func (p *printer) verified(checks []faults.Check) {
	var rows []row
	for _, c := range checks {
		verdict, via := "ok", "-"
		if !c.OK() {
			verdict = c.Problem
		}
		if c.Proxied {
			via = "proxy"
		}
		rows = append(rows, row{[]string{c.Kind, via, strconv.Itoa(c.Set), strconv.Itoa(c.Injected), strconv.Itoa(c.Seen), verdict}, ifNot(c.OK())})
	}
	p.table([]string{"KIND", "VIA", "SET", "INJECTED", "SEEN", "VERDICT"}, rows)
}
