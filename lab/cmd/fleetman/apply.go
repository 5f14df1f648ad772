package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

func applyCommand(where *places) *cobra.Command {
	var watch bool
	var cluster clusterFlags
	cmd := &cobra.Command{
		Use:   "apply SCENARIO|DIR|FILE...",
		Short: "Replace the manifests of the running mesh, all of them or none",
		Long: `Replace the manifests of the running mesh, here or on a cluster: objects that are not
in the new ones are deleted. The command returns when every proxy has its new configuration
and, except on a cluster, the pods that end have ended.

A pod whose Deployment, variables, ports or proxy change is replaced: the new one is
ready before Services lead to it, and before the old one ends, so no request is lost.
The new pod has another name and address.

After an error nothing has changed: manifests that Istio rejects, and pods that do
not get ready, leave the fleet as it was.

With --watch, apply them again whenever one of these files, or a file below these
directories, is saved, until Ctrl-C. Errors are printed.`,
		Example: `  fleetman apply mirroring
  fleetman apply --watch k8s/scenarios/mirroring
  fleetman apply --context kind-kind mirroring`,
		Args:              atLeastOne("SCENARIO, DIR or FILE"),
		ValidArgsFunction: where.completeManifests,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.checkFlags(cmd, upClusterOnly, nil); err != nil {
				return err
			}
			where.cluster.Agree = func(objects []string) error { return cluster.agree(cmd, objects) }
			return applyAll(cmd, where, args, watch)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "apply again at every change, until Ctrl-C")
	cluster.addYes(cmd)
	where.addCluster(cmd)
	return cmd
}

// applyAll applies manifests, with watch at every change until the command's context ends.
func applyAll(cmd *cobra.Command, where *places, args []string, watch bool) error {
	if err := where.find(); err != nil {
		return err
	}
	client, err := where.fleet()
	if err != nil {
		return err
	}
	paths, err := where.manifests(args)
	if err == nil {
		paths, err = absolute(paths)
	}
	if err != nil {
		return err
	}
	once := func() error {
		applied, err := withLostFaults(cmd, client, func() (mesh.Applied, error) { return client.Apply(cmd.Context(), paths) })
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), strings.Join(append(applied.Notes, changes(applied)), "\n"))
		}
		return err
	}
	if !watch {
		return once()
	}
	saved := manifest.Watch(paths)
	for {
		if err := once(); err != nil && cmd.Context().Err() == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "fleetman: %v\n", err)
		}
		if !saved(cmd.Context()) {
			return nil
		}
	}
}

// withLostFaults changes a fleet and prints the faults that ended with its pods.
func withLostFaults(cmd *cobra.Command, fleet fleet, change func() (mesh.Applied, error)) (mesh.Applied, error) {
	before, unread := fleet.Status(cmd.Context())
	applied, err := change()
	if err != nil || unread != nil || applied.Pods == "" {
		return applied, err
	}
	after, unread := fleet.Status(cmd.Context())
	if unread != nil {
		return applied, nil
	}
	for _, note := range lostFaults(before.Pods, after.Pods) {
		fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	return applied, nil
}

// lostFaults returns a note for each pod that is gone and whose faults no other pod of its Deployment has: those
// that its variables set, the new pod has too.
func lostFaults(before, after []local.Pod) (notes []string) {
	for _, old := range before {
		kept := slices.ContainsFunc(after, func(p local.Pod) bool {
			return p.Name == old.Name || p.Namespace == old.Namespace && p.Deployment == old.Deployment && p.Faults == old.Faults
		})
		if old.Faults != "" && !kept {
			notes = append(notes, fmt.Sprintf("%s ended, and its faults with it: %s", old.Name, old.Faults))
		}
	}
	return notes
}

// changes describes what an apply changed, in one line.
func changes(applied mesh.Applied) string {
	if len(applied.Changed) == 0 {
		return "nothing changed"
	}
	parts := []string{strings.Join(applied.Changed, ", ")}
	if applied.Pods != "" {
		parts = append(parts, applied.Pods)
	}
	return fmt.Sprintf("%s; in every proxy after %.1f s", strings.Join(parts, "; "), applied.Seconds)
}
