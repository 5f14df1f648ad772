package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fleetman.example/lab/bare"
	"fleetman.example/lab/usage"
)

func envoyCommand(where *places) *cobra.Command {
	print := false
	cmd := &cobra.Command{
		Use:   "envoy FILE|DIR",
		Short: "Run one Envoy from a configuration of its own",
		Long: `Run one Envoy from a configuration of its own, without a mesh, until Ctrl-C. DIR is a
directory with one such file. fleetman up with such a file or directory does the same.

Fields of version 2 of Envoy's API, which no Envoy has since 1.18, are read as those
of version 3, with a note for each; one that cannot be is an error. --print prints the
configuration in version 3 instead of running it.`,
		Example: `  fleetman envoy k8s/bare-envoy
  fleetman envoy --print old.yaml >new.yaml`,
		Args: exactly("FILE|DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEnvoy(cmd, where, args[0], print)
		},
	}
	cmd.Flags().BoolVar(&print, "print", false, "print the configuration in version 3 of Envoy's API")
	return cmd
}

// runEnvoy runs an Envoy, or prints its configuration.
func runEnvoy(cmd *cobra.Command, where *places, path string, print bool) error {
	config, notes, err := bare.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return usage.Errorf("%s: must be the configuration of an Envoy, or a directory with one", quoted(path))
	}
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	for _, note := range notes {
		fmt.Fprintln(stderr, note)
	}
	if print {
		_, err := cmd.OutOrStdout().Write(config)
		return err
	}
	if err := where.find(); err != nil {
		return err
	}
	program, err := where.source(func(line string) { fmt.Fprintln(stderr, line) }).Envoy(cmd.Context())
	if err != nil {
		return err
	}
	return bare.Run(cmd.Context(), bare.Options{
		Envoy: program.Path, Config: config, Source: path, Log: stderr,
		Ready: func(lines []string) {
			fmt.Fprintln(cmd.OutOrStdout(), strings.Join(append(lines, "Ctrl-C ends it"), "\n"))
		},
	})
}

// upEnvoy is up with the Envoy configuration at a path, to which no flag of up applies.
func upEnvoy(cmd *cobra.Command, where *places, path string) error {
	var given string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if cmd.InheritedFlags().Lookup(flag.Name) == nil {
			given = flag.Name
		}
	})
	if given != "" {
		return usage.Errorf("--%s: must be unset with %s, which is the configuration of an Envoy", given, path)
	}
	return runEnvoy(cmd, where, path, false)
}
