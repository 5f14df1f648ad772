//go:build !local

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/control"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/runner"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/usage"
)

// checkPlace returns an error for a flag that does not go together with the place of the fleets.
func (f checkFlags) checkPlace(cmd *cobra.Command, where *places) error {
	if err := where.checkFlags(cmd, []string{"images", "yes"}, []string{"network", "node-address", "bin", "ingress-port"}); err != nil {
		return err
	}
	if where.onCluster() && f.jobs != 1 {
		return usage.Errorf("--jobs %d: must be 1 with --context: all fleets of a cluster share its ingress gateway", f.jobs)
	}
	return nil
}

// startOnCluster is start for fleets on a cluster.
func (f checkFlags) startOnCluster(cmd *cobra.Command, where places, r check.Runner, scenarios []check.Scenario) (check.Runner, func() error, error) {
	client, err := where.connectCluster()
	if err != nil {
		return r, nil, err
	}
	if err := client.Reach(cmd.Context()); err != nil {
		return r, nil, err
	}
	fleets := r.Fleets(scenarios)
	gateways, err := ofAll(fleets, func(objects *manifest.Objects) ([]string, error) { return client.OtherGateways(cmd.Context(), objects) })
	if err != nil {
		return r, nil, err
	}
	if len(gateways) > 0 { // of other namespaces, which may receive the requests of the checks
		return r, nil, fmt.Errorf("%s: must be deleted before check uses the ingress", strings.Join(gateways, "; "))
	}
	outside, err := ofAll(fleets, func(objects *manifest.Objects) ([]string, error) {
		refs, _, err := client.Outside(cmd.Context(), objects)
		return refs, err
	})
	if err != nil {
		return r, nil, err
	}
	agree := f.up.cluster.agreeOnce(cmd)
	if err := agree(outside); err != nil { // before the first fleet starts
		return r, nil, err
	}
	switch _, err := client.Status(cmd.Context()); {
	case err == nil:
		return r, nil, fmt.Errorf("a fleet runs in namespace %s of cluster %s: end it first with %s, or choose another --namespace", client.Namespace(), where.cluster.Context, client.DownCommand(client.Namespace()))
	case !errors.Is(err, control.ErrNoFleet):
		return r, nil, err
	}
	ready := upTimeout
	if cmd.Flags().Changed("ready-timeout") {
		ready = f.up.readyTimeout
	}
	r.Start = runner.ClusterStarter(client, ready, agree)
	return r, func() error {
		defer client.Close()
		r.Progress("removing the fleet")
		_, err := client.Down(context.WithoutCancel(cmd.Context()))
		return err
	}, nil
}

// ofAll returns what of returns for all fleets, sorted and each once.
func ofAll(fleets []*manifest.Objects, of func(*manifest.Objects) ([]string, error)) ([]string, error) {
	all := sets.New[string]()
	for _, objects := range fleets {
		found, err := of(objects)
		if err != nil {
			return nil, err
		}
		all.Insert(found...)
	}
	return sets.List(all), nil
}

// others returns the results of --against, which are read before the first promise is checked.
func (f checkFlags) others() ([]check.Result, error) {
	if f.against == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.against)
	if err != nil {
		return nil, usage.Errorf("--against: %w", err)
	}
	var other check.Summary
	if err := json.Unmarshal(text, &other); err != nil {
		return nil, usage.Errorf("--against %s: %w: must be what check -o json wrote", f.against, err)
	}
	if len(other.Results) == 0 {
		return nil, usage.Errorf("--against %s: no results: must be what check -o json wrote", f.against)
	}
	return other.Results, nil
}

// compare writes how the verdicts differ from those of --against, and returns an error if they do.
func (f checkFlags) compare(results, others []check.Result, w io.Writer) error {
	if f.against == "" {
		return nil
	}
	same, differing, alone := check.Compare(results, others)
	for _, d := range differing {
		fmt.Fprintln(w, d)
	}
	for _, name := range alone {
		fmt.Fprintf(w, "NOT IN %s: %s\n", f.against, name)
	}
	fmt.Fprintf(w, "%d verdicts are those of %s, %d differ, %d are not there\n", same, f.against, len(differing), len(alone))
	if len(differing) > 0 {
		return fmt.Errorf("--against %s: %d verdicts differ", f.against, len(differing))
	}
	return nil
}
