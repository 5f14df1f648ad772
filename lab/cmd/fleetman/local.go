//go:build local

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/usage"
)

// With the tag local, the command has what a fleet on this machine needs, and neither clusters nor measurements: it
// compiles in two thirds of the time. make run builds it so; make build and make install build the whole command.

// commands names the commands of this build; wholeHint says in an error where there are more.
const (
	commands  = "local"
	wholeHint = "; make install builds the command with clusters and measurements"
)

// furtherCommands returns none: this build has no further commands.
func furtherCommands(*places) map[string][]*cobra.Command { return nil }

// unfinished returns nothing: no command works on a cluster.
func unfinished(error) string { return "" }

// What follows stands for cluster.go, whose flags no command has.
var upClusterOnly, upLocalOnly []string

type clusterOptions struct{ Agree func(objects []string) error }

type clusterFlags struct{}

func (clusterFlags) add(*cobra.Command, *places)          {}
func (clusterFlags) addYes(*cobra.Command)                {}
func (clusterFlags) agree(*cobra.Command, []string) error { return nil }

// addCluster adds a flag that says which command has it.
func (*places) addCluster(cmd *cobra.Command) {
	cmd.Long = withoutContext(cmd.Long, "\n\n")
	cmd.Example = withoutContext(cmd.Example, "\n")
	cmd.Flags().String("context", "", "work on a cluster: only the command that make install builds can")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("context") {
			return usage.Errorf("--context: must be a flag of the whole command, which make install builds; make run builds one without clusters")
		}
		return nil
	}
}

// withoutContext removes the parts of a help text that are about clusters.
func withoutContext(text, separator string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, separator), func(part string) bool {
		return strings.Contains(part, "--context") || strings.HasPrefix(part, "On a cluster")
	}), separator)
}

func (*places) checkFlags(*cobra.Command, []string, []string) error { return nil }
func (*places) onCluster() bool                                     { return false }

func (p *places) fleet() (fleet, error) { return p.connect() }

func (p *places) faults(context.Context) (faults.Access, error) { return p.launcherFaults() }

// upOnCluster and downOnCluster are not called: onCluster is false.
func upOnCluster(*cobra.Command, places, upFlags, []string) error { return nil }
func downOnCluster(*cobra.Command, *places) error                 { return nil }
