//go:build !local

package main

import (
	"errors"

	"github.com/spf13/cobra"

	"fleetman.example/lab/cluster"
)

// commands names the commands of this build; there are no more elsewhere.
const (
	commands  = "all"
	wholeHint = ""
)

// clusterOptions are the flags of commands that work on a cluster, too.
type clusterOptions = cluster.Options

// furtherCommands are the commands, by group, that a fleet on this machine does not need.
func furtherCommands(where *places) map[string][]*cobra.Command {
	return map[string][]*cobra.Command{
		groupInspect: {consoleCommand(where)},
		groupMeasure: {lintCommand(where), checkCommand(where), compareCommand(where), reportCommand(where), benchCommand(where)},
		groupSetUp:   {imagesCommand(where)},
	}
}

// unfinished returns what a command on a cluster waited for, and what it leaves there; empty for other errors.
func unfinished(err error) string {
	if _, ok := errors.AsType[*cluster.UnfinishedError](err); ok {
		return err.Error()
	}
	return ""
}
