//go:build !local

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"fleetman.example/lab/lint"
	"fleetman.example/lab/usage"
)

// lintFlags are the values of the flags of `fleetman lint`.
type lintFlags struct {
	format              output
	options             lint.Options
	calls               []string
	prove, network, bin string
}

func lintCommand(where *places) *cobra.Command {
	var f lintFlags
	cmd := &cobra.Command{
		Use:   "lint SCENARIO|DIR|FILE... | --context NAME",
		Short: "Find resilience mistakes in manifests",
		Long: `Find what retries, time-outs, ejection and pools mean together, in the services'
library and in the mesh. Each line is FILE:LINE: RULE: what happens, in numbers of
this configuration; what to write instead. docs/lint.md has all rules.

A comment declares a finding intended, for the field or object that it is before:
  # fleetman:ignore 7 because the callers do not retry

istioctl analyze looks at the same objects where the binary is at hand; its
messages have its own codes (IST0132). The exit code is 1 when there is an error.`,
		Example: `  fleetman lint k8s/base my-rules.yaml
  fleetman lint --rate 100 --latency 250ms k8s/scenarios/circuit-breaking
  fleetman lint --format github .
  fleetman lint --context my-cluster --namespace shop
  fleetman lint --prove 1 my-manifests`,
		ValidArgsFunction: where.completeManifests,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && !where.onCluster():
				return usage.Errorf("%s: 0 arguments: must be one SCENARIO, DIR or FILE, or more, or --context", cmd.CommandPath())
			case len(args) > 0 && where.onCluster():
				return usage.Errorf("%s: must be without arguments beside --context: the cluster's objects are read", quoted(args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			return f.run(cmd, *where, args)
		},
	}
	f.format.addAs(cmd, "format", "", lint.Formats...)
	flags := cmd.Flags()
	flags.Float64Var(&f.options.Rate, "rate", 0, "requests per second that a caller sends to a service; 0 leaves out what depends on it")
	flags.DurationVar(&f.options.Latency, "latency", lint.DefaultLatency, "how long a request takes, for --rate")
	flags.DurationVar(&f.options.Fault, "fault", lint.DefaultFault, "how long the fault of interest lasts, for --rate")
	flags.StringArrayVar(&f.calls, "call", nil, "WORKLOAD=HOST: a call that no variable NAME_URL says; repeatable")
	flags.StringVar(&f.prove, "prove", "", "RULE: run the experiment that shows its first finding on the local mesh, as written and repaired")
	flags.StringVar(&f.network, "network", "127.0.78.0/24", "network of the pods, for --prove")
	flags.StringVar(&f.bin, "bin", "", "a directory of ready-made programs, for --prove (default: build them)")
	where.addCluster(cmd)
	flags.Lookup("context").Usage = "read the objects of a cluster: the name of its context in the kubeconfig"
	flags.Lookup("namespace").Usage = "with --context: only this namespace (default all but those of Kubernetes and Istio)"
	return cmd
}

func (f *lintFlags) run(cmd *cobra.Command, where places, args []string) error {
	if err := f.check(cmd.Flags().Changed("prove")); err != nil {
		return usage.Error{Err: err}
	}
	paths, err := where.manifests(args)
	if where.onCluster() {
		paths, err = readCluster(cmd.Context(), where)
	}
	if err != nil {
		return err
	}
	manifests, err := lint.Load(paths...)
	if err != nil {
		return err
	}
	if f.prove != "" {
		return f.proveFinding(cmd, where, manifests, paths)
	}
	found := manifests.Check(f.options)
	istioctl, err := where.source(nil).AtHand().Istioctl(cmd.Context())
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "istioctl is not at hand, its analyze is left out: fleetman binaries istioctl")
	} else if found, err = manifests.Analyze(cmd.Context(), istioctl.Path, found); err != nil {
		return err
	}
	if err := lint.Write(cmd.OutOrStdout(), f.format.format, found); err != nil {
		return err
	}
	if lint.Failed(found) {
		return fmt.Errorf("lint: %s", lint.Summary(found))
	}
	fmt.Fprintln(cmd.ErrOrStderr(), lint.Summary(found))
	return nil
}

// readCluster reads a cluster's objects into a directory, a file each.
func readCluster(ctx context.Context, where places) ([]string, error) {
	client, err := where.connectCluster()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var objects []*unstructured.Unstructured
	err = client.Read(ctx, func(all dynamic.Interface) (err error) {
		objects, err = lint.ReadCluster(ctx, all, where.cluster.Namespace)
		return err
	})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(where.state, "..", "lint", "cluster", time.Now().Format("20060102-150405"))
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, dir); err == nil {
			dir = short
		}
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("--context %s: no object in namespace %s: must have one", where.cluster.Context, cmp.Or(where.cluster.Namespace, "of a fleet"))
	}
	return []string{dir}, lint.WriteObjects(dir, objects)
}

// check returns the errors of the flags, and reads --call.
func (f *lintFlags) check(proves bool) error {
	wrong := mistakes{checkBin(f.bin)}
	o := f.options
	wrong.must(o.Rate >= 0 && o.Rate <= 1e6, "--rate %g: must be between 0 and 1000000 requests per second", o.Rate)
	wrong.must(o.Latency > 0 && o.Latency <= time.Hour, "--latency %s: must be more than 0s, at most 1h", o.Latency)
	wrong.must(o.Fault > 0 && o.Fault <= 24*time.Hour, "--fault %s: must be more than 0s, at most 24h", o.Fault)
	wrong.must(!proves || lint.RuleOf(f.prove) != nil, "--prove %s: must be the number or the name of a rule, see docs/lint.md", quoted(f.prove))
	f.options.Calls = map[string][]string{}
	for _, call := range f.calls {
		workload, host, ok := strings.Cut(call, "=")
		wrong.must(ok && workload != "" && host != "", "--call %s: must be WORKLOAD=HOST, such as webapp=fleetman-api-gateway", quoted(call))
		f.options.Calls[workload] = append(f.options.Calls[workload], host)
	}
	return errors.Join(wrong...)
}
