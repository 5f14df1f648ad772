package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

func applyCommand(where *places) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "apply SCENARIO|DIR|FILE...",
		Short: "Make these manifests the running mesh's, all of them or none",
		Long: `Make these manifests the running mesh's: what is not in them any more is taken
away. It returns when every proxy has its new configuration.

What Istio refuses is refused whole and the old state stays; so is what would
change pods, Services or namespaces, for which the fleet has to be started anew.

With --watch it goes on until Ctrl-C and applies them again whenever one of these
files, or one below these directories, is saved. What is refused is shown, and the
next change is waited for.`,
		Example: `  fleetman apply mirroring
  fleetman apply --watch k8s/scenarios/mirroring`,
		ValidArgsFunction: where.completeManifests(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s: 0 arguments: must be one SCENARIO, DIR or FILE, or more", cmd.CommandPath())}
			}
			client, err := where.connect()
			if err != nil {
				return err
			}
			paths, err := where.manifests(args)
			if err != nil {
				return err
			}
			for i, path := range paths {
				if paths[i], err = filepath.Abs(path); err != nil {
					return fmt.Errorf("apply: %w", err)
				}
			}
			once := func() error {
				applied, err := client.Apply(cmd.Context(), paths)
				if err == nil {
					printApplied(cmd.OutOrStdout(), applied)
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
